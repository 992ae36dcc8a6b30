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

register(
    "pqn_minatar_breakout",
    agent="pqn",
    env="MinAtar/Breakout-v1",
    values={
        "train_steps": 10_000_000,
        "num_envs": 128,
        "rollout_length": 32,
        "num_epochs": 2,
        "num_minibatches": 32,
        "trace_lambda": 0.65,
        "torso": "minatar",
        "hidden_sizes": (128,),
        "exploration_fraction": 0.1,
    },
    doc="PQN on MinAtar Breakout with sticky actions, with the settings of its authors.",
)
