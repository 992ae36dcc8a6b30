"""Sets for `rl_fn.agents.munchausen`."""

from rl_fn.sets.registry import register

register(
    "munchausen",
    agent="munchausen",
    doc="Munchausen DQN with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "munchausen_cartpole",
    agent="munchausen",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
    },
    doc="Munchausen DQN on CartPole, one gradient step per environment step.",
)
