"""Telling somebody outside of a run about it, without the run waiting for them or failing with them."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rl_fn.runs.errors import one_line
from rl_fn.runs.report import Report
from rl_fn.runs.reporters.outbox import Outbox, Record
from rl_fn.runs.reporters.scalars import scalars, settings
from rl_fn.runs.reporters.teller import Teller

_AT_ONCE = 50  # records
_FILES = ("config.json", "metrics.csv", "summary.json", "videos/*", "export/**/*")


class Artifact(NamedTuple):
    """A file that is told."""

    copy: int | None  # whose it is; None for one of all copies
    path: Path
    name: str  # with folders


def check_installed(package: str) -> None:
    """Raises ValueError, with what to install, where a package is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:  # a folder of that name is no package
        raise ValueError(f'{package} is not installed: pip install "rl-fn[{package}]"')


class Tracker(ABC):
    """A reporter that writes down what it is to tell, and has a thread tell it.

    Where that fails it is said once, and tried again until the run ends; what is left then is told when the run is
    started again, also where it has come to its end. Subclasses say how it is told.

    Raises:
      ValueError: if the package is not installed.
    """

    package: ClassVar[str]  # also the name of the extra, and of the files in the folder of copy 0

    def __init__(self) -> None:
        check_installed(self.package)

    @abstractmethod
    def receiver(self, run: Any) -> str:
        """Who is told; what one has got, another has not."""

    @abstractmethod
    def open(self, run: Any, name: str) -> None:
        """Begins to tell of a run, or goes on; `name` is its own, and stays the same when it is resumed."""

    @abstractmethod
    def send(self, records: list[Record]) -> None:
        """Tells some records, for the second time where the first was not known to succeed."""

    @abstractmethod
    def end(self, artifacts: list[Artifact], is_finished: bool) -> None:
        """Tells that the process leaves the run, with its files."""

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._run, self._is_open = run, False
        self._receiver = self.receiver(run)
        self._outbox = Outbox(run.folder() / f"{self.package}.jsonl", self._receiver)
        self._teller = Teller(self.package, self._tell, self._say)

    def report(self, report: Report) -> None:
        """See Reporter."""
        self._put(report.env_steps, [scalars(report, copy) for copy in range(self._run.config.copies)])

    def _put(self, env_steps: int, values: list[dict[str, float]]) -> None:
        """Has the values of each copy told, but for those that were told of as many steps."""
        self._outbox.put(Record(env_steps, time.time(), values))
        self._teller.wake()

    def _settings(self, copy: int | None) -> dict[str, Any]:
        """What is told of a copy, or of the whole, by name."""
        return settings(self._run.config, copy or 0)

    def _title(self, copy: int) -> str:
        """What people see a copy called."""
        return f"run_{copy}"

    def close(self) -> None:
        """See Reporter."""
        self._teller.close()

    def _tell(self, is_last: bool) -> None:
        artifacts = [one for copy in range(self._run.config.copies) for one in self._files(copy)]
        names = [f"run_{one.copy}/{one.name}" for one in artifacts]
        if not self._outbox.waiting and self._outbox.ended == names:
            return
        if not self._is_open:
            self.open(self._run, self._outbox.id)
            self._is_open = True
        while records := self._outbox.waiting[:_AT_ONCE]:
            self.send(records)
            self._outbox.sent(len(records))
        if is_last:
            with tempfile.TemporaryDirectory() as folder:
                artifacts += self._drawn(Path(folder))
                self.end(artifacts, is_finished=self._run.env_steps == self._run.total_steps)
            self._outbox.end(names)

    def _files(self, copy: int) -> list[Artifact]:
        """The files of a copy that are told at the end."""
        folder = self._run.folder(copy)
        found = [path for pattern in _FILES for path in sorted(folder.glob(pattern)) if path.is_file()]
        return [Artifact(copy, path, str(path.relative_to(folder))) for path in found]

    def _drawn(self, folder: Path) -> list[Artifact]:
        """A picture of the returns, where there is something to draw them with."""
        if importlib.util.find_spec("matplotlib") is None:
            return []
        from rl_fn.media import curves, plots

        try:
            plots.draw_curves(curves.read([self._run.folder().parent])).save(folder / "returns.png")
        except ValueError:  # there were no evaluations, or nobody wrote metrics.csv
            return []
        return [Artifact(None, folder / "returns.png", "returns.png")]

    def _say(self, error: Exception) -> None:
        why, kept = one_line(error), self._run.folder() / f"{self.package}.jsonl"
        later = "sent later, at the latest when the run is started again"
        self._run.notes.append(f"{self._receiver} cannot be told ({why}): what it misses is in {kept} and {later}")
