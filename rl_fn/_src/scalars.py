"""Hyper-parameters that are Python numbers or scalar tensors, so that copies of a program can have different ones."""

from __future__ import annotations

import numbers
from typing import Any

import tensorflow as tf

from rl_fn.struct import Scalar


def check(label: str, value: Any, interval: str) -> None:
    """Refuses what is no scalar, and one outside of an interval as far as its value is known.

    Args:
      label: how messages name it.
      value: a number or a scalar tensor.
      interval: such as "[0, 1)".

    Raises:
      TypeError: if it is neither.
      ValueError: if it is known and not in the interval.
    """
    if tf.is_tensor(value):
        if value.shape.rank != 0 or not (value.dtype.is_floating or value.dtype.is_integer):
            raise TypeError(f"{label} is {value.dtype.name} {tuple(value.shape)}, expected a number or a scalar tensor")
        known = tf.get_static_value(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        known = value
    else:
        raise TypeError(f"{label} is {value!r}, expected a number or a scalar tensor")
    if known is None:
        return
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    above = known >= low if interval[0] == "[" else known > low
    below = known <= high if interval[-1] == "]" else known < high
    if not (above and below):
        raise ValueError(f"{label} is {float(known):g}, expected a number in {interval}")


def is_zero(value: Scalar) -> bool:
    """Whether it is the number 0; of tensors nothing is assumed."""
    return not tf.is_tensor(value) and value == 0


def cast(value: Scalar, dtype: tf.DType) -> Scalar:
    """A tensor in another dtype; numbers, which take that of their neighbours, as they are."""
    return tf.cast(value, dtype) if tf.is_tensor(value) else value
