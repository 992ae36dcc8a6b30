"""Sets for `rl_fn.agents.redq`."""

from rl_fn.sets.registry import register

register(
    "redq",
    agent="redq",
    doc="REDQ with its defaults, twenty gradient steps per environment step, for discrete actions or a bounded Box.",
)

register(
    "redq_pendulum",
    agent="redq",
    env="Pendulum-v1",
    values={
        "train_steps": 5_000,
        "replay_capacity": 5_000,
        "learning_starts": 500,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "num_critics": 5,
        "actor_learning_rate": 1e-3,
        "gradient_steps": 10,
        "policy_delay": 5,
    },
    doc="REDQ on Pendulum, ten gradient steps per environment step.",
)
