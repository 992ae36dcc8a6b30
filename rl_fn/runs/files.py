"""Files that appear when they are complete and on the disk, and how files are read that others may have written.

Neither a kill nor a power loss leaves a part.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from rl_fn.runs.errors import one_line, reason

_MOST, _DEPTH = 2**24, 50  # bytes of a file that is read, and lists in lists
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


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds values by name.

    Raises:
      ValueError: if it cannot be read, or holds something else.
    """
    try:
        with open_to_read(path) as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise ValueError(f"it has more than {_MOST:,} bytes")
        content = json.loads(text.decode("utf-8"))
        _check_depth(content, _DEPTH)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be read: it does not hold values by name")
    return content


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError(f"it has lists in lists, deeper than {_DEPTH}")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(part, left - 1)
