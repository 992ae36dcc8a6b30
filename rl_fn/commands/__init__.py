"""The command line. TensorFlow is imported only when a command needs it, so that help answers at once."""

from __future__ import annotations

from collections.abc import Sequence

import tyro

from rl_fn.commands.envs import envs
from rl_fn.commands.exits import EXIT_INTERRUPTED, EXIT_USAGE
from rl_fn.commands.play import play
from rl_fn.commands.plot import plot
from rl_fn.commands.train import train
from rl_fn.commands.version import version

__all__ = ["EXIT_INTERRUPTED", "EXIT_USAGE", "main"]


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; `args` are those of the process unless given."""
    tyro.extras.subcommand_cli_from_dict(
        {"train": train, "play": play, "envs": envs, "plot": plot, "version": version},
        prog="rl-fn",
        description="Reinforcement learning as pure functions in TensorFlow.",
        args=args,
        use_underscores=True,
    )
