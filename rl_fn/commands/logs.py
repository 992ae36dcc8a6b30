"""What the package logs, as the command line says things."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from rl_fn.commands.exits import say


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextlib.contextmanager
def said() -> Iterator[None]:
    """Shows what is logged, such as that an environment was made again, each in one line."""
    logger, handler = logging.getLogger("rl_fn"), _Said()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
