"""Sets for `rl_fn.agents.tqc`."""

from rl_fn.sets.registry import register

register(
    "tqc",
    agent="tqc",
    doc="TQC with its defaults, for a bounded Box.",
)

register(
    "tqc_mountaincar_continuous",
    agent="tqc",
    env="MountainCarContinuous-v0",
    values={
        "train_steps": 50_000,
        "num_envs": 4,
        "gradient_steps": 2,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "num_critics": 2,
        "gamma": 0.999,
        "n_step": 5,
        "noise_damping": 0.02,  # or no actor ever reaches the top, and standing still is best
    },
    doc="TQC on MountainCarContinuous.",
)
