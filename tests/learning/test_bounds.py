"""Continuous actions in Boxes whose bounds are neither symmetric nor alike, wide and narrow ones."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random, sets
from rl_fn.envs.compiled import quadratic_reward
from rl_fn.struct import EnvSpec

COMMON = {"train_steps": 5_000, "hidden_sizes": (64, 64)}
AGENTS = {
    "sac": {
        **COMMON,
        "num_envs": 4,
        "learning_starts": 200,
        "batch_size": 64,
        "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "temperature_learning_rate": 1e-2,  # at 1e-3 the weight of the entropy still blurs the best action
        "gradient_steps": 4,
        "target_entropy_scale": 6.0,
    },
    "ppo": {**COMMON, "rollout_length": 32, "learning_rate": 1e-2, "entropy_cost": 0.0, "clip_value_loss": False},
}


def quadratic(width):
    """One action in a Box of that width, best at seven tenths of it; the reward is minus the squared distance."""
    low = np.float32([-1.0])
    best = low + np.float32(0.7 * width)
    spec = EnvSpec("Quadratic", spaces.Box(1, 1, (1,), np.float32), spaces.Box(low, low + np.float32(width)))

    def dynamics(state, action, key):
        return state, -tf.reduce_sum(tf.square(action - best), axis=1), tf.ones(state.shape[:1], tf.bool)

    return envs.auto_reset(spec, lambda key, batch_size: tf.ones([batch_size, 1]), dynamics, tf.identity), best


def learned(name, env):
    values = sets.make(sets.SETS[name], **AGENTS[name])
    agent = sets.agent_module(name).make(env.spec, values)
    step = loops.train_step(agent, env)
    compiled = loops.compile(step, loops.init_state(agent, env, random.key(0)))
    compiled.run(values.num_iterations)
    policy = compiled.read(lambda state: state.agent.policy)
    return agent.act(policy, agent.init_actor(1), np.ones((1, 1), np.float32), random.key(1), "eval").action[0]


@pytest.mark.parametrize(("name", "tolerance"), [("sac", [0.05, 0.05]), ("ppo", [0.1, 0.0125])])
def test_the_best_action_of_an_asymmetric_box_is_found(name, tolerance):
    distance = np.abs(learned(name, envs.make("QuadraticReward")) - quadratic_reward.TARGET)
    assert np.all(distance <= tolerance)


@pytest.mark.parametrize("width", [4.0, 0.5, 0.05])
def test_ppo_finds_the_best_action_of_a_box_of_any_width(width):
    env, best = quadratic(width)
    np.testing.assert_allclose(learned("ppo", env), best, atol=0.025 * width)


def test_ppo_finds_the_best_of_several_choices():
    best = np.int32([2, 0, 1])
    spec = EnvSpec("Choices", spaces.Box(1, 1, (1,), np.float32), spaces.MultiDiscrete([3, 2, 4]))

    def dynamics(state, action, key):
        right = tf.reduce_sum(tf.cast(action == best, tf.float32), axis=1)
        return state, right, tf.ones(state.shape[:1], tf.bool)

    env = envs.auto_reset(spec, lambda key, batch_size: tf.ones([batch_size, 1]), dynamics, tf.identity)
    np.testing.assert_array_equal(learned("ppo", env), best)
