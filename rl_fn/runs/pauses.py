"""When a run pauses for evaluations and films, and how much of its time goes into them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

EVALUATIONS = 20  # during a run, evenly spaced
SHARE = 0.1  # of the time may go into pauses, unless it is said how often they are
NOTE = "evaluations and films take over a tenth of the time and become rarer; --eval_interval says how often they are"


class Pauses:
    """The pauses of a run. What the first takes is not counted, since it compiles the evaluation.

    Args:
      iterations: of the run; at its end there is a pause.
      interval: iterations between pauses; None for a twentieth of the run, or more where they take too much time.
      notes: sentences that people should be told; gets one where pauses become rarer.
    """

    def __init__(self, iterations: int, interval: int | None, notes: list[str]):
        self.every = interval or math.ceil(iterations / EVALUATIONS)
        self._iterations, self._is_fixed, self._notes = iterations, interval is not None, notes
        self._count, self._seconds = 0, 0.0

    def is_due(self, iteration: int, train_seconds: float) -> bool:
        """Whether there is a pause after so many iterations, which took so many seconds."""
        if iteration == self._iterations:
            return True
        if iteration % self.every:
            return False
        if self._is_fixed or self._seconds <= SHARE * (self._seconds + train_seconds):
            return True
        if NOTE not in self._notes:
            self._notes.append(NOTE)
        return False

    @contextlib.contextmanager
    def timed(self, is_pause: bool) -> Iterator[None]:
        """Takes the time of a pause."""
        begin = time.perf_counter()
        yield
        if is_pause:
            self._count += 1
            self._seconds += (time.perf_counter() - begin) * (self._count > 1)
