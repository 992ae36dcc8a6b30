"""Continuous actions in a Box whose bounds are neither symmetric nor alike."""

import numpy as np
import pytest

from rl_fn import envs, loops, random, sets
from rl_fn.envs.compiled.quadratic_reward import TARGET

# How near the action must come to the best one. PPO's second action ends at its lower bound, at just that distance:
# all draws below a bound are worth the same, and the mean stays where it got there. That costs 0.01 of the return.
COMMON = {"train_steps": 5_000, "hidden_sizes": (64, 64)}
AGENTS = {
    "sac": (
        0.05,
        {
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
    ),
    "ppo": (
        0.1,
        {**COMMON, "rollout_length": 32, "learning_rate": 1e-2, "entropy_cost": 0.0, "clip_value_loss": False},
    ),
}


@pytest.mark.parametrize("name", AGENTS)
def test_the_best_action_of_an_asymmetric_box_is_found(name):
    tolerance, settings = AGENTS[name]
    env = envs.make("QuadraticReward")
    values = sets.make(sets.SETS[name], **settings)
    agent = sets.agent_module(name).make(env.spec, values)
    step = loops.train_step(agent, env)
    compiled = loops.compile(step, loops.init_state(agent, env, random.key(0)))
    compiled.run(values.num_iterations)
    policy = compiled.read(lambda state: state.agent.policy)
    action = agent.act(policy, (), np.ones((1, 1), np.float32), random.key(1), "eval").action[0]
    np.testing.assert_allclose(action, TARGET, atol=tolerance)
