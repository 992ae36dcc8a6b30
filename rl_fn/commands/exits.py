"""How commands end: codes, and one form for every sentence on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

EXIT_FAILURE = 1  # something went wrong that is not the user's mistake, such as a full disk
EXIT_USAGE = 2  # a mistake in what was asked for
EXIT_NON_FINITE = 3  # training came to infinity or NaN
EXIT_INTERRUPTED = 130  # by SIGINT, SIGTERM or SIGHUP
# without which no command runs
_NEEDED = ("gym", "gymnasium", "numpy", "rich", "tensorboard", "tensorflow", "tensorflow_probability", "tomli", "yaml")
LONGEST = 600  # letters of a sentence that are shown


def refuse(sentence: str, code: int = EXIT_USAGE) -> NoReturn:
    """Ends the command in one sentence; unless told otherwise, for a mistake of the user's."""
    say(f"error: {sentence}")
    raise SystemExit(code)


def say(sentence: str) -> None:
    """Tells something on the terminal, in one line."""
    print(line(sentence), file=sys.stderr, flush=True)


def line(sentence: str) -> str:
    """A sentence as it is shown: in one line, the middle cut out of what is too long, nothing that moves the cursor."""
    words = " ".join(sentence.split())
    if len(words) > LONGEST:
        words = f"{words[: LONGEST * 2 // 3]} [...] {words[-LONGEST // 3 :]}"
    return "rl-fn: " + "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)


@contextlib.contextmanager
def refusals(folder: object = None) -> Iterator[None]:
    """Takes a ValueError for a mistake of the user's, and an OSError for something wrong with `folder`."""
    try:
        yield
    except ValueError as error:
        refuse(str(error))
    except BrokenPipeError:  # is the reader's doing
        raise
    except OSError as error:
        refuse(f"{folder or error.filename} cannot be used: {error.strerror or error}")


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Tells what nobody is at fault for in one sentence, without a traceback; other exceptions pass."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # who read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_FAILURE) from None
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        here = f"{error.name} is not installed for {sys.executable}"
        refuse(f"{here}; in a clone: make setup, and then source .venv/bin/activate", EXIT_FAILURE)
    except MemoryError:
        refuse("there is not enough memory", EXIT_FAILURE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        refuse(f"{where}{error.strerror or error}", EXIT_FAILURE)
    except Exception as error:
        # By their names, since to import them is to import TensorFlow.
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("rl_fn.")]
        if not names:
            raise
        refuse(str(error), EXIT_NON_FINITE if "NonFiniteError" in names else EXIT_FAILURE)
