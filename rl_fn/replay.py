"""Replay buffers: pure functions over a state that is plain data.

    buffer = uniform(capacity=10_000, spec=item_spec)
    state = buffer.init()
    state = buffer.add(state, items)  # items [N, ...]
    batch = buffer.sample(state, key, batch_size)

Storage keeps the dtypes of the specification. Inside `loops.compile` the state is updated in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.struct import Nest, named_leaves


class ReplayState(NamedTuple):
    storage: Nest  # each leaf [capacity, ...]
    position: tf.Tensor  # int32[]: where the next item goes, in [0, capacity)
    size: tf.Tensor  # int32[]: how many slots have been written, at most the capacity


class Replay(NamedTuple):
    init: Callable[[], ReplayState]
    add: Callable[[ReplayState, Nest], ReplayState]
    sample: Callable[[ReplayState, random.Key, int], Nest]


def uniform(capacity: int, spec: Nest) -> Replay:
    """A ring of items that are sampled uniformly, with replacement.

    Args:
      capacity: the number of slots, at least 1; when all are taken, the oldest item is overwritten.
      spec: a nest of `tf.TensorSpec`, one item.

    Returns:
      A Replay. `init()` gives an empty state. `add(state, items)` writes items `[N, ...]` in order; of
      more than `capacity` items the last ones stay. `sample(state, key, batch_size)` returns a nest
      `[batch_size, ...]` of written items; there must be at least one (zeros come from an empty buffer).

    Raises:
      ValueError: if the capacity is below 1, or, when an item is added, its structure, shape or dtype
        is not that of the specification.
    """
    if capacity < 1:
        raise ValueError(f"replay.uniform: capacity is {capacity}, expected at least 1")

    def init() -> ReplayState:
        storage = tf.nest.map_structure(lambda s: tf.zeros([capacity, *s.shape], s.dtype), spec)
        return ReplayState(storage, position=tf.constant(0), size=tf.constant(0))

    def add(state: ReplayState, items: Nest) -> ReplayState:
        items = tf.nest.map_structure(tf.convert_to_tensor, items)
        num = _check_items(items, spec)
        kept = min(num, capacity)
        slots = (state.position + (num - kept) + tf.range(kept)) % capacity

        def write(rows: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
            return tf.tensor_scatter_nd_update(rows, slots[:, tf.newaxis], item[num - kept :])

        return ReplayState(
            storage=tf.nest.map_structure(write, state.storage, items),
            position=(state.position + num) % capacity,
            size=tf.minimum(state.size + kept, capacity),
        )

    def sample(state: ReplayState, key: random.Key, batch_size: int) -> Nest:
        slots = random.randint(key, [batch_size], 0, tf.maximum(state.size, 1))
        return tf.nest.map_structure(lambda rows: tf.gather(rows, slots), state.storage)

    return Replay(init, add, sample)


def _check_items(items: Nest, spec: Nest) -> int:
    """Returns the number of items, or raises where they do not fit the specification."""
    try:
        tf.nest.assert_same_structure(items, spec)
    except (TypeError, ValueError) as error:
        raise ValueError(f"add: items do not have the structure of the specification: {error}") from None
    sizes = set()
    for (name, item), (_, expected) in zip(named_leaves(items), named_leaves(spec), strict=True):
        if item.dtype != expected.dtype or item.shape.rank == 0 or item.shape[1:] != expected.shape:
            raise ValueError(
                f"add: {name or 'the item'} is {item.dtype.name} {tuple(item.shape)}, "
                f"expected {expected.dtype.name} with shape [N, *{tuple(expected.shape)}]"
            )
        sizes.add(item.shape[0])
    if len(sizes) != 1:
        raise ValueError(f"add: items have different leading sizes {sorted(sizes)}")
    return sizes.pop()
