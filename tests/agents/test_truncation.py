"""Each agent values an episode that is cut off as if it went on, and one that ends as if it ended."""

import numpy as np
import pytest
from gymnasium import spaces

from rl_fn import envs, loops, random, sets

GAMMA, LENGTH = 0.9, 10
COMMON = {"gamma": GAMMA, "num_envs": 8, "hidden_sizes": (16,)}
ON_POLICY = {**COMMON, "train_steps": 40_000, "rollout_length": 32, "learning_rate": 5e-3}
PLAIN = {"normalize_observations": False, "normalize_rewards": False}
OFF_POLICY = {
    **COMMON,
    "train_steps": 16_000,
    "rollout_length": 2,
    "gradient_steps": 1,
    "batch_size": 32,
    "replay_capacity": 2_000,
}
DIRECT = {**OFF_POLICY, "critic_learning_rate": 5e-3, "target_step_size": 0.2}
ENTROPIC = {**OFF_POLICY, "critic_learning_rate": 5e-3, "initial_temperature": 1e-3, "target_entropy_scale": 0.0}
SOFT = {**ENTROPIC, "target_step_size": 0.05}
OF_BOXES = ("crossq", "d4pg", "mpo", "td3", "tqc")
# agent -> the metric that holds its value of the one state there is, and hyper-parameters
AGENTS = {
    "ppo": ("value", {**ON_POLICY, **PLAIN}),
    "ppo_gru": ("value", {**ON_POLICY, **PLAIN, "memory": "gru", "sequence_length": 16}),
    "a2c": ("value", {**ON_POLICY, **PLAIN, "rollout_length": 16}),
    "ppg": ("value", {**ON_POLICY, **PLAIN, "policy_phase": 4, "auxiliary_epochs": 1}),
    "trpo": ("value", {**ON_POLICY, **PLAIN, "num_epochs": 4}),
    "vmpo": ("value", {**ON_POLICY, **PLAIN}),
    "vpg": ("value", {**ON_POLICY, **PLAIN, "rollout_length": 8, "train_steps": 60_000}),
    "appo": ("value", {**ON_POLICY, "rollout_length": 8, "actor_lag": 2, "max_grad_norm": 10.0}),
    "impala": ("value", {**ON_POLICY, "rollout_length": 8, "actor_lag": 2, "max_grad_norm": 10.0}),
    "dqn": ("q_value", {**OFF_POLICY, "learning_rate": 5e-3, "loss": "l2", "target_period": 25}),
    "bootstrapped": ("q_value", {**OFF_POLICY, "learning_rate": 5e-3, "target_period": 25, "num_heads": 3}),
    "pqn": ("q_value", {**ON_POLICY, "num_minibatches": 4, "num_epochs": 2, "learning_rate": 5e-3}),
    "r2d2": (
        "q_value",
        {
            **OFF_POLICY,
            "learning_rate": 5e-3,
            "target_period": 25,
            "memory_units": 8,
            "stream_sizes": (),
            "sequence_length": 4,
            "burn_in": 2,
            "sequence_period": 4,
            "value_transform": "identity",
        },
    ),
    "rainbow": (
        "q_value",
        {**OFF_POLICY, "learning_rate": 2e-3, "target_period": 25, "v_min": 0.0, "v_max": 20.0, "stream_sizes": (16,)},
    ),
    "crossq": ("q_value", {**ENTROPIC, "critic_sizes": (16,)}),
    "d4pg": ("q_value", {**DIRECT, "v_min": 0.0, "v_max": 20.0}),
    "ddpg": ("q_value", DIRECT),
    "dreamer": (
        "value",
        {
            **{name: value for name, value in OFF_POLICY.items() if name != "hidden_sizes"},
            "size": "0.1m",
            "sequence_length": 4,
            "batch_size": 8,
            "horizon": 5,
            "learning_rate": 2e-3,
            "train_steps": 32_000,
        },
    ),
    "mpo": ("q_value", {**OFF_POLICY, "critic_learning_rate": 5e-3, "target_period": 5, "num_samples": 2}),
    "sac": ("q_value", SOFT),
    "td3": ("q_value", DIRECT),
    "tqc": ("q_value", {**SOFT, "num_critics": 2, "num_quantiles": 5, "num_dropped": 0}),
}


def value(name, env_name):
    metric, settings = AGENTS[name]
    actions = {"action_space": spaces.Box(-1, 1, (1,))} if name in OF_BOXES else {}
    env = envs.make(env_name, **actions)
    agent_name = name.partition("_")[0]
    values = sets.make(sets.SETS[agent_name], **settings)
    agent = sets.agent_module(agent_name).make(env.spec, values)
    step = loops.train_step(agent, env)
    compiled = loops.compile(step, loops.init_state(agent, env, random.key(0)))
    compiled.run(values.num_iterations - 20)
    metrics, _ = loops.summarize(compiled.run(20), 20)
    return metrics[metric]


@pytest.mark.parametrize("name", AGENTS)
def test_a_truncated_episode_is_worth_as_much_as_an_endless_one(name):
    np.testing.assert_allclose(value(name, "ConstantReward-truncated"), 1 / (1 - GAMMA), atol=0.5)


# With a memory the time is known, and values fall as the end comes nearer.
@pytest.mark.parametrize("name", AGENTS)
def test_a_terminated_episode_is_worth_less(name):
    assert 1 < value(name, "ConstantReward-terminated") < (1 - GAMMA**LENGTH) / (1 - GAMMA) + 0.08
