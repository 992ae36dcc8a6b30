"""Sets for `rl_fn.agents.cql`; the data are named with `--dataset`."""

from rl_fn.sets.registry import register

register(
    "cql",
    agent="cql",
    doc="CQL with its defaults, for Discrete actions or a bounded Box, from a data set.",
)

register(
    "cql_pendulum",
    agent="cql",
    env="Pendulum-v1",
    values={"train_steps": 100_000, "hidden_sizes": (64, 64), "batch_size": 128},
    doc="CQL from a data set of Pendulum.",
)

register(
    "cql_cartpole",
    agent="cql",
    env="CartPole-v1",
    values={"train_steps": 100_000},
    doc="CQL from a data set of CartPole.",
)
