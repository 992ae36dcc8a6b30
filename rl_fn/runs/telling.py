"""How a run tells its reporters, one after the other; what fails in one of them is said with its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from rl_fn import loops
from rl_fn.envs.host.failures import EnvFailed
from rl_fn.runs.errors import ReporterError, one_line
from rl_fn.runs.reporters import Reporter, Tracker


@contextlib.contextmanager
def started(run: Any) -> Iterator[None]:
    """Starts the reporters of a run, and closes those that were started."""
    with ExitStack() as stack:
        for reporter in run.reporters:
            tell(run, reporter, "start", run)
            stack.push(partial(_close, run, reporter))
        yield


def tell(run: Any, reporter: Reporter, what: str, *args: Any) -> None:
    """Calls a function of a reporter.

    Raises:
      ReporterError: if it fails.
      EnvFailed, NonFiniteError: of the environment that it plays in.
    """
    try:
        with contextlib.suppress(loops.Stopped):
            getattr(reporter, what)(*args)
    except (EnvFailed, loops.NonFiniteError):
        raise
    except Exception as error:
        name = type(reporter).__name__
        at = f"at {run.env_steps:,} steps"
        raise ReporterError(f"reporter {name} failed in {what} {at}: {one_line(error)}") from error


def tell_the_rest(run: Any) -> None:
    """Tells of a finished run what could not be told while it was trained."""
    for tracker in (one for one in run.reporters if isinstance(one, Tracker)):
        tell(run, tracker, "start", run)
        tell(run, tracker, "close")


def _close(run: Any, reporter: Reporter, _: Any, failure: BaseException | None, __: Any) -> None:
    # What has failed before is what people should be told.
    with contextlib.suppress(*[ReporterError] * isinstance(failure, Exception)):
        tell(run, reporter, "close")
