"""Sets for `rl_fn.agents.alphazero`."""

from rl_fn.sets.registry import register

register(
    "alphazero",
    agent="alphazero",
    doc="AlphaZero with its defaults, for any compiled environment that has rules to plan with.",
)

register(
    "alphazero_tictactoe",
    agent="alphazero",
    env="TicTacToe-v0",
    env_kwargs={"opening": 4},
    values={"train_steps": 200_000, "num_simulations": 64},
    doc="AlphaZero on TicTacToe, against itself.",
)

register(
    "alphazero_connect_four",
    agent="alphazero",
    env="ConnectFour-v0",
    env_kwargs={"opening": 4},
    values={
        "train_steps": 10_000_000,
        "num_simulations": 64,
        "eval_simulations": 200,
        "rollout_length": 32,
        "gradient_steps": 32,
        "hidden_sizes": (256, 256),
        "replay_capacity": 200_000,
        "anneal_learning_rate": True,
    },
    doc="AlphaZero on Connect Four, against itself.",
)
