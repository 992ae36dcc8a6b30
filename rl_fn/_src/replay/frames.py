"""Observations that are stacks of frames, with every frame kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

from rl_fn._src.replay import base
from rl_fn._src.replay.base import Changes, ReplayState, Store
from rl_fn._src.replay.sequence import Sequence
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest, Transition


class FramesState(NamedTuple):
    """The state of a store that keeps each frame once."""

    items: ReplayState  # of a store whose observations are the numbers of their frames
    frames: tf.Tensor  # [capacity + 1, ...]: a ring of frames, and a blank one behind it
    position: tf.Tensor  # int32[]: where the next frame goes
    shown: tf.Tensor  # int32[stack, B]: the newest frames of the last observations, the current one last
    is_first: tf.Tensor  # bool[stack, B]: which of these observations begin an episode

    @property
    def size(self) -> tf.Tensor:
        """How many steps there are."""
        return self.items.size


def frames(
    capacity: int,
    spec: Transition,
    *,
    num_streams: int,
    make_store: Callable[[Transition], Store],
    stack_axis: int = -1,
    padding: Literal["first", "zeros"] = "first",
) -> Store:
    """A store of steps whose observations are stacks of the last frames; stacks are rebuilt when they are read.

        make_store = lambda spec: n_step(1_000_000, spec, num_streams=8, n=3, gamma=0.99)
        buffer = prioritized_from(frames(1_000_000, spec, num_streams=8, make_store=make_store))

    Of an observation only the newest frame is new, and that of `next_observation` is also that of the next
    observation of the episode. So a step takes one frame, and an episode one more. The rest of a stack is
    what was shown before in the same episode; where the episode has just begun, the first frame repeated,
    as Gymnasium's FrameStackObservation does it, or zeros. A step leaves the buffer with the first of its
    frames that is overwritten.

    Args:
      capacity: the number of frames.
      spec: a Transition of `tf.TensorSpec`, one step; observations are one tensor, such as uint8[84, 84, 4].
      num_streams: B, the number of environments that are stepped side by side.
      make_store: makes the store of steps, given a specification in which the observations are int32[stack]:
        `steps`, `n_step`, `sequences` or `hindsight`. Its capacity need not be more than that of frames.
      stack_axis: the axis of an observation along which frames are stacked, oldest first.
      padding: what is before the first frame of an episode.

    Returns:
      A Store. `add` takes a Transition `[T, B, ...]`; items are those of the store that was made, with
      observations as they were.

    Raises:
      ValueError: if the observation is not one tensor with such an axis, the padding is unknown, or more
        is added at once than the frames can hold.
    """
    base.check_size("replay.frames: capacity", capacity)
    base.check_transition("replay.frames", spec)
    shape = spec.observation.shape if isinstance(spec.observation, tf.TensorSpec) else None
    if shape is None or spec.next_observation != spec.observation or not -shape.rank <= stack_axis < shape.rank:
        raise ValueError(f"replay.frames: observation is {spec.observation}, expected a tensor with axis {stack_axis}")
    if padding not in ("first", "zeros"):
        raise ValueError(f"replay.frames: padding is {padding!r}, expected 'first' or 'zeros'")
    axis = stack_axis % shape.rank
    depth = shape[axis]
    frame_shape = [size for i, size in enumerate(shape) if i != axis]
    blank = capacity
    numbers = tf.TensorSpec([depth], tf.int32)
    store = make_store(spec._replace(observation=numbers, next_observation=numbers))
    if store.num_streams != num_streams:
        raise ValueError(f"replay.frames: the store has {store.num_streams} streams, expected {num_streams}")

    def init() -> FramesState:
        return FramesState(
            items=store.init(),
            frames=tf.zeros([capacity + 1, *frame_shape], spec.observation.dtype),
            position=tf.constant(0),
            shown=tf.fill([depth, num_streams], blank),
            is_first=tf.ones([depth, num_streams], tf.bool),
        )

    def add(state: FramesState, added: Nest) -> tuple[FramesState, tuple[Changes, ...]]:
        added, (num, streams) = base.convert_items(added, spec, "T B")
        if streams != num_streams:
            raise ValueError(f"add: items have {streams} streams, expected num_streams = {num_streams}")
        if (2 * num + depth) * streams > capacity:
            raise ValueError(f"add: {num} steps of {streams} streams may not fit into {capacity} frames")
        is_first = tf.concat([state.is_first[-1:], added.is_last[:-1]], axis=0)
        # The frames in their order: of each step that of its observation, if that is new, then the next.
        new = tf.cast(is_first, tf.int32)
        offset = tf.reshape(tf.cumsum(tf.reshape(new + 1, [-1]), exclusive=True), new.shape)
        first_number = tf.where(is_first, base.wrap(state.position + offset, capacity), blank)
        next_number = base.wrap(state.position + offset + new, capacity)
        num_written = offset[-1, -1] + new[-1, -1] + 1

        shown = tf.concat([state.shown[-1:], next_number[:-1]], axis=0)
        shown = tf.concat([state.shown[:-1], tf.where(is_first, first_number, shown)], axis=0)
        begins = tf.concat([state.is_first[:-1], is_first], axis=0)
        stack = _stacked(shown, begins, depth, num, blank if padding == "zeros" else None)
        next_stack = tf.concat([stack[..., 1:], next_number[..., tf.newaxis]], axis=-1)

        items, forgotten = forget(state, 2 * num + depth + 1, num_written)
        items, changes = store.add(items, added._replace(observation=stack, next_observation=next_stack))
        # Where an observation is not new, there are zeros for the blank frame, which stays blank.
        first_frame = tf.where(
            tf.reshape(is_first, [num, streams, *[1] * len(frame_shape)]), newest(added.observation), 0
        )
        values = tf.stack([first_frame, newest(added.next_observation)])
        written = tf.reshape(tf.stack([first_number, next_number]), [-1])
        return FramesState(
            items=items,
            frames=in_place.put(state.frames, written, tf.reshape(values, [-1, *frame_shape])),
            position=base.wrap(state.position + num_written, capacity),
            shown=tf.concat([shown[num:], next_number[-1:]], axis=0),
            is_first=tf.concat([begins[num:], added.is_last[-1:]], axis=0),
        ), (forgotten, *changes)

    def cut(state: FramesState) -> tuple[FramesState, tuple[Changes, ...]]:
        items, changes = store.cut(state.items)
        is_first = tf.concat([state.is_first[:-1], tf.ones([1, num_streams], tf.bool)], axis=0)
        return state._replace(items=items, is_first=is_first), changes

    def newest(observation: tf.Tensor) -> tf.Tensor:
        return tf.gather(observation, depth - 1, axis=2 + axis)

    def forget(state: FramesState, times: int, num_written: tf.Tensor) -> tuple[ReplayState, Changes]:
        """Drops the oldest steps, up to the last of which a frame is about to be overwritten."""
        rows = tf.range(min(times * num_streams, store.num_slots))
        kept: Transition = store.read_rows(state.items, rows)
        used = tf.concat([kept.observation, kept.next_observation], axis=-1)
        overwritten = (used != blank) & (base.wrap(used - state.position, capacity) < num_written)
        lost = tf.reduce_any(overwritten, axis=-1) & (rows < state.items.size)
        last = tf.reduce_max(tf.where(lost, rows // num_streams + 1, 0))
        size = tf.maximum(state.items.size - last * num_streams, 0)
        after = state.items._replace(position=in_place.after(state.items.position, last), size=size)
        slots = store.nth(state.items, rows)
        return after, Changes(slots, store.is_item(after, slots), tf.zeros(slots.shape, tf.bool))

    def rebuilt(state: FramesState, items: Nest) -> Nest:
        if isinstance(items, Sequence):
            return items._replace(steps=rebuilt(state, items.steps))
        return items._replace(
            observation=stack_of(state, items.observation), next_observation=stack_of(state, items.next_observation)
        )

    def stack_of(state: FramesState, frame_numbers: tf.Tensor) -> tf.Tensor:
        stack = in_place.take(state.frames, in_place.once(frame_numbers))
        leading = frame_numbers.shape.rank - 1
        order = list(range(stack.shape.rank))
        order.insert(leading + axis, order.pop(leading))
        return tf.transpose(stack, order)

    return base.within(
        store,
        # In a long episode, a frame lasts for fewer steps than there are frames, by those that its stack goes back.
        max_items=min(store.max_items, capacity - depth * num_streams - (store.num_slots - store.max_items)),
        init=init,
        add=add,
        cut=cut,
        read=lambda state, slots, key: rebuilt(state, store.read(state.items, slots, key)),
        read_rows=lambda state, n: rebuilt(state, store.read_rows(state.items, n)),
    )


def _stacked(shown: tf.Tensor, is_first: tf.Tensor, depth: int, num: int, blank: int | None) -> tf.Tensor:
    """The frames of the last `num` observations.

    Args:
      shown: int32[depth - 1 + num, B], the newest frame of each observation.
      is_first: bool[depth - 1 + num, B].
      depth: the number of frames in a stack.
      num: the number of observations.
      blank: stands before the first frame of an episode; if None, that frame repeated.

    Returns:
      int32[num, B, depth], the oldest frame first.
    """
    back = lambda leaf, lag: leaf[depth - 1 - lag : depth - 1 - lag + num]
    stack = [back(shown, 0)]
    before_first = tf.zeros(stack[0].shape, tf.bool)
    for lag in range(1, depth):
        before_first |= back(is_first, lag - 1)
        stack.append(tf.where(before_first, stack[-1] if blank is None else blank, back(shown, lag)))
    return tf.stack(stack[::-1], axis=-1)
