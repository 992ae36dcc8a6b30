"""Continuous actions in a Box whose bounds are neither symmetric nor alike."""

import numpy as np
import pytest

from rl_fn import envs, loops, random, sets
from rl_fn.envs.compiled.quadratic_reward import TARGET

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


# PPO's second action ends at its lower bound, at just that distance: all draws below a bound are worth the same, and
# the mean stays where it got there. That costs 0.01 of the return.
def test_ppo_finds_the_best_action_of_an_asymmetric_box():
    np.testing.assert_allclose(learned_action("ppo", envs.make("QuadraticReward"), PPO), TARGET, atol=0.1)
