"""Sets for `rl_fn.agents.world_models`."""

from rl_fn.sets.registry import register

register(
    "world_models_pendulum",
    agent="world_models",
    env="PendulumPixels-v1",
    values={
        "train_steps": 200_000,
        "num_envs": 20,
        "rollout_length": 50,
        "recording_rows": 1_000,
        "stage_shares": (1, 3, 6, 10),
        "reward_scale": 0.2,
        "latent_size": 8,
        "generations": 4,
        "dream_length": 100,
    },
    doc="World models on Pendulum from pixels, the controller in dreams.",
)
