"""Sets for `rl_fn.agents.mpo`."""

from rl_fn.sets.registry import register

register(
    "mpo",
    agent="mpo",
    doc="MPO with its defaults, for a bounded Box.",
)

register(
    "mpo_pendulum",
    agent="mpo",
    env="Pendulum-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "target_period": 25,
        "epsilon_mean": 1e-2,
    },
    doc="MPO on Pendulum, one gradient step per four environment steps.",
)
