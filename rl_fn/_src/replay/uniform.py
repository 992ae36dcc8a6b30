"""Items kept in a ring, and uniform sampling from whatever is kept."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src.replay import base
from rl_fn._src.replay.base import Changes, Replay, ReplayState, Sample, State, Store
from rl_fn._src.replay.rows import Rows
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest, Scalar


def items(capacity: int, spec: Nest) -> Store:
    """A store of independent items, such as transitions, in a ring.

    Args:
      capacity: the number of slots, at least 1; when all are taken, the oldest item is overwritten.
      spec: a nest of `tf.TensorSpec`, one item.

    Returns:
      A Store. `add` takes items `[N, ...]`, oldest first; of more than `capacity` the last ones stay.

    Raises:
      ValueError: if the capacity is below 1, or, when an item is added, its structure, shape or dtype
        is not that of the specification.
    """
    base.check_size("replay: capacity", capacity)
    layout = Rows(spec)

    def read_rows(state: ReplayState, n: tf.Tensor) -> Nest:
        return layout.read(state.storage, base.nth_row(state, n, capacity))

    return Store(
        num_slots=capacity,
        max_items=capacity,
        num_streams=None,
        init=lambda: base.empty_ring(layout.zeros(capacity)),
        add=lambda state, added: add_items(state, added, spec, layout, capacity),
        cut=lambda state: (state, ()),  # no item depends on another
        count=lambda state: state.size,
        nth=lambda state, n: base.nth_row(state, n, capacity),
        is_item=lambda state, slots: base.age(state, slots, capacity) < state.size,
        read=lambda state, slots, key: layout.read(state.storage, slots),
        num_rows=lambda state: state.size,
        read_rows=read_rows,
    )


def add_items(
    state: ReplayState, added: Nest, spec: Nest, layout: Rows, capacity: int, skip: tf.Tensor | None = None
) -> tuple[ReplayState, tuple[Changes, ...]]:
    """Adds to the store of `items`, without the first `skip` of them."""
    added, (num,) = base.convert_items(added, spec)
    state, slots = base.append(state, layout, added, num, capacity, skip)
    is_item = tf.ones(slots.shape, tf.bool) if skip is None else base.age(state, slots, capacity) < state.size
    return state, (Changes(slots, is_item, is_item),)


def uniform(capacity: int, spec: Nest) -> Replay:
    """A ring of items that are sampled uniformly, with replacement.

    Args:
      capacity: the number of slots, at least 1; when all are taken, the oldest item is overwritten.
      spec: a nest of `tf.TensorSpec`, one item.

    Returns:
      A Replay. `init()` gives an empty state. `add(state, items)` writes items `[N, ...]` in order; of
      more than `capacity` items the last ones stay. `sample(state, key, batch_size)` returns a Sample of
      written items. `update` changes nothing.

    Raises:
      ValueError: if the capacity is below 1; when an item is added, if its structure, shape or dtype
        is not that of the specification; when the buffer is known to be empty where it is sampled
        (compiled, what comes from an empty buffer has no meaning); by `is_ready`, if it is asked for more
        items than there can be.
    """
    return uniform_from(items(capacity, spec))


def uniform_from(store: Store) -> Replay:
    """Samples the items of any store uniformly, with replacement.

    Returns:
      A Replay as from `uniform`; what `add` takes and what a sampled item is, is up to the store.
    """

    def sample(state: State, key: random.Key, batch_size: int, beta: Scalar = 1.0) -> Sample:
        del beta  # all weights are equal
        base.check_size("replay.sample: batch_size", batch_size)
        count = store.count(state)
        base.check_not_empty("replay.sample", count)
        slots = in_place.once(store.nth(state, random.randint(key, [batch_size], 0, tf.maximum(count, 1))))
        return Sample(store.read(state, slots, random.fold_in(key, 0)), slots, weights=tf.ones([batch_size]))

    def update(state: State, slots: tf.Tensor, priorities: tf.Tensor | None = None) -> State:
        del slots, priorities  # there are none
        return state

    return base.buffer(store, sample, update)
