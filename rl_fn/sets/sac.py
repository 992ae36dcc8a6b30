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
        "noise_damping": 0.02,  # or no actor ever reaches the top, and standing still is best
    },
    doc="SAC on MountainCarContinuous.",
)

register(
    "sac_lunar_lander_continuous",
    agent="sac",
    env="gymnasium:LunarLanderContinuous-v3",
    values={
        "train_steps": 300_000,
        "replay_capacity": 300_000,
        "learning_starts": 10_000,
        "hidden_sizes": (400, 300),
        "actor_learning_rate": 7.3e-4,
        "critic_learning_rate": 7.3e-4,
        "target_step_size": 0.01,
    },
    doc="SAC on LunarLanderContinuous.",
)

register(
    "sac_inverted_pendulum",
    agent="sac",
    env="gymnasium:InvertedPendulum-v5",
    values={"train_steps": 50_000, "replay_capacity": 50_000},
    doc="SAC on MuJoCo's InvertedPendulum.",
)

for _task in ("HalfCheetah", "Hopper"):
    register(
        "sac_" + {"HalfCheetah": "half_cheetah"}.get(_task, _task.lower()),
        agent="sac",
        env=f"gymnasium:{_task}-v5",
        values={"train_steps": 200_000, "replay_capacity": 200_000, "learning_starts": 10_000},
        doc=f"SAC on MuJoCo's {_task}.",
    )
