"""Spaces of host environments: Gym's in terms of Gymnasium, and elements as NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

Nest = Any


def convert(space: Any) -> gymnasium.Space:
    """Turns a space of Gym into the same of Gymnasium; those of Gymnasium stay.

    Raises:
      ValueError: for kinds that are not supported.
    """
    match type(space).__name__:
        case "Box":
            return spaces.Box(space.low, space.high, space.shape, space.dtype)
        case "Discrete":
            return spaces.Discrete(int(space.n), start=int(getattr(space, "start", 0)))
        case "MultiDiscrete":
            start = getattr(space, "start", None)
            return spaces.MultiDiscrete(space.nvec, start=None if start is None else np.asarray(start))
        case "MultiBinary":
            return spaces.MultiBinary(space.n)
        case "Dict":
            return spaces.Dict({name: convert(part) for name, part in space.spaces.items()})
        case "Tuple":
            return spaces.Tuple([convert(part) for part in space.spaces])
    raise ValueError(f"space {space} is not supported: expected Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple")


def from_zero(space: gymnasium.Space) -> gymnasium.Space:
    """The space as agents see it: Discrete and MultiDiscrete parts count from 0."""
    match space:
        case spaces.Discrete():
            return spaces.Discrete(space.n)
        case spaces.MultiDiscrete():
            return spaces.MultiDiscrete(space.nvec)
        case spaces.Dict():
            return spaces.Dict({name: from_zero(part) for name, part in space.spaces.items()})
        case spaces.Tuple():
            return spaces.Tuple([from_zero(part) for part in space.spaces])
    return space


def batch(space: gymnasium.Space) -> Callable[[Sequence[Any]], Nest]:
    """Makes a function from a list of `B` observations to a nest of new arrays `[B, ...]`, counted from 0.

    Raises:
      ValueError: by the function, for an observation of another shape than the space has.
    """
    match space:
        case spaces.Dict():
            entries = {name: batch(part) for name, part in space.spaces.items()}
            return lambda elements: {name: f([element[name] for element in elements]) for name, f in entries.items()}
        case spaces.Tuple():
            parts = [batch(part) for part in space.spaces]
            return lambda elements: tuple(f([e[index] for e in elements]) for index, f in enumerate(parts))
    return _array(space)


def rebatch(space: gymnasium.Space) -> Callable[[Nest], Nest]:
    """Makes the same function for observations that come as a nest of arrays `[B, ...]` already."""
    match space:
        case spaces.Dict():
            entries = {name: rebatch(part) for name, part in space.spaces.items()}
            return lambda nest: {name: f(nest[name]) for name, f in entries.items()}
        case spaces.Tuple():
            parts = [rebatch(part) for part in space.spaces]
            return lambda nest: tuple(f(entry) for f, entry in zip(parts, nest, strict=True))
    return _array(space)


def replace_rows(nest: Nest, parts: Nest, rows: np.ndarray) -> Nest:
    """A copy of a nest of arrays `[B, ...]` with `rows` replaced by those of `parts`, `[len(rows), ...]`."""
    if isinstance(nest, dict):
        return {name: replace_rows(nest[name], parts[name], rows) for name in nest}
    if isinstance(nest, tuple):
        return tuple(replace_rows(leaf, part, rows) for leaf, part in zip(nest, parts, strict=True))
    result = nest.copy()
    result[rows] = parts
    return result


def decode(space: gymnasium.Space) -> Callable[[np.ndarray], np.ndarray]:
    """Makes a function from an agent's actions `[B, ...]` to those of the environment.

    Discrete actions are counted from the space's start; Box actions are clipped to its bounds.

    Raises:
      ValueError: if the action space is not Box, Discrete or MultiDiscrete.
    """
    match space:
        case spaces.Discrete():
            start = int(space.start)
            return lambda actions: actions if start == 0 else actions + start
        case spaces.MultiDiscrete():
            return lambda actions: (actions + space.start).astype(space.dtype)
        case spaces.Box():
            return lambda actions: np.clip(actions, space.low, space.high).astype(space.dtype, copy=False)
    raise ValueError(f"action space {space} is not supported: expected Box, Discrete or MultiDiscrete")


def _array(space: gymnasium.Space) -> Callable[[Any], np.ndarray]:
    """Makes the function for one leaf; it copies, because environments may use their arrays again."""
    shape = space.shape
    # Discrete observations are int32, as `struct.space_spec` says.
    discrete = isinstance(space, spaces.Discrete)
    dtype = np.dtype(np.int32) if discrete else np.dtype(space.dtype)
    start = space.start if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else None
    if start is not None and not np.any(start):
        start = None

    def array(elements: Any) -> np.ndarray:
        result = np.array(elements, dtype)
        if result.shape[1:] != shape:
            raise ValueError(f"an observation has shape {result.shape[1:]}, its space says {shape}")
        return result if start is None else (result - start).astype(dtype)

    return array
