"""What ends a run that had begun."""

from __future__ import annotations

import re


class RunError(RuntimeError):
    """A run cannot go on because of something around it, such as a full disk; says what of it is saved."""


class ReporterError(RunError):
    """A reporter has failed; what the run has learned so far is in a checkpoint."""


def reason(error: OSError) -> str:
    """Why something could not be read or written, without the path."""
    return error.strerror or str(error)


def one_line(error: Exception) -> str:
    """What an error says, at most 200 characters of its first line."""
    line, *_ = str(error).splitlines() or [type(error).__name__]
    return line if len(line) <= 200 else f"{line[:200]}..."


def without_password(url: str) -> str:
    """A URL as it may be shown: without the user and the password before its host."""
    return re.sub(r"//[^/@]*(:.*)?@", "//", url)
