"""Spaces as agents see them, and their elements on the way between environment and agent. No TensorFlow is needed.

Agents know the spaces of Gymnasium, and count discrete things from 0. Environments may be of Gym, and count from
anywhere. These functions are the one place where that is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

Nest = Any

_KINDS = "Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple"


def convert(space: Any) -> gymnasium.Space:
    """Turns a space of Gym or of Gymnasium, also of a class derived from one of theirs, into the same of Gymnasium.

    Raises:
      ValueError: for kinds that are not supported.
    """
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
            return spaces.Dict({name: convert(part) for name, part in space.spaces.items()})
        case "Tuple":
            return spaces.Tuple([convert(part) for part in space.spaces])
    raise ValueError(f"space {space} is not supported: expected {_KINDS}")


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


def encode(space: gymnasium.Space, axes: int = 0, what: str = "observation") -> Callable[[Any], Nest]:
    """Makes a function from elements as the environment has them to new arrays as agents see them.

    Args:
      space: of the environment, as `convert` gives it.
      axes: how many axes the leaves have before those of the space; elements are then nests of arrays.
      what: the elements are, for messages.

    Raises:
      ValueError: by the function, for an element of another shape than the space has.
    """
    match space:
        case spaces.Dict():
            entries = {name: encode(part, axes, what) for name, part in space.spaces.items()}
            return lambda nest: {name: function(nest[name]) for name, function in entries.items()}
        case spaces.Tuple():
            parts = [encode(part, axes, what) for part in space.spaces]
            return lambda nest: tuple(function(entry) for function, entry in zip(parts, nest, strict=True))
    return _array(space, axes, what)


def batch(space: gymnasium.Space) -> Callable[[Sequence[Any]], Nest]:
    """Makes the same function for a list of `B` elements, which become a nest of arrays `[B, ...]`."""
    match space:
        case spaces.Dict():
            entries = {name: batch(part) for name, part in space.spaces.items()}
            return lambda elements: {name: f([element[name] for element in elements]) for name, f in entries.items()}
        case spaces.Tuple():
            parts = [batch(part) for part in space.spaces]
            return lambda elements: tuple(f([e[index] for e in elements]) for index, f in enumerate(parts))
    return _array(space, 1, "observation")


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


def _array(space: gymnasium.Space, axes: int, what: str) -> Callable[[Any], np.ndarray]:
    """Makes the function for one leaf; it copies, because environments may use their arrays again."""
    shape = space.shape or ()
    # Discrete observations are int32, as `struct.space_spec` says.
    dtype = np.dtype(np.int32) if isinstance(space, spaces.Discrete) else np.dtype(space.dtype)
    start = getattr(space, "start", 0)  # of Discrete and MultiDiscrete
    shifted = bool(np.any(start))

    def array(elements: Any) -> np.ndarray:
        # Counted from 0 before they are cast: a start may be outside of what the dtype holds.
        result = (np.array(elements, np.int64) - start).astype(dtype) if shifted else np.array(elements, dtype)
        if result.shape[axes:] != shape or result.ndim != axes + len(shape):
            raise ValueError(f"an {what} has shape {result.shape[axes:]}, its space says {shape}")
        return result

    return array
