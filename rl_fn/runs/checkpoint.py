"""Checkpoints of a whole training state: plain NumPy archives, written atomically, read without pickle.

A file holds an array for each leaf, what else it was given as JSON with its iteration, and a SHA-256 digest of these.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn.runs import archive, files
from rl_fn.runs.errors import one_line, reason
from rl_fn.struct import Nest, named_leaves

_NAME = re.compile(r"iteration_([0-9]{12,})\.npz")
_METADATA = "__metadata__"


class Unfit(ValueError):
    """A checkpoint, good or not, of another state than the one that is wanted."""


class Checkpoint(NamedTuple):
    iteration: int
    leaves: dict[str, np.ndarray]  # by path, such as "agent/params/policy/layer_0/kernel"
    metadata: dict[str, Any]


def save(folder: Path, iteration: int, state: Nest, metadata: dict[str, Any]) -> Path:
    """Writes a checkpoint; it appears under its name only when it is complete on the disk.

    Args:
      folder: is made where it is missing.
      iteration: names the file, and is told in it.
      state: a nest of tensors or arrays.
      metadata: whatever else must come back, as JSON holds it.

    Returns:
      The path of the file.
    """
    files.make_folder(folder)
    _write([path_of(folder, iteration)], iteration, [state], [metadata])
    return path_of(folder, iteration)


def save_copies(
    folders: Sequence[Path], iteration: int, states: Sequence[Nest], metadata: Sequence[dict[str, Any]]
) -> None:
    """Writes a checkpoint of each copy of a run, all or none, and keeps only the newest ones.

    Raises:
      OSError: if one cannot be written.
    """
    _write([path_of(folder, iteration) for folder in folders], iteration, states, metadata)
    # Only now do all copies have this one, so only now may an older one go.
    for folder in folders:
        keep_newest(folder)


def keep_newest(folder: Path, keep: int = 3) -> None:
    """Deletes all checkpoints of a folder but the newest ones, and what a killed process left unfinished."""
    files.remove_unfinished(folder)
    for iteration in list_iterations(folder)[:-keep]:
        if not (path := path_of(folder, iteration)).is_dir():  # which is none of ours
            path.unlink()


def list_iterations(folder: Path) -> list[int]:
    """The iterations of a folder's checkpoints, good or damaged, oldest first.

    Raises:
      OSError: if there is such a folder, and it cannot be read.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    iterations = [int(match[1]) for match in map(_NAME.fullmatch, names) if match]
    return sorted(iteration for iteration in iterations if path_of(folder, iteration).name in names)


def list_complete(folders: Sequence[Path]) -> list[int]:
    """The iterations of which all of these folders have a checkpoint, oldest first."""
    return sorted(set.intersection(*[set(list_iterations(folder)) for folder in folders]))


def path_of(folder: Path, iteration: int) -> Path:
    """The path of a checkpoint."""
    return folder / f"iteration_{iteration:012d}.npz"


def load(path: Path, like: Nest = None, part: str = "") -> Checkpoint:
    """Reads a checkpoint, once it is clear that no value in it takes more memory than it should.

    Args:
      path: of the file.
      like: a state of the wanted structure, shapes and dtypes; a file of another is refused before it is read.
      part: the part of the saved state that is wanted, such as "agent"; of the rest only the digest is checked.

    Returns:
      The checkpoint. The names of its leaves begin below `part`.

    Raises:
      ValueError: if the file is damaged, or of another state than `like`, or its name tells another iteration.
    """
    prefix = f"{part}/" if part else ""

    def check(kinds: dict[str, archive.Kind]) -> None:
        if like is not None:
            found = {name: kind for name, kind in kinds.items() if name.startswith(prefix) and name != _METADATA}
            _check_leaves({name.removeprefix(prefix): kind for name, kind in found.items()}, like)

    try:
        arrays = archive.read(path, lambda name: name.startswith(prefix) or name == _METADATA, check)
        told = json.loads(arrays.pop(_METADATA).tobytes())
        iteration, metadata = told["iteration"], told["metadata"]
        if type(iteration) is not int or not isinstance(metadata, dict):
            raise ValueError("it does not say what it is")
    except Unfit as error:
        raise Unfit(f"checkpoint {path} does not fit: {error}") from None
    except OSError as error:
        raise ValueError(f"checkpoint {path} cannot be read: {reason(error)}") from None
    except Exception as error:  # of any kind, as the bytes of a damaged file bring it about
        raise ValueError(f"checkpoint {path} is damaged: {one_line(error)}") from None
    if _NAME.fullmatch(path.name) and path != path_of(path.parent, iteration):
        raise ValueError(f"checkpoint {path} is that of iteration {iteration} under another name")
    return Checkpoint(iteration, {name.removeprefix(prefix): array for name, array in arrays.items()}, metadata)


def load_newest(
    folders: Sequence[Path], read: Callable[[int, Path], Checkpoint]
) -> tuple[list[Checkpoint], list[str]] | None:
    """Reads the newest checkpoints of a run's copies, of the newest iteration that is good in all of them.

    Args:
      folders: of the copies' checkpoints.
      read: called with the number of a copy and a path; raises ValueError if that checkpoint cannot be used.

    Returns:
      The checkpoints, and a sentence on each newer iteration that says why it was passed over; None where there are no
      checkpoints at all.

    Raises:
      ValueError: if there are some, and none can be used.
      OSError: if a folder cannot be read.
    """
    listed = {folder: list_iterations(folder) for folder in folders}
    if not any(listed.values()):
        return None
    begun = next(folder for folder in folders if listed[folder])
    if empty := [str(folder) for folder in folders if not listed[folder]]:
        raise ValueError(f"there are checkpoints in {begun} and none in {', '.join(empty)}: all copies go on, or none")
    passed_over: list[str] = []
    for iteration in sorted(set().union(*listed.values()), reverse=True):
        try:
            return [read(copy, path_of(folder, iteration)) for copy, folder in enumerate(folders)], passed_over
        except ValueError as error:
            passed_over.append(str(error))
    raise ValueError(f"no checkpoint can be used: {'; '.join(passed_over)}")


def finish(folders: Sequence[Path]) -> None:
    """Lets a checkpoint appear in all folders, where a kill came between its appearance in the first and in the last.

    Raises:
      OSError: if a folder cannot be read or written.
    """
    for iteration in set[int]().union(*map(list_iterations, folders)):
        for path in [path_of(folder, iteration) for folder in folders]:
            if not os.path.lexists(path) and os.path.lexists(files.unfinished_of(path)):
                files.unfinished_of(path).replace(path)
                files.sync_folder(path.parent)


def set_aside(folders: Sequence[Path], newest: int) -> None:
    """Gives what is newer than the newest good checkpoints another name, so that it neither counts nor is in the way.

    Raises:
      OSError: if that cannot be done.
    """
    for folder in folders:
        for iteration in list_iterations(folder):
            path = path_of(folder, iteration)
            names = (path.with_name(f"{path.name}.passed_over_{count}") for count in itertools.count(1))
            if iteration > newest:
                path.rename(next(name for name in names if not os.path.lexists(name)))


def restore(checkpoint: Checkpoint, like: Nest, wanted: Callable[[str], bool] = lambda name: True) -> Nest:
    """Puts the leaves of a checkpoint into a state's structure.

    Args:
      checkpoint: what was loaded.
      like: a state of the wanted structure, shapes and dtypes.
      wanted: by its name, whether a leaf is taken; the others stay what they are in `like`.

    Raises:
      ValueError: if a leaf that is wanted is missing, is left over, or has another shape or dtype.
    """
    leaves = {name: leaf for name, leaf in checkpoint.leaves.items() if wanted(name)}
    kinds = {name: archive.Kind(leaf.dtype, leaf.shape) for name, leaf in leaves.items()}
    _check_leaves(kinds, {name: leaf for name, leaf in named_leaves(like) if wanted(name)})
    restored = [_as(leaf.dtype, leaves[name]) if wanted(name) else leaf for name, leaf in named_leaves(like)]
    # `named_leaves` and `tf.nest` agree on the order.
    return tf.nest.pack_sequence_as(like, restored)


def digest(state: Nest) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all leaves of a state."""
    sha = hashlib.sha256()
    for name, leaf in named_leaves(state):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha.update(archive.bytes_of(array))
    return sha.hexdigest()


def _write(paths: Sequence[Path], iteration: int, states: Sequence[Nest], metadata: Sequence[dict[str, Any]]) -> None:
    """Writes checkpoints that appear under their names only when all of them are complete on the disk."""
    written = []
    try:
        for path, state, one in zip(paths, states, metadata, strict=True):
            told = json.dumps({"iteration": iteration, "metadata": one}).encode()
            arrays = {name: _storable(np.asarray(leaf, order="C")) for name, leaf in named_leaves(state)}
            arrays[_METADATA] = np.frombuffer(told, np.uint8)
            written.append(files.write_unfinished(path, partial(archive.write, arrays=arrays)))
        for path in paths:
            files.sync_folder(path.parent)
        for unfinished, path in zip(written, paths, strict=True):
            unfinished.replace(path)
    except BaseException:
        # In this order, so that `finish` can finish what could not be taken back.
        with contextlib.suppress(OSError):
            for unfinished in [*paths, *written]:
                unfinished.unlink(missing_ok=True)
        raise
    for path in paths:
        files.sync_folder(path.parent)


def _check_leaves(found: Mapping[str, archive.Kind], like: Nest) -> None:
    expected = dict(named_leaves(like))
    if different := set(expected) ^ set(found):
        raise Unfit(f"the checkpoint's state is another than this agent's: they differ in {sorted(different)[:4]}")
    for name, leaf in expected.items():
        dtype, shape = found[name]
        stored = np.dtype(np.uint16) if leaf.dtype == tf.bfloat16 else tf.as_dtype(leaf.dtype).as_numpy_dtype
        if shape != tuple(leaf.shape) or dtype not in (stored, tf.as_dtype(leaf.dtype).as_numpy_dtype):
            wanted = f"{tf.as_dtype(leaf.dtype).name} {tuple(leaf.shape)}"
            raise Unfit(f"the checkpoint's {name} is {dtype} {shape}, expected {wanted}")


def _storable(array: np.ndarray) -> np.ndarray:
    """NumPy archives know no bfloat16: its bits are kept as uint16."""
    return array.view(np.uint16) if array.dtype == tf.bfloat16.as_numpy_dtype else array


def _as(dtype: Any, array: np.ndarray) -> np.ndarray:
    """Undoes `_storable`."""
    return array.view(tf.bfloat16.as_numpy_dtype) if tf.as_dtype(dtype) == tf.bfloat16 else array
