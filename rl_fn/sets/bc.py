"""Sets for `rl_fn.agents.bc`; the data are named with `--dataset`."""

from rl_fn.sets.registry import register

register(
    "bc",
    agent="bc",
    doc="Behaviour cloning with its defaults, for any environment, from a data set.",
)

register(
    "bc_pendulum",
    agent="bc",
    env="Pendulum-v1",
    values={"train_steps": 100_000},
    doc="Behaviour cloning from a data set of Pendulum.",
)

register(
    "bc_cartpole",
    agent="bc",
    env="CartPole-v1",
    values={"train_steps": 100_000},
    doc="Behaviour cloning from a data set of CartPole.",
)
