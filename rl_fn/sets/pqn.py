"""Sets for `rl_fn.agents.pqn`."""

from rl_fn.sets.registry import register

register(
    "pqn",
    agent="pqn",
    doc="PQN with its defaults, for any discrete actions.",
)

register(
    "pqn_cartpole",
    agent="pqn",
    env="CartPole-v1",
    values={"train_steps": 500_000},
    doc="PQN on CartPole.",
)
