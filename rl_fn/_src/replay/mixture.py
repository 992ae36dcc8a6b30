"""A mixture of buffers, each with its share of every batch; such as of demonstrations and own experience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.replay import sequence
from rl_fn._src.replay.base import Replay, State
from rl_fn._src.replay.prioritized import PrioritizedReplay
from rl_fn.struct import Nest


class Mixture(NamedTuple):
    """A buffer: pure functions over its state, the tuple of its buffers' states."""

    init: Callable[[], tuple[State, ...]]
    add: Callable[[tuple[State, ...], Nest, int], tuple[State, ...]]
    sample: Callable[[tuple[State, ...], random.Key, int], Nest]


def mixture(buffers: Sequence[Replay | PrioritizedReplay], proportions: Sequence[float]) -> Mixture:
    """Samples from several buffers in fixed proportions.

    Args:
      buffers: the buffers, of items of the same specification.
      proportions: their shares of a batch, at least 0; only their ratios matter.

    Returns:
      A Mixture. `add(state, items, index)` adds to the buffer of that index. `sample(state, key,
      batch_size)` returns the buffers' items one after the other. Where a share is not a whole number,
      the largest remainders are rounded up, so the numbers are the same in every batch.

    Raises:
      ValueError: if the numbers of buffers and proportions differ, a proportion is negative, or all are 0.
    """
    if len(buffers) != len(proportions) or not buffers:
        raise ValueError(f"replay.mixture: {len(buffers)} buffers and {len(proportions)} proportions")
    if min(proportions) < 0 or sum(proportions) <= 0:
        raise ValueError(f"replay.mixture: proportions are {list(proportions)}, expected numbers from 0, not all 0")

    def add(state: tuple[State, ...], items: Nest, index: int) -> tuple[State, ...]:
        return (*state[:index], buffers[index].add(state[index], items), *state[index + 1 :])

    def sample(state: tuple[State, ...], key: random.Key, batch_size: int) -> Nest:
        keys = tf.unstack(random.split(key, len(buffers)))
        sizes = _shares(proportions, batch_size)
        parts = [
            buffer.sample(part, part_key, size)
            for buffer, part, part_key, size in zip(buffers, state, keys, sizes, strict=True)
            if size
        ]
        return _joined(parts)

    return Mixture(lambda: tuple(buffer.init() for buffer in buffers), add, sample)


def _shares(proportions: Sequence[float], total: int) -> list[int]:
    exact = [total * proportion / sum(proportions) for proportion in proportions]
    sizes = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: sizes[i] - exact[i])
    for i in by_remainder[: total - sum(sizes)]:
        sizes[i] += 1
    return sizes


def _joined(parts: list[Any], axis: int = 0) -> Nest:
    """Concatenates samples along the axis of the items."""
    first = parts[0]
    if isinstance(first, sequence.Sequence):
        return sequence.Sequence(
            _joined([part.steps for part in parts], axis=1), _joined([part.start for part in parts])
        )
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts], axis) for name in first}
    if isinstance(first, tuple):
        fields = [_joined(list(field), axis) for field in zip(*parts, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else tuple(fields)
    return tf.concat(parts, axis)
