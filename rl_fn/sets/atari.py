"""Sets of several agents for Atari, with published settings."""

from rl_fn.sets.registry import register

# What Dopamine publishes for both (Castro et al., 2018), with Adam; its gradients are not clipped.
_DOPAMINE = {
    "train_steps": 50_000_000,
    "num_envs": 1,
    "rollout_length": 4,
    "gradient_steps": 1,
    "batch_size": 32,
    "replay_capacity": 1_000_000,
    "stacked_frames": True,
    "learning_starts": 20_000,
    "torso": "nature",
    "hidden_sizes": (512,),
    "learning_rate": 6.25e-5,
    "anneal_learning_rate": False,
    "adam_epsilon": 1.5e-4,
    "max_grad_norm": 1e9,
    "target_period": 2_000,
    "epsilon_final": 0.01,
    "exploration_fraction": 0.005,
    "double_q": False,
}

register(
    "dqn_atari",
    agent="dqn",
    env="ALE/Pong-v5",
    values={**_DOPAMINE, "n_step": 1},
    doc="DQN on Pong or any other Atari game, with the settings of Dopamine.",
)

register(
    "rainbow_atari",
    agent="c51",
    env="ALE/Pong-v5",
    values={**_DOPAMINE, "n_step": 3, "prioritized": True, "importance_exponent": 0.5},
    doc="The Rainbow of Dopamine with its settings: C51 with prioritised replay and targets over three steps.",
)

# The hyper-parameters of Gallici et al. (2025), whose games have no sticky actions and end with each life.
_PQN = {
    "train_steps": 50_000_000,
    "num_envs": 128,
    "rollout_length": 32,
    "num_epochs": 2,
    "num_minibatches": 32,
    "trace_lambda": 0.65,
    "torso": "nature",
    "hidden_sizes": (512,),
    "learning_rate": 2.5e-4,
    "anneal_learning_rate": False,
    "max_grad_norm": 10.0,
    "epsilon_final": 0.001,
    "exploration_fraction": 0.1,
}

register(
    "pqn_atari",
    agent="pqn",
    env="ALE/Pong-v5",
    values=_PQN,
    doc="PQN on Pong or any other Atari game, with the hyper-parameters of its authors.",
)

register(
    "pqn_pong",
    agent="pqn",
    env="ALE/Pong-v5",
    values={**_PQN, "train_steps": 1_500_000, "num_envs": 64},
    doc="PQN on Pong in one and a half hours of one core: gradient steps on half as many examples, twice as often.",
)
