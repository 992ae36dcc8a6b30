"""Sets for `rl_fn.agents.r2d2`."""

from rl_fn.sets.registry import register

register(
    "r2d2",
    agent="r2d2",
    doc="R2D2 with its defaults, for any discrete actions.",
)

register(
    "r2d2_memory_chain",
    agent="r2d2",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 10},
    values={"train_steps": 300_000},
    doc="R2D2 on a memory chain of length 10.",
)

register(
    "r2d2_cartpole",
    agent="r2d2",
    env="CartPoleNoVel-v1",
    values={"train_steps": 300_000},
    doc="R2D2 on CartPole without velocities.",
)
