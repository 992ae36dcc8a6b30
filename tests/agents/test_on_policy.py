"""What agents that learn on their policy do with a rollout."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, learning, loops, networks, random, struct
from rl_fn.agents import ppg, ppo, rnd, trpo, vmpo, vpg
from rl_fn.envs import wrappers

ENV = envs.make("CartPole-v1")
KEY = random.key(1)
SIZES = {"num_envs": 4, "hidden_sizes": (8,)}


def rollout_of(agent, state, length):
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    run = lambda: loops.rollout(agent, ENV, state.policy, actors, random.key(2), length)[1][0]
    return tf.function(run, jit_compile=True)()


def leaves_differ(before, after):
    return [np.any(a != b) for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True)]


def test_a_step_of_trpo_uses_its_bound_and_keeps_it():
    hparams = trpo.TRPOHParams(rollout_length=32, max_kl=0.02, **SIZES)
    agent, model = trpo.make(ENV.spec, hparams), hparams.make_model(ENV.spec)
    state = agent.init(random.key(0))
    trajectory = rollout_of(agent, state, 32)
    after, metrics = tf.function(agent.update, jit_compile=True)(state, trajectory, random.key(3))
    outputs = [model.network.step(s.learner.params, (), trajectory.observation)[0][0] for s in (state, after)]
    old, new = map(model.head.distribution, outputs)
    kl = float(tf.reduce_mean(old.kl_divergence(new)))
    assert 0.25 * 0.02 < kl <= 0.02
    np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-3)
    assert metrics["improvement"] > 0


def test_the_duals_of_vmpo_do_not_run_off_where_steps_are_too_long_for_its_bounds():
    agent = vmpo.make(ENV.spec, vmpo.VMPOHParams(rollout_length=8, num_epochs=32, learning_rate=3.0, **SIZES))
    state = agent.init(random.key(0))
    after, _ = tf.function(agent.update, jit_compile=True)(state, rollout_of(agent, state, 8), random.key(3))
    np.testing.assert_allclose(tf.exp(after.learner.dual_params.multipliers[0]), 1e8, rtol=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in tf.nest.flatten(after.learner.params))


def test_reinforce_learns_nothing_before_an_episode_has_ended_and_then_from_all_of_it():
    annealed = {"learning_rate": 0.1, "anneal_learning_rate": True, "train_steps": 10 * 4 * 4}
    hparams = vpg.VPGHParams(rollout_length=4, patience=2, normalize_advantages=False, **annealed, **SIZES)
    agent = vpg.make(ENV.spec, hparams)
    state = agent.init(random.key(0))
    update = tf.function(agent.update, jit_compile=True)
    trajectory = rollout_of(agent, state, 4)  # nobody falls in four steps
    waiting, metrics = update(state, trajectory, random.key(3))
    assert metrics["value_loss"].count == 0
    assert not any(leaves_differ(state.policy, waiting.policy))
    ended = trajectory._replace(terminated=tf.concat([tf.zeros([3, 4], tf.bool), tf.ones([1, 4], tf.bool)], axis=0))
    after, metrics = update(waiting, ended, random.key(3))
    assert metrics["value_loss"].count == 1
    np.testing.assert_allclose(metrics["learning_rate"].total, 0.1 * 9 / 10)  # of the second update of ten
    assert all(leaves_differ(state.policy.params, after.policy.params))
    assert np.all(after.learner.waiting.is_learned)
    # Where environments begin anew between two rollouts, what waits has ended.
    assert np.all(agent.cut(waiting).learner.waiting.is_last[-1])


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_values_of_successors_are_those_of_the_network_where_episodes_go_on_and_where_they_are_cut(memory):
    env = wrappers.time_limit(ENV, 18)  # and some fall before that
    hparams = ppo.PPOHParams(memory=memory, memory_units=4, rollout_length=48, **SIZES)
    agent, model = ppo.make(env.spec, hparams), hparams.make_model(env.spec)
    policy = agent.init(random.key(0)).policy

    def rollout(key):
        actors = loops.init_actors(agent, env, 4, random.key(1))
        trajectory = loops.rollout(agent, env, policy, actors, key, 48)[1][0]
        seen, extras, discount = trajectory.observation, trajectory.extras, trajectory.discount(0.9)
        steps = extras["recurrent_state"], seen, trajectory.next_observation
        _, after = model.network.step(policy.params, *steps[:2])
        (_, expected), _ = model.network.step(policy.params, after, steps[2])
        found = learning.successor_values(
            model.network, policy.params, extras["value"], *steps, trajectory.is_last, discount
        )
        return found * discount, expected * discount, trajectory

    found, expected, trajectory = tf.function(rollout, jit_compile=True)(random.key(2))
    assert np.any(trajectory.truncated)
    assert np.any(trajectory.terminated)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # Copies whose episodes are cut at other times have values of their own.
    keys = random.split(random.key(3), 2)
    found, expected, _ = tf.function(loops.vectorize(rollout), jit_compile=True)(keys)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_ppg_has_an_auxiliary_phase_after_so_many_updates():
    settings = {"rollout_length": 4, "num_minibatches": 2, "policy_phase": 2, "auxiliary_epochs": 3}
    agent = ppg.make(ENV.spec, ppg.PPGHParams(train_steps=2 * 4 * 4, **settings, **SIZES))
    state = agent.init(random.key(0))
    trajectory, update = rollout_of(agent, state, 4), tf.function(agent.update, jit_compile=True)
    counts, params = [], [state.learner.params]
    for index in range(4):
        state, _ = update(state, trajectory, random.key(index))
        params.append(state.learner.params)
        named = dict(struct.named_leaves(state.learner.auxiliary_opt_state))
        counts.append(next(int(leaf) for name, leaf in named.items() if name.endswith("count")))
    assert counts == [0, 12, 12, 24]  # three passes over two rollouts, in two minibatches of each
    assert all(leaves_differ(params[1], params[2]))
    # The step size of both kinds of steps has fallen to zero after two updates.
    assert not any(leaves_differ(params[2], params[4]))


def test_the_second_value_of_ppg_is_none_of_the_outputs_of_its_policy():
    settings = {"num_minibatches": 1, "rollout_length": 4, "policy_phase": 2, "kl_cost": 1.0, **SIZES}
    agent = ppg.make(ENV.spec, ppg.PPGHParams(**settings))
    state = agent.init(random.key(0))
    _, metrics = agent.update(state, rollout_of(agent, state, 4), random.key(3))
    np.testing.assert_allclose(metrics["kl"], 0.0, atol=1e-6)  # of the first gradient step: the policy that acted
    pendulum = envs.make("Pendulum-v1")
    noisy = ppg.make(pendulum.spec, ppg.PPGHParams(noise_period=2, num_minibatches=1, **SIZES))
    observation = tf.constant([[1.0, 0.0, 2.0]] * 4)
    step = noisy.act(noisy.init(random.key(0)).policy, noisy.init_actor(4), observation, random.key(1), "train")
    assert step.action.shape == (4, 1)


def test_noise_that_depends_on_the_state_is_kept_for_a_period_and_drawn_anew_with_an_episode():
    pendulum = envs.make("Pendulum-v1")
    agent = ppo.make(pendulum.spec, ppo.PPOHParams(noise_period=3, num_minibatches=1, rollout_length=8, **SIZES))
    policy, observation = agent.init(random.key(0)).policy, tf.constant([[1.0, 0.0, 2.0]] * 2)
    actor, actions = agent.init_actor(2), []
    for index in range(7):
        step = agent.act(policy, actor, observation, random.key(index), "train")
        actor = step.actor_state
        actions.append(step.action.numpy())
    assert np.all(actions[0] == actions[2])
    assert np.all(actions[3] == actions[5])
    assert np.all(actions[2] != actions[3])
    assert np.all(actions[0][0] != actions[0][1])
    anew = agent.act(policy, agent.init_actor(2), observation, random.key(7), "train").action
    assert np.all(anew != actions[6])
    # Noise is a function of whatever features there are, of a network of one's own, too.
    wide = networks.mlp([5], activate_final=True)
    own = ppo.make(pendulum.spec, ppo.PPOHParams(noise_period=3, **SIZES), network=wide)
    acted = own.act(own.init(random.key(0)).policy, own.init_actor(2), observation, random.key(1), "train")
    assert acted.actor_state[1].draws.shape == (2, 5)
    with pytest.raises(ValueError, match="noise_period is 3, expected 0 for Discrete"):
        ppo.make(ENV.spec, ppo.PPOHParams(noise_period=3))


def test_where_environments_begin_anew_no_return_goes_on():
    agent = ppo.make(ENV.spec, ppo.PPOHParams(**SIZES, rollout_length=8, normalize_rewards=True))
    state = agent.init(KEY)
    state, _ = tf.function(agent.update, jit_compile=True)(state, rollout_of(agent, state, 8), KEY)
    assert np.all(state.rewards.returns > 1)
    cut = agent.cut(state)
    assert not np.any(cut.rewards.returns)
    assert cut.rewards.moments is state.rewards.moments


def test_a_policy_may_have_no_hidden_layer():
    agent = ppo.make(ENV.spec, ppo.PPOHParams(num_envs=4, hidden_sizes=()))
    params = agent.init(random.key(0)).policy.params
    assert sorted(leaf.shape.as_list() for leaf in tf.nest.flatten(params)) == [[1], [2], [4, 1], [4, 2]]


def test_novelty_is_rewarded_until_it_is_known():
    seen = []

    def spy(state, trajectory, key):
        seen.append(trajectory.reward)
        return state, {}

    hparams = ppo.PPOHParams(num_minibatches=1, rollout_length=8, **SIZES)
    plain = ppo.make(ENV.spec, hparams)
    settings = {"weight": 0.5, "sizes": (16,), "learning_rate": 1e-2, "gamma": 0.9}
    agent = rnd.with_novelty(plain._replace(update=spy), ENV.spec, **settings)
    state = agent.init(random.key(0))
    trajectory, target = rollout_of(agent, state, 8), state.target_params
    novelties = []
    for _ in range(60):
        state, metrics = agent.update(state, trajectory, KEY)
        novelties.append(float(metrics["novelty"]))
    assert novelties[-1] < 0.25 * novelties[0]
    assert not any(leaves_differ(target, state.target_params))
    assert np.all(seen[0] > trajectory.reward)
    np.testing.assert_allclose(tf.reduce_mean(seen[-1] - trajectory.reward), metrics["bonus"], rtol=1e-4)
    # Returns of bonuses have no end: with no discount their deviation grows for ever, and takes the bonus away.
    with pytest.raises(ValueError, match=r"with_novelty: gamma is 1, expected a number in \[0, 1\)"):
        rnd.with_novelty(plain, ENV.spec, **{**settings, "gamma": 1.0})
