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
        "train_steps": 50_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
        "n_step": 5,
        "target_period": 1,
        "target_step_size": 0.01,
        "epsilon_final": 0.04,
    },
    doc="Double DQN on CartPole, one gradient step per environment step, with targets that follow slowly.",
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
        "replay_capacity": 100_000,
        "learning_starts": 5_000,
        "learning_rate": 2.5e-4,
        "target_period": 250,
        "exploration_fraction": 0.1,
    },
    doc="Double DQN on MinAtar Breakout with sticky actions, one gradient step per eight environment steps.",
)

register(
    "noisy_dqn_cartpole",
    agent="dqn",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "gradient_steps": 16,
        "hidden_sizes": (128,),
        "stream_sizes": (128,),
        "n_step": 5,
        "noise": "factorised",
        "epsilon_initial": 0.0,
        "epsilon_final": 0.0,
    },
    doc="Double DQN on CartPole that explores by noise of its parameters.",
)

register(
    "dqn_acrobot",
    agent="dqn",
    env="Acrobot-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 1,
        "gradient_steps": 4,
        "batch_size": 128,
        "hidden_sizes": (256, 256),
        "learning_rate": 6.3e-4,
        "target_period": 250,
        "epsilon_final": 0.1,
        "exploration_fraction": 0.12,
        "loss": "huber",
    },
    doc="Double DQN on Acrobot, one gradient step per environment step.",
)

register(
    "dqn_mountaincar",
    agent="dqn",
    env="MountainCar-v0",
    values={
        "train_steps": 120_000,
        "num_envs": 4,
        "rollout_length": 4,
        "gradient_steps": 16,
        "n_step": 1,
        "gamma": 0.98,
        "hidden_sizes": (120, 84),
        "learning_rate": 4e-3,
        "target_period": 1,
        "target_step_size": 0.01,
        "epsilon_final": 0.07,
        "loss": "huber",
    },
    doc="Double DQN on MountainCar, one gradient step per environment step.",
)

register(
    "dqn_catch",
    agent="dqn",
    env="Catch-bsuite",
    values={"train_steps": 50_000, "num_envs": 4, "rollout_length": 4, "gradient_steps": 16},
    doc="Double DQN on Catch, one gradient step per environment step.",
)

register(
    "dqn_pong",
    agent="dqn",
    env="ALE/Pong-v5",
    values={
        "train_steps": 2_000_000,
        "num_envs": 8,
        "rollout_length": 1,
        "gradient_steps": 2,
        "batch_size": 32,
        "replay_capacity": 100_000,
        "stacked_frames": True,
        "learning_starts": 10_000,
        "torso": "nature",
        "hidden_sizes": (512,),
        "learning_rate": 1e-4,
        "anneal_learning_rate": False,
        "adam_epsilon": 1.5e-4,
        "target_period": 1_000,
        "epsilon_final": 0.01,
        "exploration_fraction": 0.05,
        "loss": "huber",
    },
    doc="Double DQN on Pong from pixels, one gradient step per four environment steps.",
)

register(
    "dqn_pong_ram",
    agent="dqn",
    env="gymnasium:ALE/Pong-v5",
    env_kwargs={"obs_type": "ram"},
    values={
        "train_steps": 2_000_000,
        "num_envs": 8,
        "rollout_length": 1,
        "gradient_steps": 4,
        "replay_capacity": 200_000,
        "learning_starts": 10_000,
        "hidden_sizes": (256, 256),
        "learning_rate": 2.5e-4,
        "anneal_learning_rate": False,
        "target_period": 1_000,
        "epsilon_final": 0.01,
        "exploration_fraction": 0.1,
        "loss": "huber",
    },
    doc="Double DQN on Pong from the machine's memory, one gradient step per two environment steps.",
)
