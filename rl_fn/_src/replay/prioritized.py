"""Prioritised experience replay (Schaul et al., 2016), proportional and rank-based."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src import scalars
from rl_fn._src.replay import base, sum_tree
from rl_fn._src.replay.base import Changes, Replay, Sample, State, Store
from rl_fn._src.replay.uniform import items
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest, Scalar

# The sum of 2**30 such weights does not overflow.
_LARGEST = 1e29


class PrioritizedState(NamedTuple):
    """The state of a prioritised buffer."""

    items: State  # of the store
    weights: sum_tree.Tree  # its leaves are priority ** alpha by slot, 0 where there is no item
    max_priority: tf.Tensor  # float32[]: the largest priority so far, at least 1; new items get it

    @property
    def size(self) -> tf.Tensor:
        """How many rows hold something."""
        return self.items.size


class _Weights(NamedTuple):
    """How weights by slot are held, set and drawn from; the first vector holds the weights themselves."""

    init: Callable[[int], sum_tree.Tree]
    set: Callable[[sum_tree.Tree, tf.Tensor, tf.Tensor], sum_tree.Tree]  # (weights, slots, values)
    draw: Callable[[sum_tree.Tree, random.Key, int], tuple[tf.Tensor, tf.Tensor]]  # to slots and probabilities
    exponent: Scalar


def prioritized(capacity: int, spec: Nest, alpha: Scalar = 0.6) -> Replay:
    """A ring of items that are sampled in proportion to `priority ** alpha`.

    Args:
      capacity: the number of slots.
      spec: a nest of `tf.TensorSpec`, one item.
      alpha: 0 samples uniformly, 1 in proportion to the priority.

    Returns:
      A Replay; see `prioritized_from`.
    """
    return prioritized_from(items(capacity, spec), alpha)


def prioritized_from(store: Store, alpha: Scalar = 0.6) -> Replay:
    """Samples the items of any store in proportion to `priority ** alpha`; Schaul et al. (2016), equation 1.

    A batch of N is stratified: one item from each of N equal parts of the total. Items come in with the
    largest priority so far.

    Args:
      store: where the items are.
      alpha: 0 samples uniformly, 1 in proportion to the priority; a constant of the buffer.

    Returns:
      A Replay.
      `sample(state, key, batch_size, beta=1.0)` returns a Sample. Its weights are `(count * probability) ** -beta`,
      divided by the largest in the batch; beta, in [0, 1], may be a tensor, so that a schedule can raise it.
      Items of priority zero are never drawn.
      `update(state, slots, priorities)` takes `[N]` slots and `[N]` priorities, at least 0. Of several for
      one slot the last counts. Slots whose item has left the buffer are ignored, and so is -1. Negative,
      infinite and NaN priorities are refused where they are known when the function is called; compiled,
      they leave the priority as it was, and slots that cannot be are ignored.
      `is_ready(state, min_items)` is true when so many items are there and one of them has a priority above zero.

    Raises:
      ValueError: as said; and if alpha is negative.
    """
    scalars.check("replay: alpha", alpha, "[0, inf)")

    weights = _Weights(
        init=sum_tree.init,
        set=sum_tree.update,
        draw=sum_tree.sample,
        exponent=alpha,
    )
    return _replay(store, weights)


def rank_prioritized(capacity: int, spec: Nest, alpha: float = 0.7) -> Replay:
    """A ring of items that are sampled by the rank of their priority; see `rank_prioritized_from`."""
    return rank_prioritized_from(items(capacity, spec), alpha)


def rank_prioritized_from(store: Store, alpha: float = 0.7) -> Replay:
    """Samples the items of any store with probability proportional to `rank ** -alpha`.

    Schaul et al. (2016), section 3.3. Rank 1 is the largest priority; equal ones are ranked by slot. The
    ranks are exact: every call of `sample` sorts the priorities, which is what a large buffer costs.

    Args:
      store: where the items are.
      alpha: 0 samples uniformly.

    Returns:
      A Replay; its functions are those that `prioritized_from` describes.

    Raises:
      ValueError: as there.
      TypeError: if alpha is a tensor.
    """
    if tf.is_tensor(alpha):
        raise TypeError("replay: alpha is a tensor, expected a number: the sums over ranks are made once")
    scalars.check("replay: alpha", alpha, "[0, inf)")
    # Element r is the sum over the ranks 1 ... r.
    sums = np.concatenate([[0.0], np.cumsum(np.arange(1, store.num_slots + 1, dtype=np.float64) ** -alpha)])

    def draw(weights: sum_tree.Tree, key: random.Key, num: int) -> tuple[tf.Tensor, tf.Tensor]:
        (priorities,) = weights
        order = tf.argsort(priorities, direction="DESCENDING", stable=True)
        ranks = tf.constant(sums)
        count = tf.reduce_sum(tf.cast(priorities > 0, tf.int32))
        whole = tf.maximum(tf.gather(ranks, count), 1.0)  # rank 1 alone counts 1
        parts = random.uniform(key, [num], dtype=tf.float64)
        target = (tf.range(num, dtype=tf.float64) + parts) / num * whole
        below = tf.zeros([num], tf.int32)  # the number of ranks whose sum the target reaches
        for step in reversed([2**power for power in range(store.num_slots.bit_length())]):
            further = tf.minimum(below + step, store.num_slots)
            below = tf.where(tf.gather(ranks, further) <= target, further, below)
        below = tf.clip_by_value(below, 0, tf.maximum(count - 1, 0))
        rank = tf.cast(below + 1, tf.float64)
        return tf.gather(order, below), tf.cast(rank**-alpha / whole, tf.float32)

    weights = _Weights(
        init=lambda num: (tf.zeros([num]),),
        set=lambda held, slots, values: (in_place.put(held[0], slots, values),),
        draw=draw,
        exponent=1.0,
    )
    return _replay(store, weights)


def _replay(store: Store, weights: _Weights) -> Replay:
    def weight_of(priority: tf.Tensor) -> tf.Tensor:
        weight = tf.clip_by_value(priority ** tf.cast(weights.exponent, tf.float32), sum_tree.SMALLEST, _LARGEST)
        return tf.where(priority > 0, weight, 0.0)

    def init() -> PrioritizedState:
        return PrioritizedState(store.init(), weights.init(store.num_slots), max_priority=tf.constant(1.0))

    def follow(held: sum_tree.Tree, change: Changes, newest: tf.Tensor) -> sum_tree.Tree:
        kept = tf.where(change.is_new, newest, in_place.take(held[0], change.slots))
        return weights.set(held, change.slots, tf.where(change.is_item, kept, 0.0))

    def changed(state: PrioritizedState, kept: State, changes: tuple[Changes, ...]) -> PrioritizedState:
        held, newest = state.weights, weight_of(state.max_priority)
        for change in changes:
            held = follow(held, change, newest)
        return PrioritizedState(kept, held, state.max_priority)

    def add(state: PrioritizedState, added: Nest) -> tuple[PrioritizedState, tuple[Changes, ...]]:
        kept, changes = store.add(state.items, added)
        return changed(state, kept, changes), changes

    def cut(state: PrioritizedState) -> tuple[PrioritizedState, tuple[Changes, ...]]:
        kept, changes = store.cut(state.items)
        return changed(state, kept, changes), changes

    def sample(state: PrioritizedState, key: random.Key, batch_size: int, beta: Scalar = 1.0) -> Sample:
        base.check_size("replay.sample: batch_size", batch_size)
        scalars.check("replay.sample: beta", beta, "[0, 1]")
        count = store.count(state.items)
        base.check_not_empty("replay.sample", count)
        slots, probabilities = weights.draw(state.weights, key, batch_size)
        # Nothing is drawn from an empty buffer, and the weights of that are numbers too.
        expected = tf.maximum(probabilities, sum_tree.SMALLEST) * tf.cast(tf.maximum(count, 1), tf.float32)
        log_weights = -tf.cast(beta, tf.float32) * tf.math.log(expected)
        return Sample(
            items=store.read(state.items, slots, random.fold_in(key, 0)),
            slots=slots,
            weights=tf.exp(log_weights - tf.reduce_max(log_weights)),
        )

    def update(state: PrioritizedState, slots: tf.Tensor, priorities: tf.Tensor) -> PrioritizedState:
        slots, priorities = _check_update(slots, priorities, store.num_slots)
        in_range = (slots >= 0) & (slots < store.num_slots)
        slots = tf.where(in_range, slots, 0)
        usable = in_range & tf.math.is_finite(priorities) & (priorities >= 0) & store.is_item(state.items, slots)
        last = _last_of_each(slots, usable)
        chosen = tf.gather(priorities, tf.maximum(last, 0))
        held = in_place.take(state.weights[0], slots)
        return PrioritizedState(
            items=state.items,
            weights=weights.set(state.weights, slots, tf.where(last >= 0, weight_of(chosen), held)),
            max_priority=tf.maximum(state.max_priority, tf.reduce_max(tf.where(usable, priorities, 0.0))),
        )

    own = base.within(store, init=init, add=add, cut=cut)
    return base.buffer(own, sample, update, can_draw=lambda state: tf.reduce_any(state.weights[-1] > 0))


def _last_of_each(slots: tf.Tensor, usable: tf.Tensor) -> tf.Tensor:
    """For each element, where the last usable one of the same slot stands; -1 if there is none."""
    same = (slots[:, tf.newaxis] == slots) & usable
    return tf.reduce_max(tf.where(same, tf.range(slots.shape[0]), -1), axis=-1)


def _check_update(slots: tf.Tensor, priorities: tf.Tensor | None, num_slots: int) -> tuple[tf.Tensor, tf.Tensor]:
    if priorities is None:
        raise ValueError("replay.update: priorities are None, but this buffer samples by them")
    slots, priorities = tf.convert_to_tensor(slots), tf.convert_to_tensor(priorities)
    if not slots.dtype.is_integer or not priorities.dtype.is_floating:
        raise ValueError(
            f"replay.update: slots are {slots.dtype.name} and priorities {priorities.dtype.name}, "
            "expected integers and floating-point numbers"
        )
    if slots.shape.rank != 1 or slots.shape != priorities.shape:
        raise ValueError(
            f"replay.update: slots have shape {tuple(slots.shape)} and priorities {tuple(priorities.shape)}, "
            "expected [N] and [N]"
        )
    known = tf.get_static_value(priorities)
    if known is not None:
        bad = ~(np.isfinite(known.astype(np.float64)) & (known >= 0))
        if bad.any():
            raise ValueError(f"replay.update: priorities hold {known[bad][0]}, expected finite numbers from 0")
    base.check_slots(slots, num_slots)
    return tf.cast(slots, tf.int32), tf.cast(priorities, tf.float32)
