"""A loop over rows from the last to the first, for steps so small that the loop itself would cost more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from rl_fn._src.shapes import Size, sizes_of
from rl_fn._src.xla.ties import false_per_copy, tied


def scan_backwards(
    step: Callable[..., tf.Tensor], shape: Sequence[Size], dtype: tf.DType, *inputs: tf.Tensor
) -> tf.Tensor:
    """Runs `y = step(y, *rows)` from the last rows to the first, beginning with zeros, and stacks the `y`.

    As `scan` with `reverse=True`, without a gradient.

    Args:
      step: takes `y` and one row of each input.
      shape: of `y`.
      dtype: of `y`.
      *inputs: tensors `[T, ...]`; and scalars, which reach `step` as they are.

    Returns:
      `[T, *shape]`.
    """
    length = next(sizes_of(value)[0] for value in inputs if value.shape.rank)
    block = _rows_per_iteration(length, math.prod(shape))
    tie = false_per_copy(inputs)
    ys = tied(tf.zeros([length // block, block, *shape], dtype), tie)
    if ys.shape.num_elements() == 0:
        return tf.reshape(ys, [length, *shape])
    position = tf.reshape(tf.range(block), [block, *[1] * len(shape)])

    def body(index: tf.Tensor, y: tf.Tensor, ys: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = tf.zeros([block, *shape], dtype)
        for offset in reversed(range(block)):
            row = index * block + offset
            y = tf.ensure_shape(step(y, *(tf.gather(x, row) if x.shape.rank else x for x in inputs)), ys.shape[2:])
            # A choice by position and not a stack: XLA's CPU backend does not vectorise the latter.
            rows = y[tf.newaxis] if block == 1 else tf.where(position <= offset, y, rows)
        return index - 1, y, tf.tensor_scatter_nd_update(ys, tf.reshape(index, [1, 1]), rows[tf.newaxis])

    last = tf.convert_to_tensor(length // block - 1)
    if not ys.shape.is_fully_defined():
        last = tf.where(tf.size(ys) > 0, last, -1)  # rows of no elements cannot be scattered
    start = (last, tied(tf.zeros(shape, dtype), tie), ys)
    ys = tf.while_loop(lambda index, *_: index >= 0, body, start)[2]
    return tf.reshape(ys, [length, *shape])


def _rows_per_iteration(length: Size, row_size: Size) -> int:
    """Two rows where the loop itself would cost more than the row, as measured on CPUs.

    XLA compiles loops over rows shorter than that to a single kernel, which two rows would prevent.
    """
    if not (isinstance(length, int) and isinstance(row_size, int)):
        return 1
    return 2 if 16 < row_size <= 512 and length % 2 == 0 else 1
