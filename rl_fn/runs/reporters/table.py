"""The curves of a run as a table: metrics.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rl_fn.runs import files
from rl_fn.runs.report import Report
from rl_fn.runs.reporters.scalars import scalars

FILE = "metrics.csv"
_STEPS = "env_steps"


class Table:
    """Writes metrics.csv to the folder of each copy: a row for each report, with the names of TensorBoard's curves.

    What a report says nothing of is an empty field. Rows are appended; only where a name comes up for the first time is
    the file written anew, with one more column.
    """

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._paths = [run.folder(copy) / FILE for copy in range(run.config.copies)]
        self._columns: list[list[str]] = []
        for path in self._paths:
            columns, rows = read(path) if path.exists() else ([_STEPS], [])
            _write(path, columns, [row for row in rows if int(row[_STEPS]) <= run.reported_steps])
            self._columns.append(columns)

    def report(self, report: Report) -> None:
        """See Reporter."""
        for copy, (path, columns) in enumerate(zip(self._paths, self._columns, strict=True)):
            row = {_STEPS: str(report.env_steps), **{tag: repr(value) for tag, value in scalars(report, copy).items()}}
            if new := [tag for tag in row if tag not in columns]:
                columns += new
                _write(path, columns, [*read(path)[1], row])
            else:
                with path.open("a", newline="") as file:
                    file.write(_lines(columns, [row]))

    def close(self) -> None:
        """See Reporter."""


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the rows of a file, without those that a killed process has left torn.

    Raises:
      ValueError: if it is no such table.
    """
    with files.open_to_read(path) as file:
        text = file.read().decode("utf-8", "replace")
    lines = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
    columns, rows = (lines[0], lines[1:]) if lines else ([_STEPS], [])
    if columns[0] != _STEPS:
        raise ValueError(f"{path} begins with {columns[0][:80]!r}, expected a table with {_STEPS} first")
    whole = [row for row in rows if len(row) == len(columns) and row[0].isdecimal()]
    return columns, [dict(zip(columns, row, strict=True)) for row in whole]


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    text = _lines(columns, [dict(zip(columns, columns, strict=True)), *rows])
    files.write(path, lambda file: file.write(text.encode()))


def _lines(columns: list[str], rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()
