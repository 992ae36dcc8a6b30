"""A queue: first in, first out, each item once. For on-policy learners and between actors and a learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.replay import base
from rl_fn._src.replay.base import ReplayState
from rl_fn._src.replay.rows import Rows
from rl_fn.struct import Nest


class Taken(NamedTuple):
    """What was taken from a queue."""

    items: Nest  # [N, ...]
    is_item: tf.Tensor  # bool[N]: false behind the last item of a queue that held fewer than N


class Queue(NamedTuple):
    """A buffer: pure functions over its state."""

    init: Callable[[], ReplayState]
    add: Callable[[ReplayState, Nest], ReplayState]
    take: Callable[[ReplayState, int], tuple[ReplayState, Taken]]
    is_ready: Callable[..., tf.Tensor]  # (state, num=1) -> bool[]: whether so many can be taken


def queue(capacity: int, spec: Nest) -> Queue:
    """A queue of items.

    Args:
      capacity: the largest number of items in the queue, at least 1.
      spec: a nest of `tf.TensorSpec`, one item.

    Returns:
      A Queue. `init()` gives an empty state. `add(state, items)` puts items `[N, ...]` at the end.
      `take(state, num)` removes the `num` oldest and returns them in order. Items that do not fit, and
      taking more than there are, are refused where that is known when the function is called; compiled,
      the oldest items make room, and what is missing is zeros that `is_item` marks.

    Raises:
      ValueError: as said; and if the capacity is below 1 or an item does not fit the specification.
    """
    base.check_size("replay.queue: capacity", capacity)
    layout = Rows(spec)

    def add(state: ReplayState, items: Nest) -> ReplayState:
        items, (num,) = base.convert_items(items, spec)
        size = tf.get_static_value(state.size)
        if num > capacity or (size is not None and size + num > capacity):
            raise ValueError(f"replay.queue: {num} items do not fit: it holds {size} of at most {capacity}")
        return base.append(state, layout, items, num, capacity)[0]

    def take(state: ReplayState, num: int) -> tuple[ReplayState, Taken]:
        size = tf.get_static_value(state.size)
        if num > capacity or (size is not None and num > size):
            raise ValueError(f"replay.queue: {num} items are wanted, it holds {size} of at most {capacity}")
        order = tf.range(num)
        is_item = order < state.size
        items = layout.read(state.storage, base.nth_row(state, order, capacity))
        blank = lambda leaf: tf.where(
            tf.reshape(is_item, [num, *[1] * (leaf.shape.rank - 1)]), leaf, tf.zeros([], leaf.dtype)
        )
        taken = Taken(tf.nest.map_structure(blank, items), is_item)
        return state._replace(size=tf.maximum(state.size - num, 0)), taken

    def is_ready(state: ReplayState, num: int | tf.Tensor = 1) -> tf.Tensor:
        known = tf.get_static_value(num)
        if known is not None and known > capacity:
            raise ValueError(f"replay.queue: {known} items are waited for, but it holds at most {capacity}")
        return state.size >= num

    return Queue(lambda: base.empty_ring(layout.zeros(capacity)), add, take, is_ready)
