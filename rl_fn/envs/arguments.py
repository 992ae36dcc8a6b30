"""Checks of what the `make` of an environment is given."""

from __future__ import annotations

import operator
from typing import Any


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


def seed(name: str, value: Any) -> int:
    """The value as a seed of NumPy's generators.

    Raises:
      ValueError: if it is not an integer in [0, 2**32).
    """
    number = integer(name, value, 0)
    if number >= 2**32:
        raise ValueError(f"{name} is {value}, expected an integer in [0, 2**32)")
    return number
