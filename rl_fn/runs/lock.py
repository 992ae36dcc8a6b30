"""Locks on files, which the operating system opens when a process ends, for whatever reason.

`Lock` keeps a second run out of an output folder, and `FileLock` makes processes wait for each other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
from pathlib import Path

NAME = ".lock"


class FileLock:
    """A lock on a file, which stays there. Threads of a process have it one at a time, too.

    Args:
      path: of the file, whose folder must be there.
    """

    def __init__(self, path: Path):
        self._path = path
        self._held = threading.local()

    def acquire(self, wait: bool = True) -> bool:
        """Takes the lock; returns whether it has it, which it always has if it waits.

        Raises:
          OSError: if the file cannot be made, or its file system has no locks.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_mine = _take(descriptor, wait)
        except BaseException:
            os.close(descriptor)
            raise
        if is_mine:
            self._held.descriptor = descriptor
        else:
            os.close(descriptor)
        return is_mine

    def release(self) -> None:
        """Opens it."""
        os.close(self._held.descriptor)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


class Lock:
    """The lock of an output folder.

    Args:
      folder: must be there.

    Raises:
      ValueError: if another run has it, in this process or in another, which is named.
      OSError: if the file cannot be made.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.note: str | None = None  # what people should be told
        self._descriptor = self._open()
        while not self.is_there():  # the last owner has deleted it in this moment
            os.close(self._descriptor)
            self._descriptor = self._open()
        with contextlib.suppress(OSError):  # on a full disk the lock holds without saying whose it is
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())

    def is_there(self) -> bool:
        """Whether the file that is locked is still in the folder."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Opens the lock, and deletes its file."""
        if self.is_there():
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)

    def _open(self) -> int:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            is_mine = _take(descriptor, wait=False)
        except OSError as error:
            self.note = f"{self.path.parent} cannot be locked ({error.strerror}): see that no second run writes to it"
            return descriptor
        if not is_mine:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise ValueError(f"{self.path.parent} is in use by {owner}: one run at a time")
        return descriptor


def _take(descriptor: int, wait: bool) -> bool:
    """Locks an open file; returns false where another has it locked, and this is not to wait."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _owner(descriptor: int) -> str:
    """Who has locked a file, which is told in it."""
    number, _, host = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip().partition(" ")
    if not number.isdecimal():
        return "another process"
    return f"process {number}" + (f" on {host}" if host.isprintable() and host != socket.gethostname() else "")
