"""Sets for `rl_fn.agents.bootstrapped`."""

from rl_fn.sets.registry import register

register(
    "bootstrapped",
    agent="bootstrapped",
    doc="Bootstrapped DQN with randomised priors and its defaults, for any discrete actions.",
)

register(
    "bootstrapped_deep_sea",
    agent="bootstrapped",
    env="DeepSea-bsuite",
    env_kwargs={"size": 10},
    values={"train_steps": 20_000},
    doc="Bootstrapped DQN on a deep sea of size 10, 2,000 episodes.",
)

register(
    "bootstrapped_deep_sea_20",
    agent="bootstrapped",
    env="DeepSea-bsuite",
    env_kwargs={"size": 20},
    values={"train_steps": 200_000, "num_envs": 8, "gradient_steps": 2},
    doc="Bootstrapped DQN on a deep sea of size 20, 10,000 episodes.",
)
