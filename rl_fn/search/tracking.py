"""A study in MLflow and in Weights & Biases: a run of the whole, and one of each trial that is finished.

The study itself is what is to be told, and remembers what was, so nothing waits in files of its own.
"""

from __future__ import annotations

import datetime
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_fn.runs import folder
from rl_fn.runs.errors import one_line
from rl_fn.runs.reporters import mlflow_book
from rl_fn.runs.reporters.teller import Teller
from rl_fn.runs.reporters.tracker import check_installed
from rl_fn.search.config import SearchConfig

_AT_ONCE = 20  # trials between two notes of what was told


class Told(NamedTuple):
    """A trial that is finished, as it is told."""

    number: int
    values: Mapping[str, Any]
    value: float | None  # where it came to its end
    state: str
    scores: Sequence[float]  # of its evaluations, where there were several
    begin: datetime.datetime
    end: datetime.datetime
    finished: int  # trials that were finished when it was
    best: float | None  # value of these


class StudyTracker(ABC):
    """Tells somebody of a study, in a thread.

    Args:
      config: of the search.
      settings: what is told of the whole: names and values.
      env: the environment.

    Raises:
      ValueError: if the package is not installed.
    """

    package: str

    def __init__(self, config: SearchConfig, settings: Mapping[str, Any], env: str):
        check_installed(self.package)
        self.config, self.settings, self.env = config, settings, env
        self.about = {"agent": settings["agent"], "hparams": config.hparams, **folder.versions()}
        self.title = config.output_dir.absolute().name

    @property
    @abstractmethod
    def receiver(self) -> str:
        """Who is told; what one has got, another has not."""

    @abstractmethod
    def open(self, name: str, begin: datetime.datetime) -> None:
        """Begins to tell of the study of that name, which began then, or goes on."""

    @abstractmethod
    def send(self, trials: list[Told]) -> None:
        """Tells trials, for the second time where the first was not known to succeed."""

    @abstractmethod
    def end(self, files: list[Path], is_finished: bool) -> None:
        """Tells that the process leaves the study, with its files, whose names are those in its folder."""


class Telling:
    """Tells of a study for as long as it is worked on; several processes of a folder take turns.

    Args:
      tracker: who tells.
      shelf: where the study is kept.
      trials: all trials that are finished, in the order in which they were.
      is_finished: whether the study is.
      say: called with a sentence that people should be told.
    """

    def __init__(
        self,
        tracker: StudyTracker,
        shelf: Any,
        trials: Callable[[], list[Told]],
        is_finished: Callable[[], bool],
        say: Callable[[str], None],
    ):
        self._tracker, self._shelf, self._trials = tracker, shelf, trials
        self._is_finished, self._say, self._is_open = is_finished, say, False
        self._teller = Teller(tracker.package, self._tell, self._failed)
        self.wake, self.close = self._teller.wake, self._teller.close

    def _tell(self, is_last: bool) -> None:
        with self._shelf.telling():
            told = self._shelf.told(self._tracker.receiver)
            trials = self._trials()
            new = [one for one in trials if one.number not in told.trials]
            base = self._tracker.config.output_dir
            files = [path for path in (base / "best.toml", *sorted((base / "pictures").glob("*.png"))) if path.exists()]
            names = [path.name for path in files]
            if not new and (not is_last or told.files == names):
                return
            if not self._is_open:
                begin = min((one.begin for one in trials), default=datetime.datetime.now())
                self._tracker.open(self._shelf.id, begin)
                self._is_open = True
            for first in range(0, len(new), _AT_ONCE):
                part = new[first : first + _AT_ONCE]
                self._tracker.send(part)
                told = self._shelf.tell(self._tracker.receiver, told.trials | {one.number for one in part}, None)
            if is_last:
                self._tracker.end(files, self._is_finished())
                self._shelf.tell(self._tracker.receiver, told.trials, names)

    def _failed(self, error: Exception) -> None:
        later = "told later, at the latest when the search is started again"
        name = self._tracker.receiver
        self._say(f"{name} cannot be told ({one_line(error)}): what it misses is in the study and {later}")


class MLflowStudy(StudyTracker):
    """A run of the study, with the course of its best, and a child of each trial, with its values and its objective."""

    package = "mlflow"

    def __init__(self, config: SearchConfig, settings: Mapping[str, Any], env: str):
        super().__init__(config, settings, env)
        self._book = mlflow_book.Book(mlflow_book.checked(config.track_uri), config.output_dir)

    @property
    def receiver(self) -> str:
        """See StudyTracker."""
        return self._book.receiver

    def open(self, name: str, begin: datetime.datetime) -> None:
        """See StudyTracker."""
        self._name = name
        self._book.open(self.env)
        self._study = self._book.begin(
            f"{name}/study", self.title, self.settings, self.about, begin=_milliseconds(begin)
        )

    def send(self, trials: list[Told]) -> None:
        """See StudyTracker."""
        for one in trials:
            begin, end = map(_milliseconds, (one.begin, one.end))
            tags = {**self.about, "state": one.state}
            run_id = self._book.begin(
                f"{self._name}/{one.number}", f"trial {one.number}", one.values, tags, self._study, begin
            )
            points = [("score", score, end, step) for step, score in enumerate(one.scores, 1)]
            points += [] if one.value is None else [("objective", one.value, end, 0)]
            self._book.metrics(run_id, points)
            self._book.end(run_id, "FAILED" if one.state == "failed" else "FINISHED", end)
            course = [("objective", one.value), ("best", one.best)]
            self._book.metrics(
                self._study, [(tag, value, end, one.finished) for tag, value in course if value is not None]
            )

    def end(self, files: list[Path], is_finished: bool) -> None:
        """See StudyTracker."""
        for path in files:
            self._book.artifact(self._study, path, str(path.relative_to(self.config.output_dir)))
        self._book.end(self._study, "FINISHED" if is_finished else "KILLED")


class WandBStudy(StudyTracker):
    """A group of runs: one of the study, with the course of its best, and one of each trial."""

    package = "wandb"

    @property
    def receiver(self) -> str:
        """See StudyTracker."""
        return f"W&B, {os.environ.get('WANDB_MODE', 'offline')}"

    def open(self, name: str, begin: datetime.datetime) -> None:
        """See StudyTracker."""
        self._name = name
        self._study = self._run("study", self.title, self.settings)

    def send(self, trials: list[Told]) -> None:
        """See StudyTracker."""
        for one in trials:
            run = self._run(str(one.number), f"{self.title}/trial {one.number}", one.values)
            for step, score in enumerate(one.scores, 1):
                run.log({"score": score}, step=step)
            ended = {} if one.value is None else {"objective": one.value}
            run.summary.update({**ended, "state": one.state})
            run.finish(exit_code=int(one.state == "failed"))
            course = {"objective": one.value, "best": one.best}
            self._study.log({tag: value for tag, value in course.items() if value is not None}, step=one.finished)

    def end(self, files: list[Path], is_finished: bool) -> None:
        """See StudyTracker."""
        for path in files:
            self._study.save(str(path), base_path=str(self.config.output_dir), policy="now")
        self._study.finish(exit_code=0 if is_finished else 1)

    def _run(self, name: str, title: str, values: Mapping[str, Any]) -> Any:
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "rl_fn"),
            dir=self.config.output_dir.absolute().parent,
            id=f"{self._name}-{name}",
            name=title,
            group=self.title,
            job_type="study" if name == "study" else "trial",
            config=dict(values),
            mode=mode,
            resume=None if mode == "offline" else "allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )


def tracker(config: SearchConfig, settings: Mapping[str, Any], env: str) -> StudyTracker | None:
    """Who is told of a study, by the setting `track`; None for nobody.

    Raises:
      ValueError: if a package is not installed, or the URI cannot be.
    """
    kinds: dict[str, type[StudyTracker]] = {"mlflow": MLflowStudy, "wandb": WandBStudy}
    return kinds[config.track](config, settings, env) if config.track in kinds else None


def _milliseconds(time: datetime.datetime) -> int:
    return int(1000 * time.timestamp())
