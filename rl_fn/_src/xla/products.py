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
    return _multiplied(tf.matmul, left, right)


def _multiplied(multiply: Callable[..., tf.Tensor], left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """`multiply(left, right)` in the precision of what is being traced."""
    if _is_rounded():
        return tf.cast(multiply(tf.cast(left, tf.bfloat16), tf.cast(right, tf.bfloat16)), left.dtype)
    return multiply(left, right)


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
    """A two-dimensional convolution without padding.

    Args:
      images: `[N, H, W, in]`.
      kernel: `[size * size * in, out]`: the filters, row by row.
      size: the height and width of a filter.
      stride: the distance between two patches.

    Returns:
      `[N, H', W', out]`.
    """
    filters = tf.reshape(kernel, [size, size, images.shape[-1], kernel.shape[-1]])
    if stride > 1:
        images, filters = _in_blocks(images, filters, size, stride)
    return _multiplied(_convolution, images, filters)


def _in_blocks(images: tf.Tensor, filters: tf.Tensor, size: int, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Images `[N, H, W, C]` and filters with a stride as images of blocks `[N, H / stride, ...]`, and with none."""
    blocks, (channels, features) = -(-size // stride), filters.shape[2:]
    extents = [((extent - size) // stride + blocks) * stride for extent in images.shape[1:3]]
    missing = [max(0, needed - extent) for needed, extent in zip(extents, images.shape[1:3], strict=True)]
    images = tf.pad(images, [[0, 0], *[[0, pad] for pad in missing], [0, 0]])[:, : extents[0], : extents[1]]
    rows, columns = (extent // stride for extent in extents)
    images = tf.reshape(images, [-1, rows, stride, columns, stride * channels])
    images = tf.reshape(tf.transpose(images, [0, 1, 3, 2, 4]), [-1, rows, columns, stride * stride * channels])
    beyond = [0, blocks * stride - size]
    filters = tf.reshape(
        tf.pad(filters, [beyond, beyond, [0, 0], [0, 0]]), [blocks, stride, blocks, stride, channels, features]
    )
    filters = tf.reshape(tf.transpose(filters, [0, 2, 1, 3, 4, 5]), [blocks, blocks, images.shape[-1], features])
    return images, filters


@tf.custom_gradient
def _convolution(images: tf.Tensor, filters: tf.Tensor) -> tuple:
    """`tf.nn.conv2d` without a stride, whose gradients are convolutions of the same form.

    XLA brings those of TensorFlow into the form that it has fast code for, but not where they are in a loop; there they
    are up to eighty times as slow on a CPU.
    """
    convolution = functools.partial(tf.nn.conv2d, strides=1, padding="VALID")

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        around = [[size - 1, size - 1] for size in filters.shape[:2]]
        turned = tf.transpose(tf.reverse(filters, [0, 1]), [0, 1, 3, 2])
        into_images = convolution(tf.pad(upstream, [[0, 0], *around, [0, 0]]), turned)
        into_filters = convolution(tf.transpose(images, [3, 1, 2, 0]), tf.transpose(upstream, [1, 2, 0, 3]))
        return into_images, tf.transpose(into_filters, [1, 2, 0, 3])

    return convolution(images, filters), gradient


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
