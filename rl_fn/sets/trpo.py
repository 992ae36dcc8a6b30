"""Sets for `rl_fn.agents.trpo`."""

from rl_fn.sets.registry import register

register(
    "trpo",
    agent="trpo",
    values={"normalize_observations": True, "normalize_rewards": True},
    doc="TRPO with normalised observations and rewards, for any environment.",
)

register(
    "trpo_cartpole",
    agent="trpo",
    env="CartPole-v1",
    values={"train_steps": 300_000, "num_envs": 8, "learning_rate": 1e-3},
    doc="TRPO on CartPole.",
)
