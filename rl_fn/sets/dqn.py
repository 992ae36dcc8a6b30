"""Sets for `rl_fn.agents.dqn`."""

from rl_fn.sets.registry import register

register(
    "dqn",
    agent="dqn",
    doc="Double DQN with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "dqn_cartpole",
    agent="dqn",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
    },
    doc="Double DQN on CartPole, one gradient step per environment step.",
)

register(
    "dqn_minatar_breakout",
    agent="dqn",
    env="MinAtar/Breakout-v1",
    values={
        "train_steps": 1_000_000,
        "num_envs": 8,
        "rollout_length": 1,
        "gradient_steps": 1,
        "anneal_learning_rate": False,
        "loss": "huber",
        "torso": "minatar",
        "hidden_sizes": (128,),
        "n_step": 3,
        "replay_capacity": 100_000,
        "learning_starts": 5_000,
        "learning_rate": 2.5e-4,
        "target_period": 250,
        "exploration_fraction": 0.1,
    },
    doc="Double DQN on MinAtar Breakout with sticky actions, one gradient step per eight environment steps.",
)
