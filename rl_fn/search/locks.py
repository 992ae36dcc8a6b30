"""Locks between the processes of a search, which the operating system opens when a process is killed."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path


class FileLock:
    """A lock on a file, which stays there.

    Args:
      path: of the file, whose folder must be there.
    """

    def __init__(self, path: Path):
        self._path = path
        self._held = threading.local()

    def acquire(self, wait: bool = True) -> bool:
        """Takes the lock; returns whether it has it, which it always has if it waits."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._held.descriptor = descriptor
        return True

    def release(self) -> None:
        """Opens it."""
        os.close(self._held.descriptor)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def first_free(folder: Path) -> tuple[int, FileLock]:
    """Takes the first lock of a folder that nobody has: the number of this process among those that share a study."""
    number = 0
    while not (lock := FileLock(folder / f"{number}.lock")).acquire(wait=False):
        number += 1
    return number, lock


def is_alive(folder: Path, number: int) -> bool:
    """Whether the process of that number is there."""
    lock = FileLock(folder / f"{number}.lock")
    if free := lock.acquire(wait=False):
        lock.release()
    return not free
