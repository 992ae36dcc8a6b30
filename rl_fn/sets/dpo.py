"""Sets for `rl_fn.agents.dpo`."""

from rl_fn.sets.registry import register

register(
    "dpo",
    agent="dpo",
    values={"learning_rate": 1e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="DPO with normalised observations and rewards, for any environment.",
)

register(
    "dpo_cartpole",
    agent="dpo",
    env="CartPole-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 4,
        "learning_rate": 1e-3,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="DPO on CartPole.",
)
