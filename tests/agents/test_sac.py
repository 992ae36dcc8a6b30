import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random, struct
from rl_fn.agents import sac

PENDULUM = envs.make("Pendulum-v1")
SMALL = sac.SACHParams(train_steps=400, learning_starts=64, batch_size=32, num_envs=2).override(hidden_sizes=(16, 16))


def test_actions_reach_all_of_an_asymmetric_box_and_never_leave_it():
    space = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32))
    spec = struct.EnvSpec("box", spaces.Box(-1, 1, (3,)), space)
    agent = sac.make(spec, SMALL)
    policy = agent.init(random.key(0)).policy
    observations = random.normal(random.key(1), [500, 3])
    for num_updates in (0, 1_000):
        acted = agent.act(
            policy._replace(num_updates=tf.constant(num_updates)), (), observations, random.key(2), "train"
        )
        action = acted.action.numpy()
        assert np.all((action >= space.low) & (action <= space.high))
        assert np.all(np.ptp(action, axis=0) > 0.8 * (space.high - space.low))
    greedy = agent.act(policy, (), observations, random.key(2), "eval").action.numpy()
    np.testing.assert_array_equal(greedy, agent.act(policy, (), observations, random.key(3), "eval").action)


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1"])
def test_everything_is_learned_and_the_target_critics_follow_slowly(name):
    env = envs.make(name)
    agent = sac.make(env.spec, SMALL)
    step = loops.train_step(agent, env)
    compiled = loops.compile(step, loops.init_state(agent, env, random.key(0)))
    compiled.run(20)
    before = compiled.read(lambda state: state.agent.learner)
    compiled.run(40)
    after = compiled.read(lambda state: state.agent.learner)
    for part in ("actor", "critics", "target_params", "log_temperature"):
        old, new = (tf.nest.flatten(getattr(learner, part)) for learner in (before, after))
        assert all(np.any(a != b) for a, b in zip(old, new, strict=True)), part
    moved = lambda old, new: max(
        np.abs(a - b).max() for a, b in zip(tf.nest.flatten(old), tf.nest.flatten(new), strict=True)
    )
    targets = moved(before.target_params, after.target_params)
    assert targets < 0.5 * moved(before.critics.params, after.critics.params)


def test_unbounded_actions_are_refused():
    spec = struct.EnvSpec("box", spaces.Box(-1, 1, (3,)), spaces.Box(-np.inf, np.inf, (2,)))
    with pytest.raises(ValueError, match="sac needs a Discrete action space or a Box with finite bounds, box has Box"):
        sac.make(spec, SMALL)
