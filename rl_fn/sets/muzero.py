"""Sets for `rl_fn.agents.muzero`."""

from rl_fn.sets.registry import register

register(
    "muzero",
    agent="muzero",
    doc="MuZero with its defaults, for any discrete actions.",
)

register(
    "muzero_cartpole",
    agent="muzero",
    env="CartPole-v1",
    values={"train_steps": 200_000},
    doc="MuZero on CartPole.",
)

register(
    "muzero_catch",
    agent="muzero",
    env="Catch-bsuite",
    values={"train_steps": 200_000},
    doc="MuZero on Catch.",
)
