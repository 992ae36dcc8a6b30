"""Sets for `rl_fn.agents.vmpo`."""

from rl_fn.sets.registry import register

register(
    "vmpo",
    agent="vmpo",
    values={"learning_rate": 1e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="V-MPO with normalised observations and rewards, for any environment.",
)

register(
    "vmpo_cartpole",
    agent="vmpo",
    env="CartPole-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 8,
        "learning_rate": 1e-3,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="V-MPO on CartPole.",
)
