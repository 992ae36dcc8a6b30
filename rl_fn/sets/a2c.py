"""Sets for `rl_fn.agents.a2c`."""

from rl_fn.sets.registry import register

register(
    "a2c",
    agent="a2c",
    values={"normalize_observations": True, "normalize_rewards": True},
    doc="A2C with normalised observations and rewards, for any environment.",
)

register(
    "a2c_cartpole",
    agent="a2c",
    env="CartPole-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 8,
        "rollout_length": 16,
        "gae_lambda": 0.95,
        "learning_rate": 2e-3,
        "rmsprop_epsilon": 1e-3,  # or the noise of a policy that is perfect moves it away
        "entropy_cost": 0.001,
    },
    doc="A2C on CartPole.",
)

register(
    "a2c_acrobot",
    agent="a2c",
    env="Acrobot-v1",
    values={
        "train_steps": 300_000,
        "gae_lambda": 0.95,
        "learning_rate": 2e-3,
        "entropy_cost": 0.0,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="A2C on Acrobot, normalised.",
)

register(
    "a2c_catch",
    agent="a2c",
    env="Catch-bsuite",
    values={
        "train_steps": 50_000,
        "num_envs": 8,
        "rollout_length": 9,
        "gae_lambda": 0.95,
        "learning_rate": 1e-3,
        "rmsprop_epsilon": 1e-5,
        "entropy_cost": 0.05,
        "normalize_advantages": True,
    },
    doc="A2C on Catch.",
)

register(
    "a2c_recurrent_memory_chain",
    agent="a2c",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 10},
    values={
        "train_steps": 500_000,
        "num_envs": 32,
        "rollout_length": 32,
        "memory": "gru",
        "gae_lambda": 0.95,
        "learning_rate": 3e-3,
    },
    doc="A2C with a GRU on a memory chain of length 10.",
)
