"""Products with matrices of weights, in the shapes in which XLA is fast and `tf.vectorized_map` has a converter.

All products of networks go through here, which is what gives them their precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

from rl_fn._src.shapes import sizes_of

PRECISIONS = ("float32", "bfloat16")
_precision: ContextVar[str | None] = ContextVar("precision", default=None)  # of what is being traced
_NARROW = 4  # columns of a kernel
_SMALL = 1 << 14  # elements of the rows: below, one operation less is worth more


def in_precision(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """The function with the products in it in that precision, of PRECISIONS; the outermost of several counts.

    In bfloat16 their factors and results are rounded to it; devices sum in float32. What goes in and comes out keeps
    its dtype, and so do gradients, whose products are in the same precision.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        before = _precision.set(_precision.get() or precision)
        try:
            return function(*args, **kwargs)
        finally:
            _precision.reset(before)

    return call


def product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """`left @ right`: `[..., m, k]` and `[k, n]`, or `[..., k, n]` with the same axes before, to `[..., m, n]`."""
    if _is_rounded():
        return tf.cast(tf.matmul(tf.cast(left, tf.bfloat16), tf.cast(right, tf.bfloat16)), left.dtype)
    return tf.matmul(left, right)


def _is_rounded() -> bool:
    return _precision.get() == "bfloat16"


def affine(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`inputs @ kernel + bias`: `[..., in]` to `[..., out]`.

    One product of matrices whatever the batch axes: XLA makes a batched one of a higher rank.
    """
    *batch, width = sizes_of(inputs)
    rows = tf.reshape(inputs, [math.prod(batch), width])
    is_narrow = kernel.shape[1] <= _NARROW and not _is_rounded()
    outputs = (_narrow_product if is_narrow else product)(rows, kernel) + bias
    return tf.reshape(outputs, [*batch, kernel.shape[1]])


def convolve(images: tf.Tensor, kernel: tf.Tensor, size: int, stride: int) -> tf.Tensor:
    """A two-dimensional convolution without padding, as patches times a matrix.

    `tf.nn.conv2d` cannot be vectorised over copies with filters of their own. This is as fast.

    Args:
      images: `[N, H, W, in]`.
      kernel: `[size * size * in, out]`: the filters, row by row.
      size: the height and width of a filter.
      stride: the distance between two patches.

    Returns:
      `[N, H', W', out]`.
    """
    height, width = ((extent - size) // stride + 1 for extent in images.shape[1:3])
    patches = [
        images[:, y : y + stride * (height - 1) + 1 : stride, x : x + stride * (width - 1) + 1 : stride]
        for y in range(size)
        for x in range(size)
    ]
    return product(tf.concat(patches, axis=-1), kernel)


@tf.custom_gradient
def _narrow_product(rows: tf.Tensor, kernel: tf.Tensor) -> tuple:
    """`rows @ kernel` for a kernel of few columns, whose gradient takes them one by one.

    On a CPU that is ten times as fast as the products with narrow matrices that are the gradient of `tf.matmul`.
    """
    num_rows, width = sizes_of(rows)
    known = isinstance(num_rows, int) and isinstance(width, int)
    # XLA computes what a product with one vector is made of anew for each element, but not for a batch of two.
    parts = 2 if known and num_rows % 2 == 0 and num_rows * width > _SMALL else 1
    rows_in_parts = tf.reshape(rows, [parts, num_rows // parts, width])

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        columns = tf.unstack(upstream, axis=1)
        into_rows = [column[:, tf.newaxis] * kernel[:, index] for index, column in enumerate(columns)]
        into_kernel = [
            tf.reduce_sum(tf.linalg.matvec(rows_in_parts, tf.reshape(column, [parts, -1]), transpose_a=True), axis=0)
            for column in columns
        ]
        return tf.add_n(into_rows), tf.stack(into_kernel, axis=1)

    return tf.matmul(rows, kernel), gradient
