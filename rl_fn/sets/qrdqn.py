"""Sets for `rl_fn.agents.qrdqn`."""

from rl_fn.sets.registry import register

register(
    "qrdqn",
    agent="qrdqn",
    doc="QR-DQN with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "qrdqn_cartpole",
    agent="qrdqn",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
    },
    doc="QR-DQN on CartPole, one gradient step per environment step.",
)
