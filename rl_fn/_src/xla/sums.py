"""Sums of all elements of a matrix, which XLA for CPUs takes one after the other in small windows.

Sums of columns it takes many at a time; they are summed by a product, which it does not join with the sums before.
"""

from __future__ import annotations

import tensorflow as tf

_NARROW = 16  # columns, below which there is nothing to gain


def sum_of_squares(x: tf.Tensor) -> tf.Tensor:
    """The sum of the squares of all elements, a scalar of the same dtype."""
    squares = tf.square(x)
    if x.shape.rank is None or x.shape.rank < 2 or (x.shape[-1] or 0) < _NARROW:
        return tf.reduce_sum(squares)
    width = x.shape[-1]
    columns = tf.reduce_sum(tf.reshape(squares, [-1, width]), axis=0)
    return tf.matmul(columns[tf.newaxis], tf.ones([width, 1], x.dtype))[0, 0]
