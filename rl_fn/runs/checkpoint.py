"""Checkpoints of a whole training state: plain NumPy archives, written atomically, read without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn.struct import Nest, named_leaves

_NAME = re.compile(r"iteration_(\d+)\.npz")
_METADATA = "__metadata__"


class Checkpoint(NamedTuple):
    leaves: dict[str, np.ndarray]  # by path, such as "agent/params/policy/layer_0/kernel"
    metadata: dict[str, Any]


def save(folder: Path, iteration: int, state: Nest, metadata: dict[str, Any]) -> Path:
    """Writes a checkpoint; it appears under its name only when it is complete on the disk.

    Args:
      folder: is made where it is missing.
      iteration: names the file.
      state: a nest of tensors or arrays.
      metadata: whatever else must come back, as JSON holds it.

    Returns:
      The path of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: _storable(np.asarray(leaf)) for name, leaf in named_leaves(state)}
    arrays[_METADATA] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    path = folder / f"iteration_{iteration:012d}.npz"
    unfinished = folder / f".{path.name}.unfinished"
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path


def keep_newest(folder: Path, keep: int = 3) -> None:
    """Deletes all checkpoints of a folder but the newest ones, and what a killed process left unfinished."""
    for unfinished in folder.glob(".*.unfinished"):
        unfinished.unlink()
    for iteration in list_iterations(folder)[:-keep]:
        path_of(folder, iteration).unlink()


def list_iterations(folder: Path) -> list[int]:
    """The iterations of a folder's checkpoints, oldest first."""
    matches = (_NAME.fullmatch(path.name) for path in folder.glob("*.npz"))
    return sorted(int(match[1]) for match in matches if match)


def list_complete(folders: Sequence[Path]) -> list[int]:
    """The iterations of which all of these folders have a checkpoint, oldest first."""
    return sorted(set.intersection(*[set(list_iterations(folder)) for folder in folders]))


def save_copies(folders: Sequence[Path], iteration: int, states: Sequence[Nest], metadata: dict[str, Any]) -> None:
    """Writes a checkpoint of each copy of a run, and keeps only the newest ones."""
    for folder, state in zip(folders, states, strict=True):
        save(folder, iteration, state, metadata)
    # Only now do all copies have this one, so only now may an older one go.
    for folder in folders:
        keep_newest(folder)


def path_of(folder: Path, iteration: int) -> Path:
    """The path of a checkpoint."""
    return folder / f"iteration_{iteration:012d}.npz"


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
      ValueError: if the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        metadata = json.loads(arrays.pop(_METADATA).tobytes())
    except (EOFError, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"checkpoint {path} is damaged: {error}") from None
    return Checkpoint(arrays, metadata)


def restore(checkpoint: Checkpoint, like: Nest) -> Nest:
    """Puts the leaves of a checkpoint into a state's structure.

    Args:
      checkpoint: what was loaded.
      like: a state of the wanted structure, shapes and dtypes.

    Raises:
      ValueError: if a leaf is missing, is left over, or has another shape or dtype.
    """
    expected = dict(named_leaves(like))
    if different := set(expected) ^ set(checkpoint.leaves):
        raise ValueError(f"the checkpoint's state is another than this agent's: they differ in {sorted(different)[:4]}")
    restored = []
    for name, leaf in expected.items():
        array, dtype = checkpoint.leaves[name], tf.as_dtype(leaf.dtype)
        if array.dtype == np.uint16 and dtype == tf.bfloat16:
            array = array.view(dtype.as_numpy_dtype)
        if array.shape != tuple(leaf.shape) or array.dtype != dtype.as_numpy_dtype:
            raise ValueError(
                f"the checkpoint's {name} is {array.dtype} {array.shape}, expected {dtype.name} {tuple(leaf.shape)}"
            )
        restored.append(array)
    # `named_leaves` and `tf.nest` agree on the order.
    return tf.nest.pack_sequence_as(like, restored)


def digest(state: Nest) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all leaves of a state."""
    sha = hashlib.sha256()
    for name, leaf in named_leaves(state):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _storable(array: np.ndarray) -> np.ndarray:
    """NumPy archives know no bfloat16: its bits are kept as uint16."""
    return array.view(np.uint16) if array.dtype == tf.bfloat16.as_numpy_dtype else array
