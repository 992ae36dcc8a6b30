"""Transitions over several steps, put together when they are sampled or when they are added."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src import scalars
from rl_fn._src.replay import base
from rl_fn._src.replay.base import Changes, ReplayState, Store
from rl_fn._src.replay.rows import Rows
from rl_fn._src.replay.sequence import windows
from rl_fn._src.replay.uniform import add_items, items
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest, Scalar, Transition


class NStepTransition(NamedTuple):
    """What led from `observation` to `next_observation`, up to n steps later.

    The target of a value is `reward + discount * v(next_observation)`.
    """

    observation: Nest
    action: tf.Tensor
    reward: tf.Tensor  # sum over the steps of gamma ** k times the reward
    discount: tf.Tensor  # gamma to the number of steps, and 0 where the task terminated
    next_observation: Nest  # the true successor of the last step
    extras: dict[str, tf.Tensor]  # of the first step


class NStepState(NamedTuple):
    """The state of a store of transitions over several steps."""

    items: ReplayState  # of NStepTransitions
    pending: Transition  # [n - 1, B, ...]: the last steps, whose successors are still to come
    num_pending: tf.Tensor  # int32[]: how many of these there are, at the end

    @property
    def size(self) -> tf.Tensor:
        """How many items there are."""
        return self.items.size


def n_step(capacity: int, spec: Transition, *, num_streams: int, n: int, gamma: Scalar) -> Store:
    """A store of single steps whose items are transitions over n of them, put together when they are read.

    Sutton and Barto (2018), equation 7.1: the reward is the sum of gamma ** k r_{t+k}, the discount the
    product of the discounts. Both stop where the task terminates or the episode is truncated; the
    successor is the true one of that step. A step is an item as soon as n steps of its stream from it
    on are there. Every observation is kept once per step, and n and gamma may differ between two stores
    with the same contents.

    Args:
      capacity: the number of steps of all streams together, a multiple of `num_streams`.
      spec: a Transition of `tf.TensorSpec`, one step.
      num_streams: B, the number of environments that are stepped side by side.
      n: the number of steps.
      gamma: the discount of one step; may be a scalar tensor.

    Returns:
      A Store. `add` takes a Transition `[T, B, ...]`; items are NStepTransitions. `cut` marks the last step
      of each stream as truncated, so that items end there.

    Raises:
      ValueError: as from `sequences`, and if n is more than the steps of a stream or gamma not in [0, 1].
      TypeError: if the specification is no Transition.
    """
    base.check_transition("replay.n_step", spec)
    base.check_size("replay: num_streams", num_streams)
    base.check_size("replay: n", n, high=max(capacity // num_streams, 1))
    scalars.check("replay: gamma", gamma, "[0, 1]")

    layout = Rows(spec)
    places: Transition = layout.places

    def read(state: ReplayState, rows: tf.Tensor, slots: tf.Tensor, key: random.Key) -> NStepTransition:
        kept = state.storage.steps
        reward, discount, last = _accumulate(
            layout.read_number(kept, rows, places.reward),
            layout.read_number(kept, rows, places.terminated),
            layout.read_number(kept, rows, places.truncated),
            gamma,
        )
        last_row = tf.reduce_max(tf.where(tf.range(n)[:, tf.newaxis] == last, rows, 0), axis=0)
        observation, action, extras = layout.read(kept, slots, (places.observation, places.action, places.extras))
        next_observation = layout.read(kept, in_place.once(last_row), places.next_observation)
        return NStepTransition(observation, action, reward, discount, next_observation, extras)

    return windows(capacity, spec, num_streams, n, 1, None, read)


def n_step_items(capacity: int, spec: Transition, *, num_streams: int, n: int, gamma: Scalar) -> Store:
    """A store of transitions over n steps, put together when the steps are added; see `n_step`.

    An item is independent of the others, so the ring loses nothing where it wraps and sampling reads one
    row. The last n - 1 steps of each stream wait for their successors outside the ring.

    Args:
      capacity: the number of items.
      spec: a Transition of `tf.TensorSpec`, one step.
      num_streams: B, the number of environments that are stepped side by side.
      n: the number of steps.
      gamma: the discount of one step; may be a scalar tensor.

    Returns:
      A Store. `add` takes a Transition `[T, B, ...]`; items are NStepTransitions. `cut` makes items of the
      steps that wait, up to the last of each stream, as if that were truncated.

    Raises:
      ValueError: as from `items`, and if gamma is not in [0, 1].
      TypeError: if the specification is no Transition.
    """
    base.check_transition("replay.n_step_items", spec)
    base.check_size("replay: n", n)
    base.check_size("replay: num_streams", num_streams)
    scalars.check("replay: gamma", gamma, "[0, 1]")
    item_spec = NStepTransition(
        spec.observation, spec.action, spec.reward, spec.reward, spec.next_observation, spec.extras
    )
    store, layout = items(capacity, item_spec), Rows(item_spec)

    def init() -> NStepState:
        pending = tf.nest.map_structure(lambda leaf: tf.zeros([n - 1, num_streams, *leaf.shape], leaf.dtype), spec)
        return NStepState(store.init(), pending, num_pending=tf.constant(0))

    def add(state: NStepState, added: Nest) -> tuple[NStepState, tuple[Changes, ...]]:
        added, (num, streams) = base.convert_items(added, spec, "T B")
        if streams != num_streams:
            raise ValueError(f"add: items have {streams} streams, expected num_streams = {num_streams}")
        kept, pending, changes = follow(state, added, num)
        return NStepState(kept, pending, tf.minimum(state.num_pending + num, n - 1)), changes

    def cut(state: NStepState) -> tuple[NStepState, tuple[Changes, ...]]:
        if n == 1:
            return state, ()  # nothing is pending
        ended = state.pending.truncated[-1:] | ~state.pending.terminated[-1:]
        pending = state.pending._replace(truncated=tf.concat([state.pending.truncated[:-1], ended], axis=0))
        # Any steps may follow: none of them counts.
        blank = tf.nest.map_structure(tf.zeros_like, pending)
        kept, pending, changes = follow(state._replace(pending=pending), blank, n - 1)
        return NStepState(kept, pending, num_pending=tf.constant(0)), changes

    def follow(state: NStepState, added: Transition, num: int) -> tuple[ReplayState, Transition, tuple[Changes, ...]]:
        """Makes items of the steps that have n - 1 behind them now; returns the others."""
        steps = tf.nest.map_structure(lambda old, new: tf.concat([old, new], axis=0), state.pending, added)
        windows_of = lambda leaf: tf.stack([leaf[k : k + num] for k in range(n)])
        reward, discount, last = _accumulate(
            windows_of(steps.reward), windows_of(steps.terminated), windows_of(steps.truncated), gamma
        )
        first = lambda nest: tf.nest.map_structure(lambda leaf: _merged(leaf[:num]), nest)
        successor = _merged((tf.range(num)[:, tf.newaxis] + last) * num_streams + tf.range(num_streams))
        made = NStepTransition(
            observation=first(steps.observation),
            action=first(steps.action),
            reward=_merged(reward),
            discount=_merged(discount),
            next_observation=tf.nest.map_structure(
                lambda leaf: tf.gather(_merged(leaf), successor), steps.next_observation
            ),
            extras=first(steps.extras),
        )
        # Until n - 1 steps are pending, the first rows are none.
        skip = None if n == 1 else num_streams * (n - 1 - state.num_pending)
        kept, changes = add_items(state.items, made, item_spec, layout, capacity, skip)
        return kept, tf.nest.map_structure(lambda leaf: leaf[num:], steps), changes

    return base.within(store, init=init, add=add, cut=cut)


def _accumulate(
    reward: tf.Tensor, terminated: tf.Tensor, truncated: tf.Tensor, gamma: Scalar
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sums rewards `[n, ...]` up to the end of the episode.

    Returns:
      The discounted sum; the product of the discounts; and the index of the last step that counts.
    """
    total, discount = tf.zeros_like(reward[0]), tf.ones_like(reward[0])
    last = tf.zeros(reward.shape[1:], tf.int32)
    going = tf.ones(reward.shape[1:], tf.bool)
    for k in range(reward.shape[0]):
        total += tf.where(going, discount * reward[k], 0)
        step_discount = tf.cast(gamma, reward.dtype) * tf.cast(~terminated[k], reward.dtype)
        discount = tf.where(going, discount * step_discount, discount)
        last = tf.where(going, k, last)
        going &= ~(terminated[k] | truncated[k])
    return total, discount, last


def _merged(leaf: tf.Tensor) -> tf.Tensor:
    return tf.reshape(leaf, [leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]])
