"""A lock that keeps a second run out of an output folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path

NAME = ".lock"


class Lock:
    """The lock of an output folder. The operating system opens it when the process ends, for whatever reason.

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
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                owner = _owner(descriptor)
                os.close(descriptor)
                raise ValueError(f"{self.path.parent} is in use by {owner}: one run at a time") from None
            self.note = f"{self.path.parent} cannot be locked ({error.strerror}): see that no second run writes to it"
        return descriptor


def _owner(descriptor: int) -> str:
    """Who has locked a file, which is told in it."""
    number, _, host = os.pread(descriptor, 300, 0).decode("ascii", "replace").strip().partition(" ")
    if not number.isdecimal():
        return "another process"
    return f"process {number}" + (f" on {host}" if host.isprintable() and host != socket.gethostname() else "")
