"""Sums of all elements of an array, which XLA for CPUs takes one after the other in small windows.

Sums of columns it takes many at a time; they are summed by a product, which it does not join with the sums before.
"""

from __future__ import annotations

import tensorflow as tf

_NARROW = 16  # columns, below which there is nothing to gain
_WIDE = 64  # columns that a long vector is cut into


def sum_of_squares(x: tf.Tensor) -> tf.Tensor:
    """The sum of the squares of all elements, a scalar of the same dtype."""
    squares = tf.square(x)
    size, width = x.shape.num_elements(), x.shape[-1] if x.shape.rank else None
    if x.shape.rank == 1 and (size or 0) > _WIDE:
        rows = size // _WIDE
        rest = tf.reduce_sum(squares[rows * _WIDE :])
        return rest + _by_columns(tf.reshape(squares[: rows * _WIDE], [rows, _WIDE]))
    if x.shape.rank is None or x.shape.rank < 2 or (width or 0) < _NARROW:
        return tf.reduce_sum(squares)
    return _by_columns(tf.reshape(squares, [-1, width]))


def _by_columns(x: tf.Tensor) -> tf.Tensor:
    columns = tf.reduce_sum(x, axis=0)
    return tf.matmul(columns[tf.newaxis], tf.ones([x.shape[-1], 1], x.dtype))[0, 0]
