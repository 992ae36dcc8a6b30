"""Sets for `rl_fn.agents.ppo`."""

from rl_fn.sets.registry import register

register(
    "ppo",
    agent="ppo",
    values={"learning_rate": 1e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="PPO with normalised observations and rewards, for any environment.",
)

register(
    "ppo_cartpole",
    agent="ppo",
    env="CartPole-v1",
    values={"train_steps": 500_000, "num_envs": 4, "clip_value_loss": True},
    doc="PPO on CartPole, with the settings of CleanRL's benchmark.",
)

register(
    "ppo_pendulum",
    agent="ppo",
    env="Pendulum-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 4,
        "rollout_length": 1_024,
        "num_epochs": 10,
        "num_minibatches": 64,
        "gamma": 0.9,
        "learning_rate": 1e-3,
        "entropy_cost": 0.0,
    },
    doc="PPO on Pendulum: Gaussian actions.",
)

register(
    "ppo_minatar_breakout",
    agent="ppo",
    env="MinAtar/Breakout-v1",
    values={
        "train_steps": 10_000_000,
        "num_envs": 64,
        "rollout_length": 128,
        "hidden_sizes": (256, 256),
        "activation": "relu",
        "num_minibatches": 8,
        "gamma": 0.99,
        "learning_rate": 1e-3,
        "clip_value_loss": True,
    },
    doc="PPO on MinAtar Breakout with sticky actions.",
)

register(
    "ppo_recurrent_memory_chain",
    agent="ppo",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 10},
    values={
        "train_steps": 500_000,
        "num_envs": 32,
        "rollout_length": 64,
        "memory": "gru",
        "sequence_length": 32,
        "learning_rate": 1e-3,
        "clip_value_loss": True,
    },
    doc="PPO with a GRU on a memory chain of length 10.",
)

register(
    "ppo_recurrent_cartpole",
    agent="ppo",
    env="CartPoleNoVel-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 16,
        "rollout_length": 128,
        "memory": "gru",
        "sequence_length": 32,
        "num_epochs": 8,
        "gamma": 0.98,
        "gae_lambda": 0.9,
        "learning_rate": 1.5e-3,
        "normalize_observations": True,
    },
    doc="PPO with a GRU on CartPole without velocities.",
)
