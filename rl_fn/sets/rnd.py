"""Sets for `rl_fn.agents.rnd`."""

from rl_fn.sets.registry import register

register(
    "rnd",
    agent="rnd",
    values={"learning_rate": 1e-3, "normalize_observations": True},
    doc="PPO with random network distillation, for any environment.",
)

register(
    "rnd_mountaincar",
    agent="rnd",
    env="MountainCar-v0",
    values={
        "train_steps": 500_000,
        "num_envs": 16,
        "rollout_length": 64,
        "gae_lambda": 0.98,
        "learning_rate": 1e-3,
        "entropy_cost": 0.0,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="PPO with random network distillation on MountainCar.",
)
