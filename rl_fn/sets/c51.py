"""Sets for `rl_fn.agents.c51`."""

from rl_fn.sets.registry import register

register(
    "c51",
    agent="c51",
    doc="C51 with its defaults, one gradient step per environment step, for any discrete actions.",
)

register(
    "c51_cartpole",
    agent="c51",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 4,
        "hidden_sizes": (120, 84),
        "replay_capacity": 20_000,
        "gradient_steps": 16,
        "n_step": 5,
        "v_min": 0.0,
        "v_max": 100.0,
    },
    doc="C51 on CartPole, one gradient step per environment step.",
)
