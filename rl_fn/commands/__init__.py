"""The command line. TensorFlow is imported only when a command needs it, so that help answers at once."""

from __future__ import annotations

import os
import sys
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
    # What the user names may lie in the folder where the command is started; it shadows nothing that is installed.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    tyro.extras.subcommand_cli_from_dict(
        {"train": train, "play": play, "envs": envs, "plot": plot, "version": version},
        prog="rl-fn",
        description="Reinforcement learning as pure functions in TensorFlow.",
        args=args,
        use_underscores=True,
    )
