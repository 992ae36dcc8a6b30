"""Sets for `rl_fn.agents.iqn`."""

from rl_fn.sets.registry import register

register(
    "iqn",
    agent="iqn",
    doc="IQN with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "iqn_cartpole",
    agent="iqn",
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
        "num_target_quantiles": 8,
    },
    doc="IQN on CartPole, one gradient step per environment step.",
)
