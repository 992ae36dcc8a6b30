"""Sets for `rl_fn.agents.vpg`."""

from rl_fn.sets.registry import register

register(
    "vpg",
    agent="vpg",
    values={"learning_rate": 2e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="REINFORCE with a learned baseline, for any environment.",
)

register(
    "vpg_cartpole",
    agent="vpg",
    env="CartPole-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 2,
        "rollout_length": 512,
        "learning_rate": 2e-3,
        "anneal_learning_rate": True,
        "baseline": False,
    },
    doc="REINFORCE on CartPole: whole episodes, no baseline.",
)

register(
    "vpg_baseline_cartpole",
    agent="vpg",
    env="CartPole-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 2,
        "rollout_length": 512,
        "learning_rate": 2e-3,
        "anneal_learning_rate": True,
        "normalize_rewards": True,  # so that a value learns them in as few steps
    },
    doc="REINFORCE with a learned baseline on CartPole.",
)

register(
    "vpg_mountaincar",
    agent="vpg",
    env="MountainCar-v0",
    values={
        "train_steps": 1_000_000,
        "num_envs": 16,
        "rollout_length": 200,
        "learning_rate": 2e-3,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="REINFORCE with a learned baseline on MountainCar, normalised.",
)

register(
    "vpg_pong",
    agent="vpg",
    env="ALE/Pong-v5",
    values={"train_steps": 10_000_000, "torso": "nature", "hidden_sizes": (512,), "activation": "relu", "patience": 0},
    doc="REINFORCE with a learned baseline on Atari's Pong; episodes are too long to wait for.",
)
