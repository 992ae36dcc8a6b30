"""Sets for `rl_fn.agents.fqf`."""

from rl_fn.sets.registry import register

register(
    "fqf",
    agent="fqf",
    doc="FQF with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "fqf_cartpole",
    agent="fqf",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
        "n_step": 5,
        "num_quantiles": 8,
    },
    doc="FQF on CartPole, one gradient step per environment step.",
)
