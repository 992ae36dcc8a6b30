"""A run in one line on the terminal."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rl_fn.runs.report import Report, mean

_SECONDS = 10.0  # at least so often a line is printed where there is no terminal


class Progress:
    """One line: steps, steps per second, training return, evaluation return, time left.

    On a terminal it is redrawn in place; elsewhere it is printed at the start, at each evaluation, and every ten
    seconds. Steps and their speed are those of each copy; until the step is compiled there is no speed.
    """

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._total, self._copies, self._evaluated = run.total_steps, run.config.copies, math.nan
        console = Console(file=sys.stderr)
        self._bar = Bar(
            TextColumn("{task.completed:>11,} / {task.total:,} steps"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", total=self._total, completed=run.env_steps, status="compiling")
        self._bar.start()
        self._print(run.env_steps, "compiling")

    def report(self, report: Report) -> None:
        """See Reporter."""
        if report.evaluation:
            self._evaluated = mean(report.evaluation.returns)
        many = f" x {self._copies} copies" if self._copies > 1 else ""
        speed = f"compiled in {report.seconds:.1f} s" if report.compiled else f"{report.steps_per_second:,.0f} steps/s"
        returns = [("return", mean(report.metrics["episode_return"])), ("eval", self._evaluated)]
        shown = [f"{name} {'-' if math.isnan(value) else format(value, '.1f')}" for name, value in returns]
        status = "  ".join([speed + many, *shown])
        if report.evaluation and (cut := int((~report.evaluation.finished).sum())):
            status += f" ({cut} cut off)"
        self._bar.update(self._task, completed=report.env_steps, status=status)
        if report.is_pause or report.compiled or time.monotonic() - self._printed_at >= _SECONDS:
            self._print(report.env_steps, status)

    def close(self) -> None:
        """See Reporter."""
        self._bar.stop()

    def _print(self, env_steps: int, status: str) -> None:
        self._printed_at = time.monotonic()
        if self._bar.disable:
            print(f"{env_steps:>11,} / {self._total:,} steps  {status}", file=sys.stderr, flush=True)
