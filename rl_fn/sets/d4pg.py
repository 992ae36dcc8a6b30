"""Sets for `rl_fn.agents.d4pg`."""

from rl_fn.sets.registry import register

register(
    "d4pg",
    agent="d4pg",
    doc="D4PG with its defaults, for discrete actions or a bounded Box.",
)

register(
    "d4pg_pendulum",
    agent="d4pg",
    env="Pendulum-v1",
    values={
        "train_steps": 20_000,
        "replay_capacity": 20_000,
        "v_min": -1_000.0,
        "v_max": 0.0,
        "num_atoms": 101,
        "gamma": 0.98,
        "n_step": 3,
    },
    doc="D4PG on Pendulum, one gradient step per environment step.",
)
