"""Sets for `rl_fn.agents.a2c`."""

from rl_fn.sets.registry import register

register(
    "a2c",
    agent="a2c",
    values={"normalize_observations": True, "normalize_rewards": True},
    doc="A2C with normalised observations and rewards, for any environment.",
)

register(
    "a2c_cartpole",
    agent="a2c",
    env="CartPole-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 8,
        "rollout_length": 16,
        "gae_lambda": 0.95,
        "learning_rate": 2e-3,
        "entropy_cost": 0.001,
    },
    doc="A2C on CartPole.",
)
