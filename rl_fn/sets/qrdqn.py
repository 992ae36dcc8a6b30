"""Sets for `rl_fn.agents.qrdqn`."""

from rl_fn.sets.registry import register

register(
    "qrdqn",
    agent="qrdqn",
    doc="QR-DQN with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "qrdqn_cartpole",
    agent="qrdqn",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
        "n_step": 5,
    },
    doc="QR-DQN on CartPole, one gradient step per environment step.",
)

register(
    "qrdqn_acrobot",
    agent="qrdqn",
    env="Acrobot-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 1,
        "gradient_steps": 4,
        "batch_size": 128,
        "hidden_sizes": (256, 256),
        "num_quantiles": 25,
        "learning_rate": 6.3e-4,
        "target_period": 250,
        "epsilon_final": 0.1,
        "exploration_fraction": 0.12,
    },
    doc="QR-DQN on Acrobot, one gradient step per environment step.",
)

register(
    "qrdqn_mountaincar",
    agent="qrdqn",
    env="MountainCar-v0",
    values={
        "train_steps": 120_000,
        "num_envs": 4,
        "rollout_length": 4,
        "gradient_steps": 16,
        "n_step": 2,
        "gamma": 0.98,
        "hidden_sizes": (120, 84),
        "num_quantiles": 25,
        "learning_rate": 4e-3,
        "epsilon_final": 0.07,
    },
    doc="QR-DQN on MountainCar, one gradient step per environment step.",
)

register(
    "qrdqn_minatar_breakout",
    agent="qrdqn",
    env="MinAtar/Breakout-v1",
    values={
        "train_steps": 1_000_000,
        "num_envs": 8,
        "rollout_length": 1,
        "gradient_steps": 1,
        "anneal_learning_rate": False,
        "torso": "minatar",
        "hidden_sizes": (128,),
        "replay_capacity": 100_000,
        "learning_starts": 5_000,
        "learning_rate": 2.5e-4,
        "target_period": 250,
        "exploration_fraction": 0.1,
    },
    doc="QR-DQN on MinAtar Breakout with sticky actions, one gradient step per eight environment steps.",
)
