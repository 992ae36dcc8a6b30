"""The command line. TensorFlow is imported only when a command needs it, so that help answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rl_fn.commands import exits, signals
from rl_fn.commands.exits import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_NON_FINITE, EXIT_USAGE

__all__ = ["EXIT_FAILURE", "EXIT_INTERRUPTED", "EXIT_NON_FINITE", "EXIT_USAGE", "main"]


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; `args` are those of the process unless given.

    Raises:
      SystemExit: with another code than 0, where the command comes to no good end.
    """
    with signals.answered(), exits.failures():
        from rl_fn._src.xla import startup  # takes a moment, in which signals are answered already
        from rl_fn.commands import logs, table

        startup.use_wide_vectors()
        try:
            with logs.said():
                table.run(sys.argv[1:] if args is None else args)
        except Exception as error:
            if not startup.is_failure_of_cache(error):
                raise
            startup.switch_cache_off()
            if args is not None:
                exits.refuse(f"the cache of compiled programs failed: {error}", EXIT_FAILURE)
            exits.say(f"starts again without the cache of compiled programs, which failed: {error}")
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # XLA cannot be told in this process
