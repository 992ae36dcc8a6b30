"""What `auto_reset` sees to: spaces that count from 0, and outcomes of the right shape."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, random
from rl_fn.agents import dqn
from rl_fn.struct import EnvSpec

FLOORS = spaces.Dict({"floor": spaces.Discrete(5, start=-2), "both": spaces.MultiDiscrete([5, 9], start=[-2, 1])})


def lift(reward=None, terminated=None, observe=None, action_space=None):
    """Goes to the floor that is asked for; all in the numbers of the house, whose cellars are -2 and -1."""

    def dynamics(state, action, key):
        del state, key
        floor = tf.cast(action, tf.int32)
        paid = tf.cast(floor, tf.float32) if reward is None else reward(floor)
        return floor, paid, (floor == 2) if terminated is None else terminated(floor)

    def look(floor):
        return {"floor": floor, "both": tf.cast(tf.stack([floor, floor + 3], axis=-1), tf.int64)}

    action_space = action_space or spaces.Discrete(5, start=-2)
    spec = EnvSpec("Lift-v0", FLOORS, action_space, max_episode_steps=3)
    return envs.auto_reset(spec, lambda key, num: tf.fill([num], -1), dynamics, observe or look)


def test_dynamics_count_as_the_space_does_and_agents_from_zero():
    env = lift()
    assert env.spec.action_space == spaces.Discrete(5)
    assert env.spec.observation_space == spaces.Dict(
        {"floor": spaces.Discrete(5), "both": spaces.MultiDiscrete([5, 9])}
    )
    state, observation = env.reset(random.key(0), 3)
    np.testing.assert_array_equal(observation["floor"], [1, 1, 1])
    np.testing.assert_array_equal(observation["both"], [[1, 1]] * 3)
    state, outcome = env.step(state, tf.constant([0, 3, 4]), random.key(1))
    np.testing.assert_array_equal(outcome.reward, [-2, 1, 2])
    np.testing.assert_array_equal(outcome.terminated, [False, False, True])
    np.testing.assert_array_equal(outcome.next_observation["floor"], [0, 3, 4])
    np.testing.assert_array_equal(outcome.next_observation["both"], [[0, 0], [3, 3], [4, 4]])
    np.testing.assert_array_equal(outcome.observation["floor"], [0, 3, 1])


def test_every_action_of_an_agent_is_a_floor():
    env = lift()
    agent = dqn.make(env.spec, dqn.DQNHParams(num_envs=4, hidden_sizes=(4,)))
    policy = agent.init(random.key(0)).policy
    state, observation = env.reset(random.key(0), 4)
    for step in range(10):
        key = random.fold_in(random.key(1), step)
        acted = agent.act(policy, agent.init_actor(4), observation, key, "train")
        state, outcome = env.step(state, acted.action, key)
        observation = outcome.observation
        assert set(outcome.reward.numpy()) <= {-2, -1, 0, 1, 2}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"reward": lambda x: tf.ones([3, 1])}, r"Lift-v0: the reward is float32\[3, 1\], expected float32\[3\]"),
        ({"reward": lambda x: x}, r"Lift-v0: the reward is int32\[3\], expected float32\[3\]"),
        ({"reward": lambda x: 1.0}, r"Lift-v0: the reward is float32\[\], expected float32\[3\]"),
        ({"terminated": lambda x: x}, r"Lift-v0: terminated is int32\[3\], expected bool\[3\]"),
        ({"observe": lambda x: x}, r"Lift-v0: the observation is .*, its space says \{"),
        (
            {"observe": lambda x: {"floor": tf.cast(x, tf.int64), "both": tf.zeros([3, 2], tf.int64)}},
            r"Lift-v0: an observation is int64\[3\], expected int32\[3\]",
        ),
    ],
)
def test_outcomes_of_another_shape_are_refused(parts, message):
    env = lift(**parts)
    with pytest.raises(ValueError, match=message):
        env.step(env.reset(random.key(0), 3)[0], tf.constant([0, 3, 4]), random.key(1))
