"""Checks of what functions are given that are no tensors: numbers, flags and seeds. No TensorFlow is needed."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def integer(name: str, value: Any, least: int) -> int:
    """The value as an `int`.

    Raises:
      ValueError: if it is not an integer of at least `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {least}")
    return number


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """The value as a `float`.

    Raises:
      ValueError: if it is not a number from `low` to `high`.
    """
    is_number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
    if is_number and low <= value <= high:
        return float(value)
    bounds = "" if math.isinf(low) else f" in [{low:g}, {high:g}]"
    raise ValueError(f"{name} is {value!r}, expected a number{bounds}")


def flag(name: str, value: Any) -> bool:
    """The value as a `bool`.

    Raises:
      ValueError: if it is not one.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is {value!r}, expected True or False")
    return bool(value)


def seed(name: str, value: Any) -> int:
    """The value as a seed of NumPy's generators.

    Raises:
      ValueError: if it is not an integer in [0, 2**32).
    """
    number = integer(name, value, 0)
    if number >= 2**32:
        raise ValueError(f"{name} is {value}, expected an integer in [0, 2**32)")
    return number
