"""Arrays that compiled programs read where they lie: to copy one into a tensor can take as long as the program."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_ALIGNMENT = 64  # bytes: programs read what they are given as if it began at a multiple of so many
_SMALL, _ARENA = 1 << 13, 1 << 20  # bytes of an array that is copied wherever it lies, and for the copies of many


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array whose contents are yet to be written, and that need not be copied then."""
    dtype = np.dtype(dtype)
    room = np.empty(math.prod(shape) * dtype.itemsize + _ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype, room, -_address(room) % _ALIGNMENT)


def tensor(array: Any) -> tf.Tensor:
    """A tensor of an array, to be read before the array is written to again: of its own memory, where that can be."""
    if not (isinstance(array, np.ndarray) and _lends(array.dtype)):
        return tf.convert_to_tensor(array)
    if array.nbytes <= _SMALL:  # to ask where it lies takes longer
        copy: np.ndarray = np.ndarray(array.shape, array.dtype, *_arena.room(array.nbytes))
    elif _address(array) % _ALIGNMENT or not (array.flags.c_contiguous and array.flags.writeable):
        copy = empty(array.shape, array.dtype)
    else:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    copy[...] = array
    return tf.experimental.dlpack.from_dlpack(copy.__dlpack__())


class _Arena(threading.local):
    """Where the copies of small arrays go, side by side; what is full lives on with the tensors in it."""

    def __init__(self) -> None:
        self._bytes, self._used = np.empty(0, np.uint8), 0

    def room(self, size: int) -> tuple[np.ndarray, int]:
        """An array that has room for so many bytes, and where that begins in it."""
        begin = self._used
        if begin + size > len(self._bytes):
            self._bytes, begin = empty([_ARENA], np.uint8), 0
        self._used = begin + size + -size % _ALIGNMENT
        return self._bytes, begin


_arena = _Arena()


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@functools.cache
def _lends(dtype: np.dtype) -> bool:
    """Whether tensors can lie where arrays of a dtype do; before NumPy 2, those of truths cannot."""
    try:
        lent = tf.experimental.dlpack.from_dlpack(np.ones([], dtype).__dlpack__())
    except Exception:  # whatever another version raises
        return False
    return lent.dtype == tf.as_dtype(dtype) and lent.numpy() == 1
