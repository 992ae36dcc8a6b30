"""A package of a user's own: an environment, an agent and a set."""

from rl_fn import envs, sets

envs.register("Corridor-v0", "my_package.corridor:make")
sets.register(
    "corridor",
    agent="my_package.linear_q",
    env="Corridor-v0",
    env_kwargs={"length": 4},
    values={"train_steps": 1_280, "num_envs": 2, "rollout_length": 4, "step_size": 0.5},
    doc="Linear Q-learning in a corridor.",
)
