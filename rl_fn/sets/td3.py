"""Sets for `rl_fn.agents.td3`."""

from rl_fn.sets.registry import register

register(
    "td3",
    agent="td3",
    doc="TD3 with its defaults, for a bounded Box.",
)

register(
    "td3_pendulum",
    agent="td3",
    env="Pendulum-v1",
    values={"train_steps": 20_000, "replay_capacity": 20_000},
    doc="TD3 on Pendulum, one gradient step per environment step.",
)

register(
    "td3_mountaincar_continuous",
    agent="td3",
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
    doc="TD3 on MountainCarContinuous, explored by Ornstein-Uhlenbeck noise.",
)

register(
    "td3_lunar_lander_continuous",
    agent="td3",
    env="gymnasium:LunarLanderContinuous-v3",
    values={
        "train_steps": 300_000,
        "replay_capacity": 200_000,
        "learning_starts": 10_000,
        "hidden_sizes": (400, 300),
        "gamma": 0.98,
    },
    doc="TD3 on LunarLanderContinuous.",
)

register(
    "td3_inverted_pendulum",
    agent="td3",
    env="gymnasium:InvertedPendulum-v5",
    values={"train_steps": 50_000, "replay_capacity": 50_000},
    doc="TD3 on MuJoCo's InvertedPendulum.",
)
