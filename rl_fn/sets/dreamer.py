"""Sets for `rl_fn.agents.dreamer`."""

from rl_fn.sets.registry import register

register(
    "dreamer",
    agent="dreamer",
    doc="Dreamer with its defaults, for Discrete actions or a bounded Box, from vectors or images.",
)

register(
    "dreamer_pendulum",
    agent="dreamer",
    env="Pendulum-v1",
    values={"train_steps": 20_000},
    doc="Dreamer on Pendulum.",
)

register(
    "dreamer_cartpole",
    agent="dreamer",
    env="CartPole-v1",
    values={"train_steps": 20_000},
    doc="Dreamer on CartPole.",
)

register(
    "dreamer_catch",
    agent="dreamer",
    env="Catch-bsuite",
    values={"train_steps": 20_000},
    doc="Dreamer on Catch.",
)

register(
    "dreamer_catch_pixels",
    agent="dreamer",
    env="CatchPixels-bsuite",
    values={"train_steps": 20_000, "replay_capacity": 20_000},  # of 12 kB each
    doc="Dreamer on Catch from pixels.",
)

register(
    "dreamer_memory_chain",
    agent="dreamer",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 10},
    values={"train_steps": 100_000},
    doc="Dreamer on a memory chain of length 10.",
)

register(
    "dreamer_minatar_breakout",
    agent="dreamer",
    env="MinAtar/Breakout-v1",
    values={"train_steps": 200_000},
    doc="Dreamer on MinAtar Breakout with sticky actions, from images of ten by ten.",
)
