"""A mixture of buffers, each with its share of every batch; such as of demonstrations and own experience."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rl_fn import random
from rl_fn._src.replay import base, sequence
from rl_fn._src.replay.base import Replay, Sample, State
from rl_fn.struct import Nest, Scalar


def mixture(buffers: Sequence[Replay], proportions: Sequence[float]) -> Replay:
    """Samples from several buffers in fixed proportions.

    Args:
      buffers: the buffers, of items of the same specification.
      proportions: their shares of a batch, at least 0; only their ratios matter.

    Returns:
      A Replay, whose state is the tuple of its buffers' states. `add(state, items, index=0)` adds to the buffer of
      that index: the first is for what comes in all the time. `sample` returns the buffers' items one after the
      other. Where a share is not a whole number, the largest remainders are rounded up, so the numbers are the
      same in every batch. Slots are numbered through, so `update` finds the buffer of each. It is ready when
      every buffer with a share is and they hold so many items together.

    Raises:
      ValueError: if the numbers of buffers and proportions differ, a proportion is negative, all are 0, or a buffer
        is a mixture itself; by `sample`, if a batch is so small that a buffer with a share gets nothing of it.
    """
    if len(buffers) != len(proportions) or not buffers:
        raise ValueError(f"replay.mixture: {len(buffers)} buffers and {len(proportions)} proportions")
    if min(proportions) < 0 or not 0 < sum(proportions) < float("inf"):
        raise ValueError(f"replay.mixture: proportions are {list(proportions)}, expected numbers from 0, not all 0")
    stores = [buffer.store for buffer in buffers if buffer.store is not None]
    if len(stores) < len(buffers):
        raise ValueError("replay.mixture: a buffer is a mixture itself, expected the buffers of that one")
    *first_slots, num_slots = itertools.accumulate((store.num_slots for store in stores), initial=0)
    max_items = sum(store.max_items for store, share in zip(stores, proportions, strict=True) if share)
    base.check_size("replay.mixture: the number of slots", num_slots, high=2**31 - 1)

    def add(state: tuple[State, ...], items: Nest, index: int = 0) -> tuple[State, ...]:
        return (*state[:index], buffers[index].add(state[index], items), *state[index + 1 :])

    def sample(state: tuple[State, ...], key: random.Key, batch_size: int, beta: Scalar = 1.0) -> Sample:
        base.check_size("replay.sample: batch_size", batch_size)
        keys = tf.unstack(random.split(key, len(buffers)))
        sizes = _shares(proportions, batch_size)
        if any(share and not size for share, size in zip(proportions, sizes, strict=True)):
            raise ValueError(
                f"replay.mixture: batch_size is {batch_size}, of which proportions {list(proportions)} make {sizes}: "
                "expected something of each"
            )
        parts = []
        for buffer, part, part_key, size, first in zip(buffers, state, keys, sizes, first_slots, strict=True):
            if size:
                drawn = buffer.sample(part, part_key, size, beta)
                parts.append(drawn._replace(slots=drawn.slots + first))
        return _joined(parts)

    def update(state: tuple[State, ...], slots: tf.Tensor, priorities: tf.Tensor | None = None) -> tuple[State, ...]:
        slots = tf.convert_to_tensor(slots)
        base.check_slots(slots, num_slots)

        def own(store: base.Store, first: int) -> tf.Tensor:
            return tf.where((slots >= first) & (slots < first + store.num_slots), slots - first, -1)

        parts = zip(buffers, state, stores, first_slots, strict=True)
        return tuple(buffer.update(part, own(store, first), priorities) for buffer, part, store, first in parts)

    def is_ready(state: tuple[State, ...], min_items: int | tf.Tensor = 1) -> tf.Tensor:
        base.check_min_items(min_items, max_items)
        parts = list(zip(buffers, state, stores, proportions, strict=True))
        count = tf.add_n([store.count(part) for _, part, store, share in parts if share])
        ready = [buffer.is_ready(part) for buffer, part, _, share in parts if share]
        return tf.reduce_all(ready) & (count >= min_items)

    return Replay(
        init=lambda: tuple(buffer.init() for buffer in buffers),
        add=add,
        sample=sample,
        update=update,
        is_ready=is_ready,
        cut=lambda state: tuple(buffer.cut(part) for buffer, part in zip(buffers, state, strict=True)),
        store=None,
    )


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
