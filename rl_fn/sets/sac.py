"""Sets for `rl_fn.agents.sac`."""

from rl_fn.sets.registry import register

register(
    "sac",
    agent="sac",
    doc="SAC with its defaults, for discrete actions or a bounded Box.",
)

register(
    "sac_pendulum",
    agent="sac",
    env="Pendulum-v1",
    values={"train_steps": 20_000, "replay_capacity": 20_000, "learning_starts": 500, "actor_learning_rate": 1e-3},
    doc="SAC on Pendulum, one gradient step per environment step.",
)

register(
    "sac_discrete_cartpole",
    agent="sac",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "gradient_steps": 2,
        "hidden_sizes": (128, 128),
        "batch_size": 128,
        "target_entropy_scale": 0.3,
    },
    doc="SAC with discrete actions on CartPole.",
)

register(
    "sac_mountaincar_continuous",
    agent="sac",
    env="MountainCarContinuous-v0",
    values={
        "train_steps": 50_000,
        "num_envs": 4,
        "gradient_steps": 2,
        "hidden_sizes": (64, 64),
        "batch_size": 128,
        "gamma": 0.999,
        "n_step": 5,
    },
    doc="SAC on MountainCarContinuous.",
)
