"""Reading and writing rows of large tensors so that XLA does it in place, and fast.

XLA turns a scatter to a single row into a selection over the whole tensor, and a gather of a single row
into a slice, before which it copies the whole tensor if that has just been written. With two rows it does
neither, so a single one is written, or read, twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_is_plain = False


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Writes no row twice in what is traced meanwhile: LiteRT adds the two up."""
    global _is_plain
    _is_plain = True
    try:
        yield
    finally:
        _is_plain = False


def take(source: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """`source[index]` along the first axis, for int32[...]."""
    if index.shape.num_elements() != 1:
        return tf.gather(source, index)
    twice = tf.gather(source, tf.repeat(tf.reshape(index, [1]), 2))
    return tf.reshape(twice[:1], [*index.shape, *source.shape[1:]])


def put(target: tf.Tensor, index: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """`target` with `rows` `[N, ...]` at int32[N]; where a row is named twice, both must be the same."""
    if index.shape[0] == 1 and not _is_plain:
        index, rows = tf.repeat(index, 2), tf.repeat(rows, 2, axis=0)
    return tf.tensor_scatter_nd_update(target, index[:, tf.newaxis], rows)


def once(index: tf.Tensor) -> tf.Tensor:
    """The same numbers, int32[...], computed before anything is read with them.

    XLA merges the arithmetic of an index into what reads with it, and repeats it for every element that is
    read. It does not merge a scatter.
    """
    flat = tf.reshape(index, [-1])
    return tf.reshape(put(tf.zeros_like(flat), tf.range(flat.shape[0]), flat), index.shape)


def after(index: tf.Tensor, read: tf.Tensor) -> tf.Tensor:
    """The same numbers, int32[...], which XLA cannot have before `read`, an integer from 0 or a number that is no NaN.

    What has been read from a tensor and plays no part in what is written to it next would otherwise be read
    from a copy.
    """
    read = tf.convert_to_tensor(read)
    zero = tf.minimum(read, 0) if read.dtype.is_integer else tf.cast(tf.math.is_nan(read), tf.int32)
    return index + zero


def padding(width: int) -> int:
    """How many elements to add to rows of that many.

    XLA for CPUs turns reading rows of 65 to 74 elements, as of two observations of 32 and a reward, into code
    three times as slow as for 80. So rows of more than 64 become a multiple of 16, 64 bytes of float32.
    """
    return -width % 16 if width > 64 else 0
