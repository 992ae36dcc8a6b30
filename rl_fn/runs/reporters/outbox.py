"""What is to be told to somebody outside of a run, on disk until it was."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_fn.runs import files
from rl_fn.runs.files import read_json
from rl_fn.runs.report import mean


class Record(NamedTuple):
    """What one report said."""

    env_steps: int
    seconds: float  # since 1970, when it was reported
    values: list[dict[str, float]]  # of each copy, by their tags

    def without(self, known: Record) -> Record:
        """What it says beyond another."""
        pairs = zip(self.values, known.values, strict=True)
        return self._replace(values=[{tag: mine[tag] for tag in mine if tag not in other} for mine, other in pairs])

    def means(self) -> dict[str, float]:
        """Over the copies that have something to report."""
        tags = dict.fromkeys(tag for values in self.values for tag in values)
        return {tag: mean(np.array([values[tag] for values in self.values if tag in values])) for tag in tags}


class Outbox:
    """All records of a run, in a file of JSON lines; beside it, in a .json, how many of them each receiver has.

    Nothing is thrown away when it was sent, so that another receiver gets everything.

    Args:
      path: of the file.
      receiver: whom this process tells.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if a file holds something else.
    """

    def __init__(self, path: Path, receiver: str):
        self._path, self._receiver = path, receiver
        self._told_path = path.with_suffix(".json")
        self._told = read_json(self._told_path) if self._told_path.exists() else {}
        self.id = str(self._told.setdefault("id", uuid.uuid4().hex))  # of the run, wherever it is told
        self.records = _read(path) if path.exists() else []
        self._write_told({})

    @property
    def waiting(self) -> list[Record]:
        """What the receiver has not got."""
        return self.records[self._of("sent", 0) :]

    @property
    def ended(self) -> list[str] | None:
        """The files that the receiver got with the end of the run; None if it was not told of the end."""
        return self._of("ended", None)

    def put(self, record: Record) -> None:
        """Adds what was not told of these steps before: a run that goes on repeats what was after its checkpoint, but
        may evaluate at other steps, where time decides on them.
        """
        for known in [one for one in self.records if one.env_steps == record.env_steps]:
            record = record.without(known)
        if any(record.values):
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            self.records.append(record)

    def sent(self, count: int) -> None:
        """Notes that the receiver has got so many more."""
        self._write_told({"sent": self._of("sent", 0) + count, "ended": None})

    def end(self, names: Sequence[str]) -> None:
        """Notes that the receiver was told of the end, and has got these files."""
        self._write_told({"ended": list(names)})

    def _of(self, name: str, default: Any) -> Any:
        return self._told.get("receivers", {}).get(self._receiver, {}).get(name, default)

    def _write_told(self, changes: dict[str, Any]) -> None:
        receivers = self._told.setdefault("receivers", {})
        receivers[self._receiver] = {**receivers.get(self._receiver, {}), **changes}
        files.write(self._told_path, lambda file: file.write((json.dumps(self._told, indent=2) + "\n").encode()))


def _read(path: Path) -> list[Record]:
    """The records of a file, and the file without what a killed process has left torn."""
    with files.open_to_read(path) as file:
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        files.write(path, lambda file: file.write(whole))
    return [Record(*json.loads(line)) for line in whole.splitlines()]
