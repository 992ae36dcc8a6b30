"""Runs in folders on object stores, such as s3://bucket/run or gs://bucket/run, through fsspec.

A store has no appending, renaming or locking, so a run writes to a folder of this machine, which is then copied over.
An object appears whole or not at all, and they appear in an order in which each state of the store is one that a
killed run could have left on a disk: curves and films first, then checkpoints, then a summary; only then is anything
deleted.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any

from rl_fn.runs.errors import RunError, one_line

_ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+")
_OWNER = ".owner"  # the object that says which run writes
_FILMS = "videos"
_SHARE = 10  # copying takes at most one part in so many of a run's time

_read: list[Mirror] = []  # their folders are there until the process ends


class Address(PosixPath):
    """A folder on an object store; no file of this machine has such a name."""

    def __str__(self) -> str:
        return _ADDRESS.sub(r"\1://", super().__str__(), count=1)


def path(text: str) -> Path:
    """A path of this machine, or the address of a folder on a store."""
    return Address(text) if _ADDRESS.match(text) else Path(text)


def local(folder: Path | str) -> Path:
    """Where a folder can be read on this machine: itself, or a copy of it as it is on the store, without its films.

    Raises:
      ValueError: if the kind of store is not known, or needs a package that is not installed.
      OSError: if the store cannot be read.
    """
    folder = path(str(folder))
    if not isinstance(folder, Address):
        return folder
    _read.append(Mirror(folder))
    return _read[-1].folder


def refuse(where: Path | str, name: str) -> None:
    """Raises ValueError where `name` is on a store, which would be a folder of this machine with an odd name."""
    if isinstance(path(str(where)), Address):
        raise ValueError(f"{name} is {str(where)!r}, expected a file or folder of this machine")


def refuse_to_write(run: Path, what: str) -> None:
    """Raises ValueError where something would be written to the folder of a run, and that is on a store."""
    if isinstance(run, Address):
        raise ValueError(f"{what} writes to the folder of the run, expected one of this machine and not {run}")


class Mirror:
    """A folder of this machine that begins as a copy of one on a store, without its films, and is copied back.

    Args:
      address: of the folder on the store, which need not be there.

    Raises:
      ValueError: if the kind of store is not known, or needs a package that is not installed.
      OSError: if the store cannot be read.
    """

    def __init__(self, address: Address):
        self.address = address
        self._store, self._root = _opened(address)
        working = tempfile.mkdtemp(prefix="rl_fn_")
        self._remove = weakref.finalize(self, shutil.rmtree, working, ignore_errors=True)
        self.folder = Path(working) / address.name
        self._copied: dict[str, tuple[int, int]] = {}  # what is in the store: size and time of writing
        self._name, self._pushed_at, self._took = uuid.uuid4().hex, time.monotonic(), 0.0
        with self._told():
            self._owner = self._read_owner()
            self._fetch()

    def claim(self) -> None:
        """Makes this run the one that writes to the store; another that still does finds out.

        Raises:
          ValueError: if another has claimed it since this one read what is there.
          OSError: if the store cannot be written.
        """
        with self._told():
            if (owner := self._read_owner()) not in (self._owner, None):
                raise ValueError(f"another run has gone on in {self.address} since: start this one again")
            if owner != self._name:
                self._write_owner()

    def push(self) -> None:
        """Copies what is new to the store, and deletes there what was deleted here; the run may go on meanwhile.

        Raises:
          RunError: if another run has claimed it.
          OSError: if the store cannot be written; it holds a state to go on from all the same.
        """
        begun = time.monotonic()
        with self._told():
            owner = self._read_owner()
            if owner not in (self._name, None):
                raise RunError(f"another run has gone on in {self.address}: this one has stopped")
            if owner is None:  # the folder was deleted
                self._copied.clear()
                self._write_owner()
            here = dict(self._files())
            for name in sorted(here, key=_order):
                if self._copied.get(name) != here[name] and self._put(name):
                    self._copied[name] = here[name]
            for name in [name for name in self._copied if name not in here]:
                self._store.rm_file(f"{self._root}/{name}")
                del self._copied[name]
        self._pushed_at = time.monotonic()
        self._took = self._pushed_at - begun

    def is_due(self) -> bool:
        """Whether copying now keeps it to its share of the time."""
        return time.monotonic() - self._pushed_at >= (_SHARE - 1) * self._took

    def keep(self) -> None:
        """Leaves the folder of this machine there when the process ends."""
        self._remove.detach()

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Makes sentences on the folder of this machine sentences on the one that it stands for."""
        try:
            yield
        except (ValueError, RunError) as error:
            error.args = tuple(str(part).replace(str(self.folder), str(self.address)) for part in error.args)
            raise

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """What there is here: size and time of writing. The run goes on meanwhile, and may delete some of it."""
        for file in sorted(self.folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if file.is_file() and not file.name.startswith(".") and file.suffix != ".unfinished":
                    yield file.relative_to(self.folder).as_posix(), _stamp(file)

    def _put(self, name: str) -> bool:
        """Copies a file; returns whether it is still there."""
        try:
            self._store.put_file(str(self.folder / name), f"{self._root}/{name}")
        except FileNotFoundError:
            if (self.folder / name).exists():
                raise
            return False
        return True

    def _fetch(self) -> None:
        self.folder.mkdir()
        for key in self._store.find(self._root):
            name = key.removeprefix(f"{self._root}/")
            parts = name.split("/")
            if _FILMS in parts or ".." in parts or parts[-1].startswith(".") or not parts[-1]:
                continue
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            self._store.get_file(key, str(file))
            self._copied[name] = _stamp(file)

    def _read_owner(self) -> str | None:
        try:
            return self._store.cat_file(f"{self._root}/{_OWNER}").decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def _write_owner(self) -> None:
        self._store.pipe_file(f"{self._root}/{_OWNER}", self._name.encode())
        self._owner = self._name

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Makes one kind of error of whatever a store's library raises."""
        try:
            yield
        except (ValueError, RunError):
            raise
        except Exception as error:
            raise OSError(errno.EIO, one_line(error), str(self.address)) from error


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _order(name: str) -> tuple[int, str, str]:
    """The oldest checkpoints of all copies before the next, and what they need before them."""
    parts = name.split("/")
    rank = 3 if parts[-1] == "summary.json" else 2 if parts[-2:-1] == ["checkpoints"] else 1
    return rank, parts[-1] if rank == 2 else "", name


def _opened(address: Address) -> tuple[Any, str]:
    """The store's file system, and the folder in it."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ValueError(f'{address} needs fsspec, which is not installed: pip install "rl-fn[storage]"') from None
    try:
        # Of its own, and asking the store each time: others write to it, too.
        store, root = fsspec.core.url_to_fs(str(address), skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        hint = f'{one_line(error)}; S3 and Google Cloud: pip install "rl-fn[storage]"'
        raise ValueError(f"{address} cannot be used: {hint}") from None
    except ValueError as error:
        raise ValueError(f"{address} cannot be used: {one_line(error)}; such as s3://bucket/run") from None
    if "/" not in (root := root.rstrip("/")):
        raise ValueError(f"{address} is no folder on a store, expected one such as s3://bucket/run")
    return store, root
