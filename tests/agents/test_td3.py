import itertools

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random, struct
from rl_fn.agents import td3

SMALL = td3.TD3HParams(train_steps=400, learning_starts=16, batch_size=8, num_envs=2, hidden_sizes=(8,))


def test_actions_reach_all_of_an_asymmetric_box_and_are_those_of_the_policy_in_evaluation():
    space = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32))
    spec = struct.EnvSpec("box", spaces.Box(-1, 1, (3,)), space)
    agent = td3.make(spec, SMALL.override(exploration_noise=1.0))
    policy, observations = agent.init(random.key(0)).policy, random.normal(random.key(1), [500, 3])
    for num_updates in (0, 1_000):  # at random, and by the policy with noise
        policy = policy._replace(num_updates=tf.constant(num_updates))
        action = agent.act(policy, agent.init_actor(500), observations, random.key(2), "train").action.numpy()
        assert np.all((action >= space.low) & (action <= space.high))
        assert np.all(np.ptp(action, axis=0) > 0.9 * (space.high - space.low))
    greedy = agent.act(policy, agent.init_actor(500), observations, random.key(2), "eval").action.numpy()
    np.testing.assert_array_equal(
        greedy, agent.act(policy, agent.init_actor(500), observations, random.key(3), "eval").action
    )


def test_the_policy_and_the_targets_move_every_second_time():
    env = envs.make("Pendulum-v1")
    agent = td3.make(env.spec, SMALL)
    compiled = loops.compile(loops.train_step(agent, env), loops.init_state(agent, env, random.key(0)))
    compiled.run(12)
    seen = [compiled.read(lambda state: state.agent.learner)]
    for _ in range(4):
        compiled.run(1)
        seen.append(compiled.read(lambda state: state.agent.learner))
    counts = [int(learner.gradient_steps) for learner in seen]
    np.testing.assert_array_equal(np.diff(counts), 1)
    for before, after in itertools.pairwise(seen):
        changed = lambda part, before=before, after=after: any(
            np.any(a != b)
            for a, b in zip(tf.nest.flatten(getattr(before, part)), tf.nest.flatten(getattr(after, part)), strict=True)
        )
        assert changed("critics")
        assert changed("actor") == changed("target_params") == (int(after.gradient_steps) % 2 == 0)


def test_targets_move_by_the_step_size():
    hparams = SMALL.override(policy_delay=1, target_step_size=0.25)
    env = envs.make("Pendulum-v1")
    agent = td3.make(env.spec, hparams)
    compiled = loops.compile(loops.train_step(agent, env), loops.init_state(agent, env, random.key(0)))
    compiled.run(10)
    before = compiled.read(lambda state: state.agent.learner)
    compiled.run(1)
    after = compiled.read(lambda state: state.agent.learner)
    for old, new, target in zip(
        *map(tf.nest.flatten, (before.target_params, (after.actor.params, after.critics.params), after.target_params)),
        strict=True,
    ):
        np.testing.assert_allclose(target, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(-np.inf, np.inf, (2,))])
def test_other_actions_are_refused(space):
    with pytest.raises(ValueError, match=r"td3 needs a Box of actions with finite bounds|a bound that is not finite"):
        td3.make(struct.EnvSpec("other", spaces.Box(-1, 1, (3,)), space), SMALL)
