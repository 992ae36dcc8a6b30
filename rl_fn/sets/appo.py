"""Sets for `rl_fn.agents.appo`."""

from rl_fn.sets.registry import register

register(
    "appo",
    agent="appo",
    doc="APPO with its defaults, for any environment.",
)

register(
    "appo_cartpole",
    agent="appo",
    env="CartPole-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 8,
        "rollout_length": 5,
        "num_epochs": 1,
        "learning_rate": 7e-4,
        "max_grad_norm": 0.5,
    },
    doc="APPO on CartPole, with actors one update behind.",
)
