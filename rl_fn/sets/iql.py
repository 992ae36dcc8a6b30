"""Sets for `rl_fn.agents.iql`; the data are named with `--dataset`."""

from rl_fn.sets.registry import register

register(
    "iql",
    agent="iql",
    doc="IQL with its defaults, for Discrete actions or a Box, from a data set.",
)

register(
    "iql_pendulum",
    agent="iql",
    env="Pendulum-v1",
    values={
        "train_steps": 100_000,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "expectile": 0.9,
        "temperature": 10.0,  # advantages are tens here; the paper has rewards of a thousand in a whole episode
    },
    doc="IQL from a data set of Pendulum.",
)

register(
    "iql_cartpole",
    agent="iql",
    env="CartPole-v1",
    values={"train_steps": 100_000},
    doc="IQL from a data set of CartPole.",
)
