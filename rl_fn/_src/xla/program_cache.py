"""The cache of compiled programs, which XLA believes without a check: what is damaged is taken away before it is read.

TensorFlow is not imported here. Each program has a digest beside it from the second command on that sees it; until
then it must have the form of what XLA writes, so that a file that was cut off or emptied is found, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path

LEAST_FREE = 100_000_000  # bytes on the disk, below which nothing is kept
_PROGRAM, _DIGEST, _UNFINISHED = "*.pb", ".sha256", "*.tmp"
_OLD_SECONDS = 3600.0  # what XLA left unfinished for so long is nobody's
_UNUSED_SECONDS = 30 * 86_400.0  # after which nobody is expected to ask for a folder again


def opened(folder: Path) -> tuple[Path | None, str]:
    """Makes the folder ready.

    Returns:
      It, or None where it cannot be used; and a sentence for the user, empty where all is well.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "it cannot be written")
        damaged = _clean(folder)
    except OSError as error:
        return None, f"trains without the cache of compiled programs {folder}: {error.strerror or error}"
    if free < LEAST_FREE:
        return None, f"trains without the cache of compiled programs {folder}: its disk is full"
    if damaged:
        return folder, f"the cache of compiled programs {folder} had {damaged} damaged files, which were deleted"
    return folder, ""


def forget(folder: Path, pattern: str) -> None:
    """Notes that a folder is in use, and deletes those beside it that have not been for long, as far as can be done.

    Args:
      folder: of this process, which is kept.
      pattern: of the names of such folders.
    """
    with contextlib.suppress(OSError):
        folder.touch()
        for other in folder.parent.glob(pattern):
            if time.time() - other.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def clear(folder: Path) -> None:
    """Deletes all programs, as far as that can be done: nobody knows which one XLA could not read."""
    for path in [*folder.glob(_PROGRAM), *folder.glob(_PROGRAM + _DIGEST), *folder.glob(_UNFINISHED)]:
        with contextlib.suppress(OSError):
            path.unlink()


def seal(folder: Path) -> None:
    """Writes the digest of each program that has none."""
    for path in folder.glob(_PROGRAM):
        beside = path.with_name(path.name + _DIGEST)
        if not beside.exists():
            unfinished = beside.with_name(f"{beside.name}.{os.getpid()}.tmp")
            unfinished.write_text(_digest(path))
            unfinished.replace(beside)


def _clean(folder: Path) -> int:
    """Deletes what is damaged; returns how many programs that were."""
    damaged = 0
    for path in folder.glob(_PROGRAM):
        if not _is_whole(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            path.with_name(path.name + _DIGEST).unlink(missing_ok=True)
            damaged += 1
    for path in folder.glob(_UNFINISHED):
        if time.time() - path.lstat().st_mtime > _OLD_SECONDS:
            path.unlink(missing_ok=True)
    seal(folder)
    return damaged


def _is_whole(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        told = path.with_name(path.name + _DIGEST).read_text("ascii")
    except (OSError, ValueError):
        return _has_form(path.read_bytes())
    return told == _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _has_form(content: bytes) -> bool:
    """Whether the bytes are a protocol buffer whose fields have lengths, and fill it to its end."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        length, place = _varint(content, place)
        if tag & 7 != 2 or not 1 <= tag >> 3 <= 15:
            return False
        place += length
    return bool(content) and place == len(content)


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of variable length at a place, and the place after it; past the end, zeros."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[place] if place < len(content) else 0
        value, place = value | (byte & 127) << shift, place + 1
        if byte < 128:
            break
    return value, place
