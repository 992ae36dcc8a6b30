"""How commands end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def refuse(sentence: str) -> NoReturn:
    """Ends the command for a mistake of the user's."""
    say(f"error: {sentence}")
    raise SystemExit(EXIT_USAGE)


def say(sentence: str) -> None:
    """Tells something on the terminal."""
    print(f"rl-fn: {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def refusals(folder: object = None) -> Iterator[None]:
    """Takes a ValueError for a mistake of the user's, and an OSError for something wrong with `folder`."""
    try:
        yield
    except ValueError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{folder or error.filename} cannot be used: {error.strerror or error}")
