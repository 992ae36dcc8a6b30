"""Sets for `rl_fn.agents.world_models`."""

from rl_fn.sets.registry import register

# Of environments that the compiled program draws
_DRAWN = {
    "num_envs": 20,
    "rollout_length": 50,
    "stage_shares": (2, 5, 8, 15),
    "latent_size": 8,
    "pixel_deviation": 0.2,
    "vision_steps": 100,
    "memory_steps": 200,
    "generations": 10,
}

register(
    "world_models",
    agent="world_models",
    doc="World models with their defaults, for any environment of which pictures are seen.",
)

register(
    "world_models_pendulum",
    agent="world_models",
    env="PendulumPixels-v1",
    values={
        **_DRAWN,
        "train_steps": 200_000,
        "rounds": 8,
        "recording_rows": 2_500,
        "reward_scale": 0.2,
        "dream_length": 80,
    },
    doc="World models on Pendulum from pixels, the controller from dreams, in eight rounds.",
)

register(
    "world_models_cartpole",
    agent="world_models",
    env="CartPolePixels-v1",
    values={**_DRAWN, "train_steps": 75_000, "rounds": 3, "recording_rows": 3_750, "dream_length": 200},
    doc="World models on CartPole from pixels, the controller from dreams, in three rounds that record everything.",
)

register(
    "world_models_carracing",
    agent="world_models",
    env="gymnasium:CarRacing-v3",
    values={
        "train_steps": 400_000,
        "num_envs": 16,
        "rollout_length": 100,
        "stage_shares": (1, 1, 1, 7),
        "recording_rows": 3_000,
        "persistence": 0.95,
        "latent_size": 32,
        "features": (16, 32, 64, 128),
        "pixel_deviation": 0.2,
        "vision_batch": 100,
        "vision_steps": 100,
        "memory_units": 64,
        "memory_steps": 100,
        "reward_scale": 0.1,
        "controller_training": "environment",
        "population": 16,
        "initial_step_size": 0.1,
    },
    env_kwargs={"training_limit": 400},  # of 1,000: more generations in the same time
    doc="World models on CarRacing, the controller from the beginnings of races.",
)
