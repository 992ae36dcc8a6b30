"""Where a study is kept, and which of its trials are whose.

A trial is running, waiting or finished. What a killed process was at is given back: it waits, under its number and
with its values, for whoever asks next.
"""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import json
import logging
import os
import socket
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rl_fn.runs import files
from rl_fn.runs.errors import one_line, without_password
from rl_fn.runs.lock import FileLock

FILE = "study.journal"
NAME = "rl-fn"  # of the study in its storage
_JOURNAL = b'{"op_code":'  # how one begins
_WHAT, _ID, _TOLD, _WORKER = "what", "id", "told", "worker"  # what a study and a trial remember
_UNCLAIMED_SECONDS = 600.0  # after which a trial that nobody has put their name to is nobody's
_OPENINGS, _OPENING_SECONDS = 5, 0.5  # tries to open a database whose tables another process makes, before the last one
# Drivers of databases as SQLAlchemy names them, the first choice first, and the modules that they are.
_DRIVERS = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2")),
    "mysql": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql")),
    "mariadb": (("mysqldb", "MySQLdb"), ("pymysql", "pymysql")),
}


def import_optuna() -> Any:
    """Optuna, silenced.

    Raises:
      ValueError: if it is not installed; the message says how it is.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ValueError(f'search needs {error.name}, which is not installed: pip install "rl-fn[search]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # Of a trial that is begun anew, which comes to the same.
    warnings.filterwarnings("ignore", message="The reported value is ignored because this `step")
    return optuna


def open_storage(place: str | None, folder: Path) -> Any:
    """Opens Optuna's storage: a URL's, or a journal in a file, by itself `study.journal` in the folder.

    Raises:
      ValueError: if it cannot be opened; the message says why.
    """
    optuna = import_optuna()
    told = without_password(place) if place else str(folder / FILE)
    try:
        if place is not None and "://" in place:
            return _opened(optuna, _with_driver(place))
        path = folder / FILE if place is None else Path(place).expanduser()
        if not path.parent.is_dir() or path.is_dir():
            raise ValueError("there is no such folder, or it is one" if path.is_dir() else "its folder is not there")
        journal = optuna.storages.journal
        # Optuna's own stays locked after a kill. Its dashboard has that, so this one needs another name.
        lock: Any = FileLock(path.with_name(f".{path.name}.flock"))
        _cut_torn(path, lock)
        return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=lock))
    except ImportError as error:  # Optuna's own says nothing but that there was one
        missing = getattr(error.__cause__ or error, "name", None) or "a driver"
        raise ValueError(
            f'storage {told} needs {missing}, which is not installed: pip install "rl-fn[search-sql]" brings psycopg '
            "for PostgreSQL and pymysql for MySQL"
        ) from None
    except Exception as error:  # of any kind, as the drivers of databases raise them
        raise ValueError(f"storage {told} cannot be opened: {one_line(error)}") from None


def _opened(optuna: Any, url: str) -> Any:
    """A database's storage, also where others make its tables at the same moment."""
    from sqlalchemy import exc

    for _ in range(_OPENINGS):
        try:
            return optuna.storages.RDBStorage(url)
        except exc.DBAPIError as error:
            is_there = isinstance(error, exc.ProgrammingError | exc.IntegrityError) or "already exists" in str(error)
            if not is_there:
                raise
        time.sleep(_OPENING_SECONDS)
    return optuna.storages.RDBStorage(url)


def _with_driver(url: str) -> str:
    """A database's URL with a driver that is installed, where it names none."""
    name, rest = url.split("://", maxsplit=1)
    installed = (driver for driver, module in _DRIVERS.get(name, ()) if importlib.util.find_spec(module))
    driver = next(installed, None)
    return f"{name}+{driver}://{rest}" if driver else url


def _cut_torn(path: Path, lock: FileLock) -> None:
    """Cuts a last line of which a full disk or a power loss has left a part: what is added to it could not be read.

    Raises:
      ValueError: if the file holds something else than a journal, which nothing is to be added to.
    """
    with lock:
        content = path.read_bytes() if path.exists() else b""
        if not _JOURNAL.startswith(content[: len(_JOURNAL)]):
            raise ValueError("it holds no journal of Optuna's")
        if (whole := content.rfind(b"\n") + 1) < len(content):
            os.truncate(path, whole)


class Told(NamedTuple):
    """What somebody outside was told of a study."""

    trials: frozenset[int]
    files: list[str] | None  # with the end; None if it was not told of the end


class Shelf:
    """A study in its storage, shared by processes; this one has a number among those of its folder.

    Args:
      place: of the storage; see `open_storage`.
      folder: of the search, whose processes know of each other by locks in it.
      identity: what is searched, and how; see `SearchConfig.identity`.
      pruner: Optuna's.

    Raises:
      ValueError: if the storage cannot be opened, or holds the study of something else.
    """

    def __init__(self, place: str | None, folder: Path, identity: dict[str, Any], pruner: Any):
        optuna = import_optuna()
        self._waiting, self._running = optuna.trial.TrialState.WAITING, optuna.trial.TrialState.RUNNING
        self._locks = folder / "processes"
        files.make_folder(self._locks)
        self._is_in_folder = place is None
        self.number, self._alive = _first_free(self._locks)
        self._asking, self._judging = FileLock(self._locks / "asking.lock"), FileLock(self._locks / "judging.lock")
        self._telling = FileLock(self._locks / "telling.lock")
        self._home = f"{socket.gethostname()} {folder.absolute()}"
        told = without_password(place) if place else str(folder / FILE)
        try:
            storage = open_storage(place, folder)
            with self._asking:
                self.study = optuna.create_study(
                    storage=storage, study_name=NAME, direction="maximize", load_if_exists=True, pruner=pruner
                )
                self._check(identity, told if place else folder)
        except ValueError:
            self._alive.release()
            raise
        except Exception as error:  # of any kind, as the drivers of databases raise them
            self._alive.release()
            raise ValueError(f"storage {told} cannot be used: {one_line(error)}") from None

    def _check(self, identity: dict[str, Any], where: Any) -> None:
        known = self.study.user_attrs.get(_WHAT)
        if known is None and self.study.get_trials(deepcopy=False):
            raise ValueError(f"{where} holds a study that is none of rl-fn's")
        if known is None:
            self.study.set_user_attr(_WHAT, identity)
            return
        mine = json.loads(json.dumps(identity))
        for name in {**known, **mine}:
            if known.get(name) != mine.get(name):
                raise ValueError(f"{where} holds another study: its {name} is {known.get(name)}, not {mine.get(name)}")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While this process asks for trials, no other process of the folder does."""
        with self._asking:
            yield

    @contextmanager
    def judging(self) -> Iterator[bool]:
        """Whether this process is the only one of its folder to judge the best."""
        if not self._judging.acquire(wait=False):
            yield False
            return
        try:
            yield True
        finally:
            self._judging.release()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """While this process tells somebody of the study, no other process of the folder does."""
        with self._telling:
            yield

    @property
    def id(self) -> str:
        """Of the study, wherever it is told; it stays the same when it is gone on with."""
        with self._asking:
            if _ID not in self.study.user_attrs:
                self.study.set_user_attr(_ID, uuid.uuid4().hex)
            return self.study.user_attrs[_ID]

    def told(self, receiver: str) -> Told:
        """What somebody was told of the study."""
        known = self.study.user_attrs.get(f"{_TOLD} {receiver}", {})
        return Told(frozenset([*range(known.get("below", 0)), *known.get("beyond", ())]), known.get("files"))

    def tell(self, receiver: str, trials: frozenset[int], files: list[str] | None) -> Told:
        """Notes what somebody was told."""
        below = next(number for number in itertools.count() if number not in trials)
        beyond = sorted(number for number in trials if number > below)
        self.study.set_user_attr(f"{_TOLD} {receiver}", {"below": below, "beyond": beyond, "files": files})
        return Told(trials, files)

    def claim(self, trial: Any) -> None:
        """Puts this process's name to a trial; called while `asking`."""
        trial.set_user_attr(_WORKER, f"{self._home} {self.number}")

    def give_back(self, trial_id: int) -> None:
        """Lets a trial wait for whoever asks next."""
        self.study._storage.set_trial_state_values(trial_id, state=self._waiting)

    def recover(self, is_first: bool = False) -> int:
        """Gives back what killed processes of this folder were at.

        Args:
          is_first: whether this process has not asked for a trial yet, so that those of its number are another's.

        Returns:
          How many trials.
        """
        count = 0
        with self._asking:
            for trial in self.study.get_trials(deepcopy=False, states=(self._running,)):
                if self._is_left(trial, is_first):
                    self.give_back(trial._trial_id)
                    count += 1
        return count

    def _is_left(self, trial: Any, is_first: bool) -> bool:
        home, _, number = trial.user_attrs.get(_WORKER, "").rpartition(" ")
        if not home:
            age = datetime.datetime.now() - trial.datetime_start
            return self._is_in_folder or age.total_seconds() > _UNCLAIMED_SECONDS
        if home != self._home:
            return False
        mine = int(number) == self.number
        return is_first if mine else not _is_alive(self._locks, int(number))

    def close(self) -> None:
        """Lets go of this process's number."""
        self._alive.release()


def _first_free(folder: Path) -> tuple[int, FileLock]:
    """Takes the first lock of a folder that nobody has: the number of this process among those that share a study."""
    number = 0
    while not (lock := FileLock(folder / f"{number}.lock")).acquire(wait=False):
        number += 1
    return number, lock


def _is_alive(folder: Path, number: int) -> bool:
    """Whether the process of that number is there."""
    lock = FileLock(folder / f"{number}.lock")
    if free := lock.acquire(wait=False):
        lock.release()
    return not free
