"""What a run reports while it runs: TensorBoard scalars and one progress line."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class TensorBoard:
    """Writes scalars to TensorBoard event files in a folder."""

    def __init__(self, folder: Path):
        self._writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, values: Mapping[str, Any], env_steps: int) -> None:
        """Writes values by tag at a number of environment steps; NaN (nothing to report) is left out."""
        with self._writer.as_default(step=env_steps):
            for tag, value in values.items():
                if not math.isnan(value):
                    tf.summary.scalar(tag, value)

    def text(self, tag: str, markdown: str) -> None:
        """Writes a text, shown in TensorBoard's Text tab."""
        with self._writer.as_default(step=0):
            tf.summary.text(tag, markdown)

    def flush(self) -> None:
        """Makes everything visible to readers."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()


class ProgressLine:
    """One line: steps, steps per second, training return, evaluation return, time left.

    On a terminal it is redrawn in place; elsewhere `note` prints a line now and then.
    """

    def __init__(self, total_steps: int, done_steps: int):
        self._console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.completed:>11,} / {task.total:,} steps"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("train", total=total_steps, completed=done_steps, status="compiling")
        self._status = ""
        self._steps, self._total = done_steps, total_steps

    def __enter__(self) -> ProgressLine:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, steps: int, steps_per_second: float, train_return: float, eval_return: float) -> None:
        """Shows where the run stands; NaN is shown as a dash."""
        numbers = [("steps/s", steps_per_second, ",.0f"), ("return", train_return, ".1f"), ("eval", eval_return, ".1f")]
        self._status = "  ".join(
            f"{name} {'-' if math.isnan(value) else format(value, form)}" for name, value, form in numbers
        )
        self._steps = steps
        self._progress.update(self._task, completed=steps, status=self._status)

    def note(self) -> None:
        """Prints the line where it is not redrawn in place."""
        if self._progress.disable:
            print(f"{self._steps:>11,} / {self._total:,} steps  {self._status}", file=sys.stderr, flush=True)
