"""Sets for `rl_fn.agents.ppg`."""

from rl_fn.sets.registry import register

register(
    "ppg",
    agent="ppg",
    values={"learning_rate": 1e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="PPG with normalised observations and rewards, for any environment.",
)

register(
    "ppg_cartpole",
    agent="ppg",
    env="CartPole-v1",
    values={"train_steps": 500_000, "num_envs": 4, "num_epochs": 4, "learning_rate": 5e-4},
    doc="PPG on CartPole.",
)
