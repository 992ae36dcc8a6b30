"""An agent as an object, used as people use one: act, observe, update, and whatever else comes to mind."""

import gym
import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.agents import dqn, ppo
from rl_fn.struct import EnvSpec
from tests.envs.host.environments import Continuous, Count, Rooms
from tests.loops.agents import versions

ENV = envs.make("CartPole-v1")
DQN = dqn.DQNHParams(num_envs=1, rollout_length=8, learning_starts=8, batch_size=8, replay_capacity=500).override(
    hidden_sizes=(16,)
)
PPO = ppo.PPOHParams(num_envs=1, rollout_length=8, num_minibatches=2).override(hidden_sizes=(16,))
COUNT = EnvSpec("Count", Count().observation_space, Count().action_space)


def numpy(state):
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), state)


def played(agent, env, steps, after_step=lambda: None):
    """Steps a plain loop; returns what `after_step` did after each step."""
    observation, _ = env.reset(seed=0)
    results = []
    for _ in range(steps):
        action = agent.act(observation)
        assert env.action_space.contains(action)
        successor, reward, terminated, truncated, _ = env.step(action)
        agent.observe(observation, action, reward, successor, terminated, truncated)
        results.append(after_step())
        observation = env.reset()[0] if terminated or truncated else successor
    return results


@pytest.mark.parametrize("library", [gymnasium, gym])
@pytest.mark.parametrize("hparams", [DQN, PPO], ids=["dqn", "ppo"])
def test_stateful_agents_run_in_a_plain_python_loop(library, hparams):
    module = dqn if isinstance(hparams, dqn.DQNHParams) else ppo
    env = library.make("CartPole-v1", disable_env_checker=True)
    agent = loops.StatefulAgent(module.make(ENV.spec, hparams), ENV.spec, seed=3)
    before = numpy(agent.state)
    updates = played(agent, env, 40, agent.update)
    assert [step for step, metrics in enumerate(updates) if metrics is not None] == [7, 15, 23, 31, 39]
    assert all(np.isfinite(list(metrics.values())).all() for metrics in updates if metrics is not None)
    assert updates[-1]
    assert any(
        np.any(a != b) for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(numpy(agent.state)), strict=True)
    )


def test_the_loop_as_people_write_it_learns():
    env = gym.make("CartPole-v1", disable_env_checker=True)
    hparams = ppo.PPOHParams(
        train_steps=12_288, num_envs=1, rollout_length=256, num_epochs=8, num_minibatches=4, learning_rate=1e-3
    )
    agent = loops.StatefulAgent(ppo.make(envs.border(env).spec, hparams), env)
    returns = []
    while sum(returns) < 12_000:
        observation, _ = env.reset(seed=len(returns))
        done, total = False, 0.0
        while not done:
            action = agent.act(observation)
            next_observation, reward, terminated, truncated, _ = env.step(action)
            agent.observe(observation, action, reward, next_observation, terminated, truncated)
            agent.update()
            observation, done, total = next_observation, terminated or truncated, total + reward
        returns.append(total)
    assert np.mean(returns[:20]) < 40
    assert np.mean(returns[-20:]) > 100


@pytest.mark.parametrize("lag", [0, 2])
def test_it_is_the_host_loop_turned_inside_out(lag):
    agent = versions(num_envs=1, rollout_length=4, actor_lag=lag)
    env = envs.gymnasium_env([Count(3)])
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(5)))
    for _ in loops.host_train(agent, env, compiled, 6):
        pass
    stateful = loops.StatefulAgent(agent, COUNT, seed=5)
    played(stateful, Unchecked(Count(3, fresh=True)), 24, stateful.update)
    for ours, expected in zip(stateful.state, compiled.read().agent, strict=True):
        np.testing.assert_array_equal(ours, expected)


class Unchecked(gymnasium.Wrapper):
    """Takes any action."""

    action_space = gymnasium.spaces.Discrete(100)


def test_an_update_takes_all_whole_rollouts():
    agent = loops.StatefulAgent(versions(num_envs=1, rollout_length=4), COUNT)
    played(agent, Count(3), 18)
    assert agent.update() == {"acted": 0.0}
    assert agent.state.policy == 4
    assert agent.update() is None
    played(agent, Unchecked(Count(3)), 10)  # with two steps that were left
    assert agent.update() == {"acted": 4.0}
    assert agent.state.policy == 7


def test_what_acting_carries_begins_anew_with_each_episode():
    agents = [loops.StatefulAgent(versions(num_envs=1), COUNT, explore=explore) for explore in (True, False)]
    for agent in agents:
        carried = played(agent, Count(3), 7, lambda agent=agent: agent._acting._actor[0].numpy())
        assert carried == [1, 2, 3, 1, 2, 3, 1]
    agent.act(np.zeros(2))
    agent.act(np.zeros(2))
    assert agent._acting._actor[0] == 3
    agent.reset()
    agent.act(np.zeros(2))
    assert agent._acting._actor[0] == 1


def test_the_seed_determines_what_is_random():
    agents = [
        loops.StatefulAgent(dqn.make(ENV.spec, DQN.override(epsilon_final=1.0)), ENV.spec, seed=s) for s in (1, 1, 2)
    ]
    first, again, other = ([agent.act(np.zeros(4)) for _ in range(40)] for agent in agents)
    assert first == again != other
    assert set(first) == {0, 1}


def test_without_exploring_nothing_is_recorded_or_learned():
    agent = loops.StatefulAgent(ppo.make(ENV.spec, PPO), ENV.spec, explore=False)
    before = numpy(agent.state)
    assert played(agent, gymnasium.make("CartPole-v1"), 40, agent.update) == [None] * 40
    assert all(np.array_equal(a, b) for a, b in zip(*map(tf.nest.flatten, (before, agent.state)), strict=True))


def test_actions_of_ones_own_are_learned_from_where_the_agent_can():
    agent = loops.StatefulAgent(dqn.make(ENV.spec, DQN), ENV.spec)
    for _ in range(30):
        agent.observe(np.zeros(4), 1, 1.0, np.ones(4), False, False)  # without asking it
    agent.act(np.zeros(4))
    agent.observe(np.zeros(4), 0, 1.0, np.ones(4), True, False)
    agent.observe(np.zeros(4), 1, 1.0, np.ones(4), False, False)
    assert agent.update()["loss"] >= 0
    agent = loops.StatefulAgent(ppo.make(ENV.spec, PPO), ENV.spec)
    with pytest.raises(
        ValueError,
        match=r"act has not been called since the last step.*raw_action, log_prob, value, outputs,",
    ):
        agent.observe(np.zeros(4), 1, 1.0, np.ones(4), False, False)
    action = agent.act(np.zeros(4))
    with pytest.raises(ValueError, match=rf"observe: action is {1 - action}, expected {action} as act chose"):
        agent.observe(np.zeros(4), 1 - action, 1.0, np.ones(4), False, False)
    agent.observe(np.zeros(4), action, 1.0, np.ones(4), False, False)
    with pytest.raises(ValueError, match="act has not been called since the last step"):
        agent.observe(np.zeros(4), action, 1.0, np.ones(4), False, False)


def test_an_action_in_a_box_may_be_clipped_before_it_is_taken():
    env = envs.make("Pendulum-v1")
    agent = loops.StatefulAgent(ppo.make(env.spec, PPO), env.spec)
    for _ in range(8):
        action = agent.act(np.zeros(3))
        assert env.spec.action_space.contains(action)
        agent.observe(np.zeros(3), np.clip(action, -1e-3, 1e-3), 1.0, np.zeros(3), False, False)
    assert np.isfinite(list(agent.update().values())).all()


def test_loaded_parameters_can_be_put_in():
    first, second = (loops.StatefulAgent(ppo.make(ENV.spec, PPO), ENV.spec, seed=s, explore=False) for s in (0, 1))
    observations = np.random.default_rng(0).normal(size=[40, 4])
    chosen = [first.act(x) for x in observations]
    assert chosen != [second.act(x) for x in observations]
    second.state = numpy(first.state)
    assert chosen == [second.act(x) for x in observations]
    with pytest.raises(ValueError, match=r"restore: agent/.* is float32 .*, expected float32 .*"):
        second.state = ppo.make(ENV.spec, PPO.override(hidden_sizes=(8,))).init(random.key(0))


@pytest.mark.parametrize("lag", [0, 1])
def test_where_a_state_is_put_in_no_step_is_glued_to_one_of_before(lag):
    agent = loops.StatefulAgent(versions(num_envs=1, rollout_length=4, actor_lag=lag), COUNT)
    played(agent, Count(30), 5, agent.update)
    state = agent.state
    assert (state.policy, state.cuts) == (1, 0)
    agent.state = state._replace(policy=tf.constant(41))
    assert agent.state.cuts == 1
    actions = []
    played(agent, Unchecked(Count(30)), 4, lambda: actions.append(agent._segment[-1].action.item()))
    assert actions == [41] * 4
    assert agent.update() == {"acted": 41.0}


def test_an_episode_left_before_its_end_is_truncated_there():
    agent = loops.StatefulAgent(versions(num_envs=1, rollout_length=4), COUNT)
    played(agent, Count(30), 2)
    agent.reset()
    assert [step.truncated.item() for step in agent._segment] == [False, True]
    played(agent, Count(30), 2, agent.update)
    agent.reset()  # the steps are with the agent already
    agent.reset()
    assert agent.state.cuts == 1
    played(agent, Count(2), 2)
    agent.reset()  # it was seen to its end
    assert [step.truncated.item() for step in agent._segment] == [False, False]
    assert agent.state.cuts == 1


@pytest.mark.parametrize("library", ["gymnasium", "gym"])
def test_spaces_count_from_wherever_they_like(library):
    other = gym.spaces if library == "gym" else gymnasium.spaces
    spec = EnvSpec("ten", other.Discrete(4, start=-2), other.Discrete(2, start=10))
    agent = loops.StatefulAgent(versions(num_envs=1, rollout_length=2), spec)
    for policy in (0, 1):
        assert agent.act(-2) == 10 + policy
        agent.observe(-2, 10 + policy, 1.0, 1, False, False)
        assert agent.act(np.int64(1)) == 10 + policy
        agent.observe(1, 10 + policy, 1.0, -1, False, True)
        assert [step.observation.item() for step in agent._segment] == [0, 3]
        assert [step.next_observation.item() for step in agent._segment] == [3, 1]
        assert [step.action.item() for step in agent._segment] == [policy] * 2
        agent.update()
    zero = spec._replace(observation_space=gymnasium.spaces.Box(-9, 9), action_space=gymnasium.spaces.Discrete(2))
    agent = loops.StatefulAgent(dqn.make(zero, DQN), spec)
    agent.observe(-2, 11, 1.0, 1, False, False)
    assert agent._segment[-1].action.item() == 1


def test_nested_observations_and_several_discrete_actions():
    rooms, pairs = Rooms(), Continuous(multi_discrete=True)
    spec = EnvSpec("rooms", rooms.observation_space, rooms.action_space)
    zero = EnvSpec("rooms", *(envs.gymnasium_env(Rooms).spec[1:3]))
    agent = loops.StatefulAgent(dqn.make(zero, DQN), spec)
    assert all(metrics is None for metrics in played(agent, rooms, 40)), "nothing is asked for"
    assert "loss" in agent.update()
    spec = EnvSpec("pairs", pairs.observation_space, pairs.action_space)
    zero = EnvSpec("pairs", *(envs.gymnasium_env([pairs]).spec[1:3]))
    agent = loops.StatefulAgent(ppo.make(zero, PPO), spec)
    assert np.isfinite(list(played(agent, pairs, 8, agent.update)[-1].values())).all()


def test_one_number_is_meant_where_there_is_one():
    agent = loops.StatefulAgent(versions(num_envs=1, rollout_length=1), COUNT)
    agent.act(np.zeros(2))
    agent.observe(np.zeros(2), 0, np.array([2.0]), np.ones(2), np.array([False]), np.False_)
    assert agent._segment[-1].reward.shape == agent._segment[-1].terminated.shape == (1,)
    for name, values in [("reward", ([1.0, 2.0], False)), ("terminated", (1.0, [True, False]))]:
        agent.act(np.zeros(2))
        with pytest.raises(ValueError, match=rf"observe: {name} has shape \(2,\), expected one number"):
            agent.observe(np.zeros(2), 0, values[0], np.ones(2), values[1], False)


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="StatefulAgent: the agent's num_envs is 4, expected 1"):
        loops.StatefulAgent(versions(num_envs=4), COUNT)
    agent = loops.StatefulAgent(versions(num_envs=1), ENV.spec)
    with pytest.raises(ValueError, match=r"observation has shape \(3,\), its space says \(4,\)"):
        agent.act(np.zeros(3))
    agent.act(np.zeros(4))
    with pytest.raises(ValueError, match=r"observation has shape \(2,\), its space says \(4,\)"):
        agent.observe(np.zeros(4), 0, 1.0, np.zeros(2), False, False)
    with pytest.raises(ValueError, match=r"has shape \(1,\), its space says \(\)"):
        agent.observe(np.zeros(4), [0], 1.0, np.zeros(4), False, False)
