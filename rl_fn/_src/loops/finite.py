"""What has become infinite or NaN, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from rl_fn.struct import Nest, named_leaves


class NonFiniteError(ArithmeticError):
    """A number that training depends on is infinite or NaN: what is learned from it is lost."""


def check_reward(rewards: np.ndarray, place: Callable[[int], str]) -> None:
    """Raises NonFiniteError unless all rewards `[B]` are finite; `place` says where those of an index come from."""
    if not np.isfinite(rewards).all():
        index = int(np.flatnonzero(~np.isfinite(rewards))[0])
        missing = ", or is missing" if np.isnan(rewards[index]) else ""
        raise NonFiniteError(f"the reward is {rewards[index]}{missing}: {place(index)}")


def check_observation(observations: Nest, place: Callable[[int], str]) -> None:
    """Raises NonFiniteError unless all observations `[B, ...]` are finite, as `check_reward`."""
    for name, leaf in named_leaves(observations):
        if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
            found = np.argwhere(~np.isfinite(leaf))[0]
            index, *where = found.tolist()
            part = f" {name}" * bool(name) + f" at {where}" * bool(where)
            value = leaf[tuple(found)]
            raise NonFiniteError(f"the observation{part} is {value}, expected a finite number: {place(index)}")


def nonfinite(nest: Nest, copies: int | None = None) -> Iterator[tuple[str, int]]:
    """Yields the name of each leaf that holds an infinite number or NaN, and the copy in which it does.

    Fields called `replay` are passed over: a buffer is large, and holds what environments said.

    Args:
      nest: of tensors, arrays or variables, such as an agent's state.
      copies: how many copies the leaves have a leading axis for; None for none, and the copy is 0.
    """
    for name, leaf in named_leaves(nest):
        if tf.as_dtype(leaf.dtype).is_floating and "replay" not in name.split("/"):
            finite = np.isfinite(np.asarray(leaf)).reshape(copies or 1, -1).all(axis=1)
            yield from ((name, int(copy)) for copy in np.flatnonzero(~finite))
