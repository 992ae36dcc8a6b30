"""Sets for `rl_fn.agents.td3`."""

from rl_fn.sets.registry import register

register(
    "td3",
    agent="td3",
    doc="TD3 with its defaults, for a bounded Box.",
)

register(
    "td3_pendulum",
    agent="td3",
    env="Pendulum-v1",
    values={"train_steps": 20_000, "replay_capacity": 20_000},
    doc="TD3 on Pendulum, one gradient step per environment step.",
)
