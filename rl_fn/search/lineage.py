"""The lineage of a population, in a table: who goes on from whom, and with which settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rl_fn.runs import files


class Row(NamedTuple):
    """A member in a generation."""

    generation: int
    member: int
    parent: int  # from whom it goes on
    fitness: float  # by which it was chosen
    settings: dict[str, float]  # with which it goes on


def write(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Writes a table of all generations; `names` are those of the settings."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*Row._fields[:-1], *names])
    writer.writerows([*row[:-1], *(row.settings[name] for name in names)] for row in rows)
    files.write(path, lambda file: file.write(text.getvalue().encode()))


def read(path: Path, names: Sequence[str]) -> list[Row]:
    """The rows of a table; none where it is not there.

    Raises:
      ValueError: if it is damaged.
    """
    if not path.exists():
        return []
    with path.open(newline="", errors="replace") as file:
        table = csv.DictReader(file)
        try:
            return [
                Row(
                    int(row["generation"]),
                    int(row["member"]),
                    int(row["parent"]),
                    float(row["fitness"]),
                    {name: float(row[name]) for name in names},
                )
                for row in table
            ]
        except (KeyError, TypeError, ValueError, csv.Error):
            columns = ", ".join([*Row._fields[:-1], *names])
            raise ValueError(f"{path} is damaged in line {table.line_num}, expected numbers in {columns}") from None
