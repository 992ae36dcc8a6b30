"""States on disk, bit for bit; and experience as a data set that other programs can read.

Both are folders with one `.npy` file per leaf, named by its path, and a `leaves.json` that says which
leaves there are. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn._src.replay.base import Replay, State, Store
from rl_fn.struct import Nest, named_leaves

_INDEX = "leaves.json"


def save(path: str | os.PathLike[str], state: Nest) -> None:
    """Writes a state to a new folder, which is there completely or not at all.

    Args:
      path: the folder.
      state: a nest of tensors: of any buffer, or anything else.

    Raises:
      FileExistsError: if there is something of that name already.
    """
    with _Writer(path) as writer:
        for name, leaf in named_leaves(state):
            array = np.asarray(leaf)
            writer.create(name, array.shape, leaf.dtype)[...] = array


def restore(path: str | os.PathLike[str], like: Nest) -> Nest:
    """Reads a state.

    Where steps are added to it that do not follow its last ones, `cut` it before.

    Args:
      path: the folder that `save` has written.
      like: a nest of the same structure, such as `buffer.init()`, or of `tf.TensorSpec`.

    Returns:
      The state, a nest of tensors.

    Raises:
      ValueError: if the leaves, their shapes or their dtypes are not those of `like`; the message names
        the first that differs.
    """
    return tf.nest.map_structure(tf.constant, _read(path, like, leading_axes=0))


def contents(buffer: Replay, state: State, chunk: int = 16_384) -> Nest:
    """All steps or items that a buffer keeps, as they were added, oldest first.

    Args:
      buffer: made of any store.
      state: its state.
      chunk: the number of rows to read at once.

    Returns:
      A nest of arrays `[N, ...]`, or, of a store of streams, `[T, B, ...]`.

    Raises:
      ValueError: if the buffer is a mixture, whose buffers have the steps.
    """
    store = _store(buffer)
    parts = list(_chunks(store, state, chunk))
    if not parts:
        parts = [tf.nest.map_structure(lambda leaf: leaf[:0], store.read_rows(state, tf.range(1)))]
    flat = tf.nest.map_structure(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)
    return tf.nest.map_structure(lambda leaf: leaf.reshape(_shape(store, leaf.shape)), flat)


def export_steps(path: str | os.PathLike[str], buffer: Replay, state: State, chunk: int = 16_384) -> None:
    """Writes what `contents` returns to a new folder, holding no more than `chunk` rows in memory.

    Raises:
      FileExistsError: if there is something of that name already.
      ValueError: as from `contents`.
    """
    store = _store(buffer)
    rows = int(store.num_rows(state))
    with _Writer(path) as writer:
        files: list[np.ndarray] = []
        spec = store.read_rows(state, tf.range(1))
        for name, leaf in named_leaves(spec):
            files.append(writer.create(name, _shape(store, (rows, *leaf.shape[1:])), leaf.dtype))
        begin = 0
        for part in _chunks(store, state, chunk):
            leaves = [np.asarray(leaf) for _, leaf in named_leaves(part)]
            for file, leaf in zip(files, leaves, strict=True):
                file.reshape([rows, *leaf.shape[1:]])[begin : begin + len(leaf)] = leaf
            begin += len(leaves[0])


def import_steps(path: str | os.PathLike[str], spec: Nest) -> Nest:
    """Opens what `export_steps`, or any other program, has written.

    Args:
      path: the folder.
      spec: a nest of `tf.TensorSpec`, one step or item.

    Returns:
      A nest of arrays `[N, ...]` or `[T, B, ...]` that are read from disk as they are used. Slices of them
      can be added to a buffer; where others follow that belong to another run, `cut` it between them.

    Raises:
      ValueError: if the leaves, their shapes or their dtypes are not those of the specification.
    """
    axes = {len(file.shape) - len(leaf.shape) for file, (_, leaf) in _pairs(path, spec)}
    if len(axes) != 1 or not axes <= {1, 2}:
        raise ValueError(f"{path}: the leaves have {sorted(axes)} leading axes, expected [N] or [T, B]")
    return _read(path, spec, leading_axes=axes.pop())


class _Writer:
    """A new folder of arrays; renamed to its place once it is complete."""

    def __init__(self, path: str | os.PathLike[str]):
        self._path = Path(path)
        self._index: dict[str, str] = {}
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")

    def create(self, name: str, shape: Any, dtype: tf.DType) -> np.ndarray:
        self._index[name] = dtype.name
        return np.lib.format.open_memmap(
            self._temporary / _file(name), mode="w+", dtype=_plain(dtype), shape=tuple(shape)
        ).view(dtype.as_numpy_dtype)

    def __enter__(self) -> _Writer:
        if self._path.exists():
            raise FileExistsError(f"{self._path} exists")
        self._temporary.mkdir(parents=True)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            (self._temporary / _INDEX).write_text(json.dumps(self._index, indent=1))
            os.replace(self._temporary, self._path)
        else:
            shutil.rmtree(self._temporary)


def _read(path: str | os.PathLike[str], like: Nest, leading_axes: int) -> Nest:
    arrays = []
    for array, (name, leaf) in _pairs(path, like):
        if array.dtype != leaf.dtype.as_numpy_dtype or array.shape[leading_axes:] != tuple(leaf.shape):
            raise ValueError(
                f"{path}: {name} is {array.dtype.name} {list(array.shape)}, "
                f"expected {leaf.dtype.name} {list(leaf.shape)}"
            )
        arrays.append(array)
    return _packed(like, iter(arrays))


def _packed(like: Nest, arrays: Iterator[Any]) -> Nest:
    """The arrays in the structure of `like`, in the order of `named_leaves`."""
    if isinstance(like, dict):
        parts = {name: _packed(like[name], arrays) for name in sorted(like)}
        return {name: parts[name] for name in like}
    if isinstance(like, tuple | list):
        fields = [_packed(part, arrays) for part in like]
        return type(like)(*fields) if hasattr(like, "_fields") else type(like)(fields)
    return next(arrays)


def _pairs(path: str | os.PathLike[str], like: Nest) -> Iterator[tuple[np.ndarray, tuple[str, Any]]]:
    index = json.loads((Path(path) / _INDEX).read_text())
    expected = dict(named_leaves(like))
    for name in [*index, *expected]:
        if (name in index) != (name in expected):
            where = "the folder" if name in index else "what is expected"
            raise ValueError(f"{path}: there is a leaf {name} only in {where}")
    for name, leaf in named_leaves(like):
        array = np.load(Path(path) / _file(name), mmap_mode="r", allow_pickle=False)
        yield array.view(tf.as_dtype(index[name]).as_numpy_dtype), (name, leaf)


def _file(name: str) -> str:
    return f"{name.replace('/', '.') or 'leaf'}.npy"


def _plain(dtype: tf.DType) -> np.dtype:
    """A dtype of the same size that NumPy itself knows."""
    dtype = np.dtype(dtype.as_numpy_dtype)
    return dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")


def _store(buffer: Replay) -> Store:
    if buffer.store is None:
        raise ValueError("replay: a mixture keeps no steps of its own, ask for those of its buffers")
    return buffer.store


def _chunks(store: Store, state: State, chunk: int) -> Iterator[Nest]:
    rows = int(store.num_rows(state))
    for begin in range(0, rows, chunk):
        yield store.read_rows(state, tf.range(begin, min(begin + chunk, rows)))


def _shape(store: Store, shape: Any) -> tuple[int, ...]:
    streams = store.num_streams
    return tuple(shape) if streams is None else (shape[0] // streams, streams, *shape[1:])
