"""Where the time of a run goes, for the Profile tab of TensorBoard."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from rl_fn.runs.report import Report


class Profile:
    """Profiles some iterations, from the first report after everything is compiled; to `plugins/profile` of copy 0.

    Args:
      iterations: at least so many, in whole chunks.
    """

    def __init__(self, iterations: int = 50):
        self._iterations = iterations
        self._begun: int | None = None  # the iteration at which it began
        self._is_running = False

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._folder = run.folder()

    def report(self, report: Report) -> None:
        """See Reporter."""
        if self._begun is None and not report.compiled:
            tf.profiler.experimental.start(str(self._folder))
            self._begun, self._is_running = report.iteration, True
        elif self._is_running and report.iteration - (self._begun or 0) >= self._iterations:
            self.close()

    def close(self) -> None:
        """See Reporter."""
        if self._is_running:
            self._is_running = False
            tf.profiler.experimental.stop()
