"""What the package logs, as the command line says things."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from rl_fn.commands.exits import say


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "\n" in message:  # with the traceback of an environment, which is wanted whole
            print(f"rl-fn: {message}", file=sys.stderr, flush=True)
        else:
            say(message)


@contextlib.contextmanager
def said() -> Iterator[None]:
    """Shows what is logged, such as that an environment was made again, in one line where there is no traceback."""
    logger, handler = logging.getLogger("rl_fn"), _Said()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
