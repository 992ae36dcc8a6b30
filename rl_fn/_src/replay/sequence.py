"""Sequences of steps, kept once and cut out when they are sampled, as in R2D2 (Kapturowski et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.replay import base
from rl_fn._src.replay.base import Changes, ReplayState, Store
from rl_fn._src.replay.rows import Place, Rows, Storage
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest


class Sequence(NamedTuple):
    """Steps, and what there was before the first of them.

    Added, `start` is `[T, B, ...]`, what there was before each step; sampled, it is `[N, ...]`. It is the
    empty tuple where nothing is kept.
    """

    steps: Nest  # [T, B, ...], sampled [length, N, ...]
    start: Nest  # such as a recurrent state


# (state, rows int32[length, N], slots int32[N], key) to items
ReadWindows = Callable[[ReplayState, tf.Tensor, tf.Tensor, random.Key], Nest]


def sequences(
    capacity: int, spec: Nest, *, num_streams: int, length: int, period: int = 1, start_spec: Nest | None = None
) -> Store:
    """A store of the sequences of a fixed length in several streams of steps.

    Sequences begin at every `period`-th step of a stream, so they overlap where `period` is below
    `length`. An item is a sequence all of whose steps are in the buffer: none reaches across the place
    where steps are being overwritten. Episodes may end inside; the flags of the steps say where.

    Args:
      capacity: the number of steps of all streams together, a multiple of `num_streams * period`.
      spec: a nest of `tf.TensorSpec`, one step.
      num_streams: B, the number of environments that are stepped side by side.
      length: the number of steps in a sequence, at most those of a stream.
      period: the number of steps between the beginnings of two sequences.
      start_spec: a nest of `tf.TensorSpec`, what is kept for the first step of a sequence and not for
        the others, such as a recurrent state.

    Returns:
      A Store. `add` takes steps `[T, B, ...]` that follow those added before, or, with a `start_spec`, a
      Sequence. Items are Sequences, their steps `[length, N, ...]`. `cut` marks the last step of each stream as
      truncated, where the steps have such a flag, as a Transition has.

    Raises:
      ValueError: if the numbers do not fit; or, when steps are added, their structure, shape or dtype; by `cut`,
        if steps have no flags `terminated` and `truncated`.
    """

    steps_layout, starts_layout = Rows(spec), Rows(() if start_spec is None else start_spec)

    def read(state: ReplayState, rows: tf.Tensor, slots: tf.Tensor, key: random.Key) -> Sequence:
        kept: Sequence = state.storage
        return Sequence(steps_layout.read(kept.steps, rows), starts_layout.read(kept.start, slots))

    return windows(capacity, spec, num_streams, length, period, start_spec, read)


def steps(capacity: int, spec: Nest, *, num_streams: int) -> Store:
    """A store of single steps of several streams, each an item; as `items`, but added `[T, B, ...]`.

    Args:
      capacity: the number of steps of all streams together, a multiple of `num_streams`.
      spec: a nest of `tf.TensorSpec`, one step.
      num_streams: B, the number of environments that are stepped side by side.

    Returns:
      A Store.

    Raises:
      ValueError: as from `sequences`.
    """

    layout = Rows(spec)

    def read(state: ReplayState, rows: tf.Tensor, slots: tf.Tensor, key: random.Key) -> Nest:
        return layout.read(state.storage.steps, slots)

    return windows(capacity, spec, num_streams, 1, 1, None, read)


def windows(
    capacity: int,
    spec: Nest,
    num_streams: int,
    length: int,
    period: int,
    start_spec: Nest | None,
    read: ReadWindows,
    step_of: Callable[[Nest], Nest] = lambda row: row,
) -> Store:
    """A store whose items are made by `read` out of `length` successive steps; see `sequences`.

    The rows of the ring are the steps in the order of time, and of streams within it. Items are
    numbered in the same order, so a slot is the row of the first step where the period is 1. Where a row
    is more than a step, `step_of` takes the step from it.
    """
    base.check_size("replay: num_streams", num_streams)
    base.check_size("replay: period", period)
    base.check_size("replay: capacity", capacity)
    if capacity % (num_streams * period):
        raise ValueError(
            f"replay: capacity is {capacity}, expected a multiple of num_streams * period = {num_streams * period}"
        )
    times = capacity // num_streams
    base.check_size("replay: length", length)
    if length > times:
        raise ValueError(
            f"replay: capacity is {capacity}, {times} steps of each of {num_streams} streams, expected the {length} "
            "steps of a sequence at least"
        )
    added_spec = Sequence(spec, () if start_spec is None else start_spec)
    layout = Sequence(Rows(spec), Rows(added_spec.start))

    def init() -> ReplayState:
        return base.empty_ring(Sequence(layout.steps.zeros(capacity), layout.start.zeros(capacity // period)))

    def span(state: ReplayState) -> tuple[tf.Tensor, tf.Tensor]:
        """The time of the oldest step, and the number of steps of a stream."""
        size = state.size // num_streams
        return base.wrap(state.position // num_streams - size, times), size

    def is_complete(state: ReplayState, slots: tf.Tensor, newest: int | None = None) -> tf.Tensor:
        """Whether all steps of an item are there; and, of `newest` steps added last, at least one in it."""
        oldest, size = span(state)
        end = base.wrap(slots // num_streams * period - oldest, times) + length
        return (end <= size) if newest is None else (end <= size) & (end > size - newest)

    def slots_from(time: tf.Tensor, num: int) -> tf.Tensor:
        """The slots of all streams at the first `num` multiples of the period that are not before `time`."""
        first = base.wrap(time + (-time) % period, times) // period
        steps = base.wrap(first + tf.range(num), times // period)
        return tf.reshape(steps[:, tf.newaxis] * num_streams + tf.range(num_streams), [-1])

    def add(state: ReplayState, added: Nest) -> tuple[ReplayState, tuple[Changes, ...]]:
        pair = Sequence(added, ()) if start_spec is None else added
        pair, (steps, streams) = base.convert_items(pair, added_spec, "T B")
        if streams != num_streams:
            raise ValueError(f"add: items have {streams} streams, expected num_streams = {num_streams}")
        flat = tf.nest.map_structure(lambda leaf: tf.reshape(leaf, [steps * streams, *leaf.shape[2:]]), pair.steps)
        ring = state._replace(storage=state.storage.steps)
        ring, _ = base.append(ring, layout.steps, flat, steps * streams, capacity)
        kept = min(steps, times)
        time = base.wrap(ring.position // num_streams - kept, times)
        newest = tf.nest.map_structure(lambda leaf: leaf[steps - kept :], pair.start)
        state = ring._replace(storage=Sequence(ring.storage, put_starts(state.storage.start, newest, time, kept)))
        # A step completes the sequences that begin up to `length - 1` steps before it.
        touched = min(times, kept + length - 1)
        begin = base.wrap(ring.position // num_streams - touched, times)
        slots = slots_from(begin, -(-touched // period))
        return state, (Changes(slots, is_complete(state, slots), is_complete(state, slots, kept)),)

    def cut(state: ReplayState) -> tuple[ReplayState, tuple[Changes, ...]]:
        flags = _flags(step_of(layout.steps.places))
        if flags is None and length == 1:
            return state, ()  # no item depends on another
        if flags is None:
            raise ValueError("replay.cut: steps have no bool[] `terminated` and `truncated` to say where a stream ends")
        newest = base.wrap(state.position - num_streams + tf.range(num_streams), capacity)
        terminated, truncated = (layout.steps.read_number(state.storage.steps, newest, place) for place in flags)
        truncated |= ~terminated & (state.size > 0)
        steps = layout.steps.write_number(state.storage.steps, newest, flags[1], truncated)
        return state._replace(storage=state.storage._replace(steps=steps)), ()

    def put_starts(starts: Storage, added: Nest, time: tf.Tensor, kept: int) -> Storage:
        """Keeps what was before the steps where sequences begin; `added` belongs to the steps from `time` on."""
        num = -(-kept // period)
        slots = slots_from(time, num)
        offsets = (-time) % period + period * tf.range(num)
        # The last may be beyond what was added. Then its slot keeps what it has.
        there = tf.repeat(offsets < kept, num_streams)
        chosen = lambda leaf: tf.reshape(tf.gather(leaf, tf.minimum(offsets, kept - 1)), [-1, *leaf.shape[2:]])
        new = tf.nest.map_structure(chosen, added)
        return layout.start.write(starts, slots, struct.where(there, new, layout.start.read(starts, slots)))

    def count(state: ReplayState) -> tf.Tensor:
        oldest, size = span(state)
        beginnings = (size - length - (-oldest) % period) // period + 1
        return num_streams * tf.maximum(beginnings, 0)

    def nth(state: ReplayState, n: tf.Tensor) -> tf.Tensor:
        oldest, _ = span(state)
        first = base.wrap(oldest + (-oldest) % period, times) // period * num_streams
        return base.wrap(first + n, capacity // period)

    def read_items(state: ReplayState, slots: tf.Tensor, key: random.Key) -> Nest:
        begin, stream = slots // num_streams * period, slots % num_streams
        rows = base.wrap(begin + tf.range(length)[:, tf.newaxis], times) * num_streams + stream
        return read(state, in_place.once(rows), slots, key)

    return Store(
        num_slots=capacity // period,
        # Of a full ring the first beginning may be up to `period - 1` steps behind the oldest.
        max_items=(times - length + 1) // period * num_streams,
        num_streams=num_streams,
        init=init,
        add=add,
        cut=cut,
        count=count,
        nth=nth,
        is_item=is_complete,
        read=read_items,
        num_rows=lambda state: state.size,
        read_rows=lambda state, n: layout.steps.read(state.storage.steps, base.nth_row(state, n, capacity)),
    )


def _flags(step: Nest) -> tuple[Place, Place] | None:
    """Where a step says that its episode ends, if it does."""
    field = step.get if isinstance(step, dict) else lambda name: getattr(step, name, None)
    terminated, truncated = field("terminated"), field("truncated")
    if not (isinstance(terminated, Place) and isinstance(truncated, Place)):
        return None
    return (terminated, truncated) if terminated.dtype == truncated.dtype == "bool" else None
