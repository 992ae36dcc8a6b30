"""A run in one line on the terminal."""

from __future__ import annotations

import math
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rl_fn.runs.report import Report, mean


class Progress:
    """One line: steps, steps per second, training return, evaluation return, time left.

    On a terminal it is redrawn in place; elsewhere it is printed at each evaluation.
    """

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._total, self._evaluated = run.total_steps, math.nan
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

    def report(self, report: Report) -> None:
        """See Reporter."""
        if report.evaluation:
            self._evaluated = mean(report.evaluation.returns)
        numbers = [
            ("steps/s", report.steps_per_second, ",.0f"),
            ("return", mean(report.metrics["episode_return"]), ".1f"),
            ("eval", self._evaluated, ".1f"),
        ]
        status = "  ".join(
            f"{name} {'-' if math.isnan(value) else format(value, form)}" for name, value, form in numbers
        )
        if report.evaluation and (cut := int((~report.evaluation.finished).sum())):
            status += f" ({cut} cut off)"
        self._bar.update(self._task, completed=report.env_steps, status=status)
        if self._bar.disable and report.is_pause:
            print(f"{report.env_steps:>11,} / {self._total:,} steps  {status}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """See Reporter."""
        self._bar.stop()
