"""Sets for `rl_fn.agents.awr`; the data are named with `--dataset`."""

from rl_fn.sets.registry import register

register(
    "awr",
    agent="awr",
    doc="AWR with its defaults, for any environment, from a data set.",
)

register(
    "awr_pendulum",
    agent="awr",
    env="Pendulum-v1",
    values={"train_steps": 100_000},
    doc="AWR from a data set of Pendulum.",
)

register(
    "awr_cartpole",
    agent="awr",
    env="CartPole-v1",
    values={"train_steps": 100_000},
    doc="AWR from a data set of CartPole.",
)
