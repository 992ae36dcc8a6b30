"""A step that several devices take together: what each of them does of it, and where they meet.

Every device holds all that learns, and its rows of the environments. What they do is the same function, traced once
inside `sharded`; without that, everything here is what one device does and leaves no trace in its program.

- Acting: each steps its own environments. A random draw with an axis of `rows_of` is the device's rows of the draw that
  one device would have made for all environments. The trajectory is then `gathered`, so all learn from the whole of it.
- A gradient step: each takes its rows of the batch (`mine`), and the `mean` of the gradients is that of the batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import tensorflow as tf

MEETING = "CollectiveReduceV2"  # the operation where devices meet: a sum over them
_SUMMED = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64)


class Shard(NamedTuple):
    index: tf.Tensor  # int32[]: which of the devices this is
    devices: int


class _Rows(int):
    """The size of an axis that is known to be one of rows."""


class _Here(threading.local):
    shard: Shard | None = None
    rows: int | None = None  # the size of an axis of rows, inside `rows_of`
    meetings = 0  # traced so far


_here = _Here()


@contextmanager
def sharded(index: tf.Tensor, devices: int) -> Iterator[None]:
    """What is traced inside is done by so many devices, of which this is number `index`, `int32[]`."""
    before, _here.shard = _here.shard, Shard(index, devices)
    try:
        yield
    finally:
        _here.shard = before


@contextmanager
def rows_of(size: int | None) -> Iterator[None]:
    """Inside, draws with an axis of this size are rows of draws for all devices; None for none."""
    before, _here.rows = _here.rows, size
    try:
        yield
    finally:
        _here.rows = before


def count() -> int:
    """How many devices take the step."""
    return _here.shard.devices if _here.shard else 1


def has_rows() -> bool:
    """Whether a batch that is at hand is only a device's rows of it."""
    return _here.shard is not None and _here.rows is not None


def meetings() -> int:
    """How often devices meet in what this thread has traced so far."""
    return _here.meetings


def axis_of_rows(shape: Sequence[Any]) -> int | None:
    """The axis of a shape along which a device has its rows of a whole; None where there is none."""
    if not has_rows():
        return None
    told = [axis for axis, size in enumerate(shape) if isinstance(size, _Rows)]
    alike = [axis for axis, size in enumerate(shape) if isinstance(size, int) and size == _here.rows]
    return next(iter(told + alike), None)


def rows(size: Any) -> Any:
    """The same size, of an axis that is one of rows also where one before it happens to be as large."""
    return _Rows(size) if has_rows() and size == _here.rows else size


def row_numbers(size: int) -> tuple[tf.Tensor, int]:
    """The numbers int32[size] of rows among all, and how many there are in all."""
    if axis_of_rows([size]) is None:
        return tf.range(size), size
    shard = _shard()
    return tf.range(size) + shard.index * size, size * shard.devices


def total(nest: Any) -> Any:
    """The sum over devices of each leaf, in one meeting for each dtype."""
    if count() == 1:
        return nest
    leaves = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(nest)]
    wide = [leaf if leaf.dtype in _SUMMED else tf.cast(leaf, _wider(leaf.dtype)) for leaf in leaves]
    results: dict[int, tf.Tensor] = {}
    for dtype in sorted({leaf.dtype for leaf in wide}, key=lambda dtype: dtype.name):
        places = [place for place, leaf in enumerate(wide) if leaf.dtype == dtype]
        together = tf.concat([tf.reshape(wide[place], [-1]) for place in places], axis=0)
        sizes = [wide[place].shape.num_elements() for place in places]
        for place, part in zip(places, tf.split(_meet(together), sizes), strict=True):
            results[place] = tf.cast(tf.reshape(part, wide[place].shape), leaves[place].dtype)
    return tf.nest.pack_sequence_as(nest, [results[place] for place in range(len(leaves))])


def mean(nest: Any) -> Any:
    """The mean over devices of each leaf, which is floating-point."""
    if count() == 1:
        return nest
    return tf.nest.map_structure(lambda leaf: leaf / tf.cast(count(), leaf.dtype), total(nest))


def gathered(nest: Any, axis: int = 0) -> Any:
    """The rows of all devices along an axis, in their order."""
    if count() == 1:
        return nest
    shard = _shard()

    def placed(leaf: tf.Tensor) -> tf.Tensor:
        leaf = tf.convert_to_tensor(leaf)
        mask = tf.reshape(tf.range(shard.devices) == shard.index, [-1, *[1] * (leaf.shape.rank - axis)])
        spread = tf.where(mask, tf.expand_dims(leaf, axis), tf.zeros([], leaf.dtype))
        shape = leaf.shape.as_list()
        return tf.reshape(spread, [*shape[:axis], shard.devices * shape[axis], *shape[axis + 1 :]])

    return total(tf.nest.map_structure(placed, nest))


def mine(nest: Any, axis: int = 0) -> Any:
    """The rows of this device along an axis of what all have.

    Raises:
      ValueError: if there are not as many for each device.
    """
    if count() == 1:
        return nest
    shard = _shard()

    def part(leaf: tf.Tensor) -> tf.Tensor:
        check_shared("a batch", leaf.shape[axis], shard.devices)
        size = leaf.shape[axis] // shard.devices
        return tf.gather(leaf, shard.index * size + tf.range(size), axis=axis)

    return tf.nest.map_structure(part, nest)


def of_rows(draw: Callable[[Sequence[Any]], tf.Tensor], shape: Sequence[Any]) -> tf.Tensor | None:
    """A device's rows of `draw(the whole shape)`; None where the shape has no axis of rows."""
    axis = axis_of_rows(shape)
    if axis is None:
        return None
    with rows_of(None):
        return mine(draw([*shape[:axis], shape[axis] * count(), *shape[axis + 1 :]]), axis)


def check_shared(label: str, size: int, devices: int) -> None:
    """Raises ValueError unless so many can be shared equally by so many devices."""
    if size % devices:
        raise ValueError(f"{label} of {size} cannot be shared by {devices} devices, expected a multiple of {devices}")


def _shard() -> Shard:
    assert _here.shard is not None
    return _here.shard


def _meet(vector: tf.Tensor) -> tf.Tensor:
    _here.meetings += 1
    return tf.raw_ops.CollectiveReduceV2(
        input=vector,
        group_size=count(),
        group_key=0,
        instance_key=0,
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
    )


def _wider(dtype: tf.DType) -> tf.DType:
    return tf.int64 if dtype in (tf.uint32, tf.uint64) else tf.int32
