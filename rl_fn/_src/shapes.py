"""Sizes of axes, and refusals of tensors that would broadcast by accident.

A size is an integer where it is known when a function is traced, and a scalar tensor where it is not. What is written
with sizes works for a batch of any size (in a `tf.function` of an unknown axis, in an exported policy), and makes the
same graph as plain integers where all of them are known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Size: TypeAlias = int | tf.Tensor  # an int32 scalar


def sizes_of(tensor: tf.Tensor) -> list[Size]:
    """The shape of a tensor of known rank, or of an array."""
    return fill_sizes(tf.TensorShape(tensor.shape), lambda: tf.shape(tensor))


def as_sizes(shape: Any) -> Sequence[Size]:
    """The sizes of a shape in any of the forms that TensorFlow takes: a sequence, one number, a tensor (`tf.shape(x)`).

    Raises:
      TypeError: if it is none of these.
    """
    if isinstance(shape, list | tuple):
        return shape
    if isinstance(shape, int | np.integer):
        return [int(shape)]
    if isinstance(shape, tf.TensorShape) and shape.is_fully_defined():
        return shape.as_list()
    if isinstance(shape, np.ndarray | tf.Tensor) and shape.ndim <= 1 and tf.as_dtype(shape.dtype).is_integer:
        known = tf.get_static_value(shape)
        if known is not None:
            return np.atleast_1d(known).tolist()
        if shape.shape.is_fully_defined():
            return tf.unstack(tf.reshape(tf.cast(shape, tf.int32), [-1]))
    raise TypeError(f"shape is {shape}, expected integers, as a sequence or as a tensor of known length")


def broadcast_sizes(*shapes: Sequence[Size]) -> list[Size]:
    """The shape that tensors of these shapes have once they are broadcast against each other."""
    static = [tf.TensorShape([size if isinstance(size, int) else None for size in shape]) for shape in shapes]
    dynamic = lambda: functools.reduce(
        tf.broadcast_dynamic_shape, [tf.convert_to_tensor(shape, tf.int32) for shape in shapes]
    )
    return fill_sizes(functools.reduce(tf.broadcast_static_shape, static), dynamic)


def fill_sizes(static: tf.TensorShape, dynamic: Callable[[], tf.Tensor]) -> list[Size]:
    """A shape, with what is not known of it taken from the shape at run time, a tensor."""
    sizes = static.as_list()
    if None not in sizes:
        return sizes
    at_run_time = dynamic()
    return [at_run_time[axis] if size is None else size for axis, size in enumerate(sizes)]


def check_shape(label: str, tensor: tf.Tensor, expected: Sequence[int | None], batched: bool = False) -> None:
    """Refuses a tensor of another shape; with `batched` there may be any batch axes in front."""
    shape, expected = tf.TensorShape(tensor.shape), list(expected)
    own = shape[max(shape.rank - len(expected), 0) :] if batched else shape
    if not own.is_compatible_with(expected):
        axes = ", ".join(["..."] * batched + ["*" if size is None else str(size) for size in expected])
        raise ValueError(f"{label} has shape {tuple(shape)}, expected [{axes}]")


def check_broadcasts(function: str, shape: Sequence[Size], **parameters: Any) -> None:
    """Refuses parameters that would broadcast a result to another shape than was asked for."""
    wanted = tf.TensorShape([size if isinstance(size, int) else None for size in shape])
    for name, value in parameters.items():
        given = tf.TensorShape(getattr(value, "shape", ()))
        beside = wanted[max(wanted.rank - given.rank, 0) :]
        if given.rank > wanted.rank or any(
            size != 1 and not tf.TensorShape([size]).is_compatible_with([other])
            for size, other in zip(given, beside, strict=True)
        ):
            raise ValueError(
                f"{function}: {name} has shape {tuple(given)}, which does not broadcast to {tuple(wanted)}"
            )


def check_order(function: str, **ends: Any) -> None:
    """Refuses two ends, such as `low` and `high`, of which the first is greater, where both are known."""
    (low_name, low), (high_name, high) = ((name, tf.get_static_value(end)) for name, end in ends.items())
    if low is None or high is None:
        return
    low, high = np.broadcast_arrays(np.asarray(low, np.float64), np.asarray(high, np.float64))
    if (wrong := ~(low <= high)).any():
        given = f"{low_name} is {low[wrong].flat[0]:g} and {high_name} {high[wrong].flat[0]:g}"
        raise ValueError(f"{function}: {given}, expected {low_name} <= {high_name}")
