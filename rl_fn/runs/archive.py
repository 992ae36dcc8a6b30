"""Arrays by name in a file: a NumPy archive that holds a digest of itself, and is not trusted any further."""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rl_fn.runs import files

_DIGEST = "__digest__"
_FORMAT = (1, 0)  # of the arrays, in NumPy's counting
_PIECE = 2**20  # bytes that are read at a time of what is not kept


class Kind(NamedTuple):
    """What an array is, before it is read."""

    dtype: np.dtype
    shape: tuple[int, ...]


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays, which lie in memory in the order of their indices, and their digest."""
    sha = hashlib.sha256()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            sha.update(_title(name, Kind(array.dtype, array.shape)))
            sha.update(bytes_of(array))
            _put(archive, name, array)
        _put(archive, _DIGEST, np.frombuffer(sha.hexdigest().encode(), np.uint8))


def read(
    path: Path, is_wanted: Callable[[str], bool], check: Callable[[dict[str, Kind]], None]
) -> dict[str, np.ndarray]:
    """Reads arrays. None takes more memory than it has bytes in the file.

    Args:
      path: of the file.
      is_wanted: called with each name; of other arrays only the digest is checked.
      check: called with what all arrays are, before one is read; may raise.

    Raises:
      OSError: if the file cannot be read, or is none.
      Exception: of many kinds, whatever NumPy and the standard library think of the bytes of a damaged file.
    """
    sha = hashlib.sha256()
    with files.open_to_read(path) as file, zipfile.ZipFile(file) as archive:
        kinds, begins = _headers(archive, os.fstat(file.fileno()).st_size)
        digest = kinds.pop(_DIGEST)
        check(kinds)
        kept = {}
        for name, kind in kinds.items():
            sha.update(_title(name, kind))
            with archive.open(f"{name}.npy") as member:
                if is_wanted(name):
                    kept[name] = np.lib.format.read_array(member, allow_pickle=False)
                    sha.update(bytes_of(kept[name]))
                else:
                    member.read(begins[name])
                    while piece := member.read(_PIECE):
                        sha.update(piece)
        with archive.open(f"{_DIGEST}.npy") as member:
            if digest.shape != (64,) or member.read()[begins[_DIGEST] :] != sha.hexdigest().encode():
                raise ValueError("its digest is not that of its content")
    return kept


def bytes_of(array: np.ndarray) -> memoryview:
    """The memory of an array."""
    return array.reshape(-1).view(np.uint8).data


def _title(name: str, kind: Kind) -> bytes:
    return f"{name} {kind.dtype.str} {kind.shape}\n".encode()


def _put(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    # Without the time of writing, so that equal content makes equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, version=_FORMAT, allow_pickle=False)


def _headers(archive: zipfile.ZipFile, size: int) -> tuple[dict[str, Kind], dict[str, int]]:
    """What the arrays are in an archive of so many bytes, and where in its own part each begins."""
    kinds, begins = {}, {}
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"{info.filename} is compressed")
        with archive.open(info) as member:
            if np.lib.format.read_magic(member) != _FORMAT:
                raise ValueError(f"{info.filename} has another format")
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member)
            begin = member.tell()
        if is_fortran or dtype.hasobject or min([0, *shape]) < 0:
            raise ValueError(f"{info.filename} has another format")
        if begin + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"{info.filename} says that it is {dtype} {shape}, and has {info.file_size} bytes")
        name = info.filename.removesuffix(".npy")
        kinds[name], begins[name] = Kind(dtype, shape), begin
        size -= info.file_size
    if size < 0 or len(kinds) != len(archive.infolist()) or _DIGEST not in kinds:
        raise ValueError("it has no digest, or more than it has bytes for")
    return kinds, begins
