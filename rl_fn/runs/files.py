"""Files that appear when they are complete and on the disk, so that neither a kill nor a power loss leaves a part."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)  # of file systems that cannot do it with folders


def write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Writes a file; `fill` is called with it, open.

    Raises:
      OSError: if it cannot be written; what was there before is there still, and nothing else.
    """
    written = write_unfinished(path, fill)
    try:
        written.replace(path)
    except OSError:
        remove(written)
        raise
    sync_folder(path.parent)


def write_unfinished(path: Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Does all of `write` but to give the file its name; returns where it is until then."""
    unfinished = unfinished_of(path)
    try:
        with unfinished.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        remove(unfinished)
        raise
    return unfinished


def unfinished_of(path: Path) -> Path:
    """Where a file is while it is written."""
    return path.with_name(f".{path.name}.unfinished")


def remove_unfinished(folder: Path) -> None:
    """Deletes what a killed process has left of its writing in a folder."""
    for unfinished in folder.glob(".*.unfinished"):
        remove(unfinished)


def remove(path: Path) -> None:
    """Deletes a file, as far as that can be done."""
    with contextlib.suppress(OSError):
        path.unlink()


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it where they are missing, on the disk, too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Puts on the disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def open_to_read(path: Path) -> BinaryIO:
    """Opens a file, and nothing else: a pipe would have no end.

    Raises:
      OSError: if it cannot be read or is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")
