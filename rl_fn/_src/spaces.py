"""Spaces as agents see them, and their elements on the way between environment and agent. No TensorFlow is needed.

Agents know the spaces of Gymnasium, and count discrete things from 0. Environments may be of Gym, and count from
anywhere. These functions are the one place where that is converted.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

Nest = Any

_NUMBERS = "biuf"  # kinds of dtypes
_KINDS = "Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple"


def convert(space: Any) -> gymnasium.Space:
    """Turns a space of Gym or of Gymnasium, also of a class derived from one of theirs, into the same of Gymnasium.

    Raises:
      ValueError: for kinds that are not supported, and a space whose elements hold nothing.
    """
    converted = _converted(space)
    if not _size(converted):
        raise ValueError(f"space {space} is not supported: its elements hold no number")
    return converted


def _converted(space: Any) -> gymnasium.Space:
    kinds = [parent.__name__ for parent in type(space).__mro__ if parent.__name__ in _KINDS.split(", ")]
    match kinds and kinds[0]:
        case "Box":
            return spaces.Box(space.low, space.high, space.shape, space.dtype)
        case "Discrete":
            return spaces.Discrete(int(space.n), start=int(getattr(space, "start", 0)))
        case "MultiDiscrete":
            start = getattr(space, "start", None)
            return spaces.MultiDiscrete(space.nvec, space.dtype, start=None if start is None else np.asarray(start))
        case "MultiBinary":
            return spaces.MultiBinary(space.n)
        case "Dict":
            return spaces.Dict({name: _converted(part) for name, part in space.spaces.items()})
        case "Tuple":
            return spaces.Tuple([_converted(part) for part in space.spaces])
    raise ValueError(f"space {space} is not supported: expected {_KINDS}")


def _size(space: gymnasium.Space) -> int:
    match space:
        case spaces.Dict():
            return sum(map(_size, space.spaces.values()))
        case spaces.Tuple():
            return sum(map(_size, space.spaces))
    return int(np.prod(space.shape or ()))


def from_zero(space: gymnasium.Space) -> gymnasium.Space:
    """The space as agents see it: Discrete and MultiDiscrete parts count from 0."""
    match space:
        case spaces.Discrete():
            return spaces.Discrete(space.n)
        case spaces.MultiDiscrete():
            return spaces.MultiDiscrete(space.nvec, space.dtype)
        case spaces.Dict():
            return spaces.Dict({name: from_zero(part) for name, part in space.spaces.items()})
        case spaces.Tuple():
            return spaces.Tuple([from_zero(part) for part in space.spaces])
    return space


def counts_from_zero(space: gymnasium.Space) -> bool:
    """Whether all Discrete and MultiDiscrete parts do."""
    match space:
        case spaces.Discrete() | spaces.MultiDiscrete():
            return not np.any(space.start)
        case spaces.Dict():
            return all(map(counts_from_zero, space.spaces.values()))
        case spaces.Tuple():
            return all(map(counts_from_zero, space.spaces))
    return True


def encode(
    space: gymnasium.Space, axes: int = 0, what: str = "observation", copies: bool = True
) -> Callable[[Any], Nest]:
    """Makes a function from elements as the environment has them to arrays as agents see them.

    Args:
      space: of the environment, as `convert` gives it.
      axes: how many axes the leaves have before those of the space; elements are then nests of arrays.
      what: the elements are, for messages.
      copies: whether all arrays are new; else they may be the environment's, which may write to them again.

    Raises:
      ValueError: by the function, for an element of another structure or shape than the space has, and for one that
        is no number, or another in the space's dtype: fractions among integers, but not what is rounded to float32.
    """
    match space:
        case spaces.Dict():
            entries = {name: encode(part, axes, what, copies) for name, part in space.spaces.items()}

            def named(nest: Any) -> dict[str, Nest]:
                found = _parts(what, nest, entries, "values named")
                return {name: function(part) for (name, function), part in zip(entries.items(), found, strict=True)}

            return named
        case spaces.Tuple():
            parts = [encode(part, axes, what, copies) for part in space.spaces]

            def ordered(nest: Any) -> tuple[Nest, ...]:
                found = _parts(what, nest, range(len(parts)), "values numbered")
                return tuple(function(part) for function, part in zip(parts, found, strict=True))

            return ordered
    return _array(space, axes, what, copies)


def short(value: Any) -> str:
    """A value in a message, in one line; long ones are cut."""
    return " ".join(reprlib.repr(value).split())


def batch(space: gymnasium.Space) -> Callable[[Sequence[Any]], Nest]:
    """Makes the same function for a list of `B` elements, which become a nest of arrays `[B, ...]`."""
    match space:
        case spaces.Dict():
            entries = {name: batch(part) for name, part in space.spaces.items()}
            return lambda elements: {name: f([element[name] for element in elements]) for name, f in entries.items()}
        case spaces.Tuple():
            parts = [batch(part) for part in space.spaces]
            return lambda elements: tuple(f([e[index] for e in elements]) for index, f in enumerate(parts))
    return _array(space, 1, "observation", copies=True)


def decode(space: gymnasium.Space) -> Callable[[Any], np.ndarray]:
    """Makes a function from an agent's actions `[...]` or `[B, ...]` to those of the environment.

    Discrete actions are counted from the space's start; Box actions are clipped to its bounds, and rounded where it
    holds integers.

    Raises:
      ValueError: if the action space is not Box, Discrete or MultiDiscrete.
    """
    match space:
        case spaces.Discrete():
            start = int(space.start)
            return lambda actions: np.asarray(actions) + start if start else np.asarray(actions)
        case spaces.MultiDiscrete():
            return lambda actions: (np.asarray(actions) + space.start).astype(space.dtype)
        case spaces.Box():
            whole = not np.issubdtype(space.dtype, np.floating)

            def clip(actions: Any) -> np.ndarray:
                actions = np.asarray(actions)
                if whole and np.issubdtype(actions.dtype, np.floating):
                    actions = np.rint(actions)
                return np.clip(actions, space.low, space.high).astype(space.dtype, copy=False)

            return clip
    raise ValueError(f"action space {space} is not supported: expected Box, Discrete or MultiDiscrete")


def replace_rows(nest: Nest, parts: Nest, rows: np.ndarray) -> Nest:
    """A copy of a nest of arrays `[B, ...]` with `rows` replaced by those of `parts`, `[len(rows), ...]`."""
    if isinstance(nest, dict):
        return {name: replace_rows(nest[name], parts[name], rows) for name in nest}
    if isinstance(nest, tuple):
        return tuple(replace_rows(leaf, part, rows) for leaf, part in zip(nest, parts, strict=True))
    result = nest.copy()
    result[rows] = parts
    return result


def _parts(what: str, nest: Any, names: Any, expected: str) -> list[Any]:
    try:
        return [nest[name] for name in names]
    except (IndexError, KeyError, TypeError):
        raise ValueError(
            f"an {what} is {short(nest)}, its space says {expected} {', '.join(map(str, names))}"
        ) from None


def _array(space: gymnasium.Space, axes: int, what: str, copies: bool) -> Callable[[Any], np.ndarray]:
    """Makes the function for one leaf."""
    shape = space.shape or ()
    # Discrete observations are int32, as `struct.space_spec` says.
    dtype = np.dtype(np.int32) if isinstance(space, spaces.Discrete) else np.dtype(space.dtype)
    start = getattr(space, "start", 0)  # of Discrete and MultiDiscrete
    shifted = bool(np.any(start))
    rank = len(shape) + axes

    def array(elements: Any) -> np.ndarray:
        given = np.array(elements, order="C") if copies else np.asarray(elements)  # as all that reads it is fast with
        if given.dtype.kind not in _NUMBERS:
            raise ValueError(f"an {what} is {short(elements)}, its space says {dtype} of shape {shape}")
        if given.shape[axes:] != shape or given.ndim != rank:
            raise ValueError(f"an {what} has shape {given.shape[axes:]}, its space says {shape}")
        if shifted:  # before it is cast: a start may be outside of what the dtype holds
            given = cast(given, np.dtype(np.int64)) - start
        return given if given.dtype == dtype else cast(given, dtype)

    def cast(given: np.ndarray, to: np.dtype) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            result = given.astype(to)
        if to.kind == "f" or np.array_equal(result, given):
            return result
        raise ValueError(f"an {what} is {short(given)}, its space says {to}")

    return array
