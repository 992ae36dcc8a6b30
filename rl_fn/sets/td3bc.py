"""Sets for `rl_fn.agents.td3bc`; the data are named with `--dataset`."""

from rl_fn.sets.registry import register

register(
    "td3bc",
    agent="td3bc",
    doc="TD3+BC with its defaults, for a bounded Box, from a data set.",
)

register(
    "td3bc_pendulum",
    agent="td3bc",
    env="Pendulum-v1",
    values={"train_steps": 100_000, "hidden_sizes": (64, 64), "batch_size": 128},
    doc="TD3+BC from a data set of Pendulum.",
)
