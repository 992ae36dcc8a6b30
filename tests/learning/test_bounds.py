"""Continuous actions in Boxes whose bounds are neither symmetric nor alike, wide and narrow ones."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random, sets
from rl_fn.envs.compiled import quadratic_reward
from rl_fn.struct import EnvSpec

LOW, HIGH, BEST = np.array([[-1, 0, 5, -5_000], [3, 0.5, 5.01, 5_000], [2.2, 0.1, 5.007, -2_000]], np.float32)
WIDTH = HIGH - LOW

COMMON = {"train_steps": 5_000, "hidden_sizes": (64, 64)}
OFF_POLICY = {
    **COMMON,
    "num_envs": 4,
    "learning_starts": 200,
    "batch_size": 64,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "gradient_steps": 4,
}
# At 1e-3 the weight of the entropy still blurs the best action.
SOFT = {**OFF_POLICY, "temperature_learning_rate": 1e-2, "target_entropy_scale": 3.0}
DETERMINISTIC = {**OFF_POLICY, "exploration_noise": 0.2}
SMALL_STEPS = {"actor_learning_rate": 3e-4, "target_period": 20, "epsilon_mean": 1e-2, "epsilon_stddev": 1e-3}
AGENTS = {
    "crossq": {**SOFT, "critic_sizes": (64, 64)},
    "d4pg": {**DETERMINISTIC, "v_min": -10.0, "v_max": 0.0, "n_step": 1},
    "ddpg": DETERMINISTIC,
    "droq": {**SOFT, "policy_delay": 1},
    "mpo": {**OFF_POLICY, **SMALL_STEPS},
    "redq": {**SOFT, "num_critics": 5, "policy_delay": 1},
    "sac": SOFT,
    "td3": DETERMINISTIC,
    "tqc": {**SOFT, "num_critics": 2},
}
PPO = {**COMMON, "rollout_length": 32, "learning_rate": 1e-2, "entropy_cost": 0.0, "clip_value_loss": False}


def quadratic(width):
    """One action in a Box of that width, best at seven tenths of it; the reward is minus the squared distance."""
    low = np.float32([-1.0])
    best = low + np.float32(0.7 * width)
    spec = EnvSpec("Quadratic", spaces.Box(1, 1, (1,), np.float32), spaces.Box(low, low + np.float32(width)))

    def dynamics(state, action, key):
        return state, -tf.reduce_sum(tf.square(action - best), axis=1), tf.ones(state.shape[:1], tf.bool)

    return envs.auto_reset(spec, lambda key, batch_size: tf.ones([batch_size, 1]), dynamics, tf.identity), best


def learned_action(name, env, settings):
    values = sets.make(sets.SETS[name], **settings)
    agent = sets.agent_module(name).make(env.spec, values)
    step = loops.train_step(agent, env)
    compiled = loops.compile(step, loops.init_state(agent, env, random.key(0)))
    compiled.run(values.num_iterations)
    policy = compiled.read(lambda state: state.agent.policy)
    return agent.act(policy, agent.init_actor(1), np.ones((1, 1), np.float32), random.key(1), "eval").action[0]


@pytest.mark.parametrize("name", AGENTS)
def test_the_best_action_is_found_along_axes_of_any_width(name):
    env = envs.make("QuadraticReward", low=LOW, high=HIGH, target=BEST, unit=WIDTH / 2)
    action = learned_action(name, env, AGENTS[name])
    np.testing.assert_allclose((action - BEST) / WIDTH, 0, atol=0.025)


def test_ppo_finds_the_best_action_of_an_asymmetric_box():
    distance = np.abs(learned_action("ppo", envs.make("QuadraticReward"), PPO) - quadratic_reward.TARGET)
    assert np.all(distance <= [0.1, 0.0125])


@pytest.mark.parametrize("width", [4.0, 0.5, 0.05])
def test_ppo_finds_the_best_action_of_a_box_of_any_width(width):
    env, best = quadratic(width)
    np.testing.assert_allclose(learned_action("ppo", env, PPO), best, atol=0.025 * width)


def test_ppo_finds_the_best_of_several_choices():
    best = np.int32([2, 0, 1])
    spec = EnvSpec("Choices", spaces.Box(1, 1, (1,), np.float32), spaces.MultiDiscrete([3, 2, 4]))

    def dynamics(state, action, key):
        right = tf.reduce_sum(tf.cast(action == best, tf.float32), axis=1)
        return state, right, tf.ones(state.shape[:1], tf.bool)

    env = envs.auto_reset(spec, lambda key, batch_size: tf.ones([batch_size, 1]), dynamics, tf.identity)
    np.testing.assert_array_equal(learned_action("ppo", env, PPO), best)
