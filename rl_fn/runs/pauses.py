"""When a run pauses for an evaluation, a film or a checkpoint, and how much of its time goes into them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SHARE = 0.05  # of the time may go into evaluations, films and checkpoints each, unless it is said how often they are


class Pauses:
    """Pauses of one kind, which become rarer where they would take too much time.

    Args:
      what: they are.
      setting: that says how often they are.
      is_given: whether it does; then they are that often.
      notes: sentences that people should be told; gets one where pauses become rarer.
      compiles: whether the first of them compiles what it does; then it is not counted.
    """

    def __init__(self, what: str, setting: str, is_given: bool, notes: list[str], *, compiles: bool = True):
        self._is_given, self._notes = is_given, notes
        self._note = f"{what} take over {SHARE:.0%} of the time and become rarer; --{setting} says how often they are"
        self._is_counted, self._seconds = not compiles, 0.0

    def allows(self, train_seconds: float) -> bool:
        """Whether there is time for one more, where training has taken so many seconds."""
        if self._is_given or self._seconds <= SHARE * (self._seconds + train_seconds):
            return True
        if self._note not in self._notes:
            self._notes.append(self._note)
        return False

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Takes the time of a pause."""
        begin = time.perf_counter()
        yield
        self._seconds += (time.perf_counter() - begin) * self._is_counted
        self._is_counted = True
