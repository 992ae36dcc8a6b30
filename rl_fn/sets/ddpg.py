"""Sets for `rl_fn.agents.ddpg`."""

from rl_fn.sets.registry import register

register(
    "ddpg",
    agent="ddpg",
    doc="DDPG with its defaults, for discrete actions or a bounded Box.",
)

register(
    "ddpg_pendulum",
    agent="ddpg",
    env="Pendulum-v1",
    values={"train_steps": 20_000, "replay_capacity": 20_000},
    doc="DDPG on Pendulum, one gradient step per environment step.",
)

register(
    "ddpg_cartpole",
    agent="ddpg",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "gradient_steps": 4,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "exploration_noise": 0.5,
        "output_cost": 1e-2,
    },
    doc="DDPG on CartPole: discrete actions through straight-through Gumbel-softmax.",
)

register(
    "ddpg_mountaincar",
    agent="ddpg",
    env="MountainCar-v0",
    values={
        "train_steps": 120_000,
        "num_envs": 4,
        "gradient_steps": 2,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "n_step": 5,
        "exploration_noise": 0.3,
        "noise_damping": 0.05,
    },
    doc="DDPG on MountainCar, explored by Ornstein-Uhlenbeck noise on one-hot actions.",
)

register(
    "ddpg_mountaincar_continuous",
    agent="ddpg",
    env="MountainCarContinuous-v0",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "gradient_steps": 2,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "n_step": 5,
        "exploration_noise": 0.15,
        "noise_damping": 0.02,
    },
    doc="DDPG on MountainCarContinuous, explored by Ornstein-Uhlenbeck noise.",
)

register(
    "ddpg_carracing",
    agent="ddpg",
    env="gymnasium:CarRacing-v3",
    values={
        "train_steps": 50_000,
        "actor_lag": 1,
        "encoder": "nature",
        "random_shift": 4,
        "replay_capacity": 50_000,
        "batch_size": 64,
        "n_step": 3,
        "exploration_noise": 0.2,
        "noise_damping": 0.15,
    },
    env_kwargs={"frame_skip": 4, "screen_size": 64, "grayscale": True, "stack": 4},
    doc="DDPG on CarRacing from pixels that are shifted at random, explored by Ornstein-Uhlenbeck noise.",
)

register(
    "ddpg_coinrun",
    agent="ddpg",
    env="procgen:coinrun",
    values={
        "train_steps": 1_000_000,
        "num_envs": 8,
        "gradient_steps": 2,
        "encoder": "nature",
        "random_shift": 4,
        "replay_capacity": 40_000,
        "batch_size": 64,
        "n_step": 3,
        "exploration_noise": 0.5,
        "output_cost": 1e-2,
    },
    doc="DDPG on CoinRun from pixels.",
)

register(
    "ddpg_pong",
    agent="ddpg",
    env="ALE/Pong-v5",
    values={
        "train_steps": 1_000_000,
        "num_envs": 8,
        "gradient_steps": 2,
        "encoder": "nature",
        "random_shift": 4,
        "replay_capacity": 40_000,
        "batch_size": 64,
        "n_step": 3,
        "exploration_noise": 0.5,
        "output_cost": 1e-2,
    },
    doc="DDPG on Pong from pixels.",
)
