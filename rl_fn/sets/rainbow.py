"""Sets for `rl_fn.agents.rainbow`."""

from rl_fn.sets.registry import register

register(
    "rainbow",
    agent="rainbow",
    doc="Rainbow with its defaults, for any discrete environment.",
)

register(
    "rainbow_cartpole",
    agent="rainbow",
    env="CartPole-v1",
    values={
        "train_steps": 50_000,
        "num_envs": 4,
        "gradient_steps": 4,
        "gamma": 0.98,
        "v_min": 0.0,
        "v_max": 50.0,
        "noise_deviation": 0.1,
        "anneal_learning_rate": True,
    },
    doc="Rainbow on CartPole, one gradient step per environment step.",
)

register(
    "rainbow_catch",
    agent="rainbow",
    env="Catch-bsuite",
    values={
        "train_steps": 50_000,
        "num_envs": 4,
        "gradient_steps": 4,
        "v_min": -1.0,
        "v_max": 1.0,
        "noise_deviation": 0.1,
    },
    doc="Rainbow on Catch, one gradient step per environment step.",
)

register(
    "rainbow_minatar_breakout",
    agent="rainbow",
    env="MinAtar/Breakout-v1",
    values={
        "train_steps": 1_000_000,
        "num_envs": 8,
        "torso": "minatar",
        "v_min": 0.0,
        "v_max": 30.0,
        "replay_capacity": 100_000,
        "learning_starts": 5_000,
        "learning_rate": 2.5e-4,
        "target_period": 250,
    },
    doc="Rainbow on MinAtar Breakout with sticky actions, one gradient step per eight environment steps.",
)
