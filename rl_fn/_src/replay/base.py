"""What all buffers share: the ring, the two protocols, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.replay.rows import Rows
from rl_fn.struct import Nest, Transition, named_leaves

# Rows are numbered in int32, and sums of two row numbers must not overflow.
_MAX_ROWS = 2**30

State: TypeAlias = Any  # a nest of tensors


class ReplayState(NamedTuple):
    """A ring of rows. Nothing in it grows without bound, however much is added."""

    storage: Nest  # of `Rows`: a matrix [rows, width] for every dtype
    position: tf.Tensor  # int32[]: where the next row goes, in [0, rows)
    size: tf.Tensor  # int32[]: how many rows hold something; they end just before `position`


class Changes(NamedTuple):
    """What an addition did to the items of a store."""

    slots: tf.Tensor  # int32[M]: all whose item changed, came or went, each once, and maybe others
    is_item: tf.Tensor  # bool[M]: whether the slot holds an item now
    is_new: tf.Tensor  # bool[M]: whether that item was not there before


class Store(NamedTuple):
    """How experience is kept and what an item is made of. Samplers choose among its slots.

    What is added becomes rows of a ring. An item is made of one row or several, and has a slot: a
    number in [0, num_slots) that it keeps for as long as it is there.
    """

    num_slots: int
    max_items: int  # that stay once the ring is full
    num_streams: int | None  # of rows [T, B, ...], in this order; None where rows are independent, [N, ...]
    init: Callable[[], State]
    add: Callable[[State, Nest], tuple[State, tuple[Changes, ...]]]  # the changes, in their order
    # Where what is added next does not follow what was added last: the streams end here, as truncated.
    cut: Callable[[State], tuple[State, tuple[Changes, ...]]]
    count: Callable[[State], tf.Tensor]  # int32[]: how many items there are
    nth: Callable[[State, tf.Tensor], tf.Tensor]  # the slots of the n-th oldest items, n in [0, count)
    is_item: Callable[[State, tf.Tensor], tf.Tensor]  # which slots hold an item
    read: Callable[[State, tf.Tensor, random.Key], Nest]  # slots [N] to items
    num_rows: Callable[[State], tf.Tensor]  # int32[]: how many rows there are
    read_rows: Callable[[State, tf.Tensor], Nest]  # the n-th oldest rows, as they were added


class Sample(NamedTuple):
    """A batch, of whatever buffer."""

    items: Nest  # [N, ...]; the steps of sequences [length, N, ...]
    slots: tf.Tensor  # int32[N]: where the items are; what `update` wants to know
    weights: tf.Tensor  # float32[N]: importance weights, at most 1; all 1 where sampling is uniform


class Draw(Protocol):
    """How a batch is sampled; `beta` is the exponent of importance weights."""

    def __call__(self, state: State, key: random.Key, batch_size: int, beta: float | tf.Tensor = 1.0) -> Sample: ...


class IsReady(Protocol):
    """Whether so many items are there, at least one, and some can be drawn."""

    def __call__(self, state: State, min_items: int | tf.Tensor = 1) -> tf.Tensor: ...


class Replay(NamedTuple):
    """A buffer: pure functions over its state. All buffers have the same, so a learner need not know which it has."""

    init: Callable[[], State]
    # (state, items) -> state; what items are, is up to the store
    add: Callable[[State, Nest], State]
    # (state, key, batch_size, beta=1.0) -> Sample; beta is the exponent of importance weights
    sample: Draw
    # (state, slots, priorities) -> state; a buffer without priorities stays as it is. A slot of -1 is none
    update: Callable[[State, tf.Tensor, tf.Tensor], State]
    # (state, min_items=1) -> bool[]: whether that many items are there, at least one, and some can be drawn.
    # Compiled, a sample before that is finite and means nothing
    is_ready: IsReady
    # state -> state, where streams of steps were interrupted: what is added next does not follow. The last steps
    # become truncated ones with their true successors, and no item goes across
    cut: Callable[[State], State]
    store: Store | None  # of this buffer's state; a mixture has none of its own


def buffer(
    store: Store,
    sample: Draw,
    update: Callable[[State, tf.Tensor, tf.Tensor], State],
    can_draw: Callable[[State], tf.Tensor] = lambda state: tf.constant(True),
) -> Replay:
    """A store together with how its items are sampled; `can_draw` says whether any of those there can be."""

    def is_ready(state: State, min_items: int | tf.Tensor = 1) -> tf.Tensor:
        check_min_items(min_items, store.max_items)
        return (store.count(state) >= tf.maximum(min_items, 1)) & can_draw(state)

    return Replay(
        init=store.init,
        add=lambda state, added: store.add(state, added)[0],
        sample=sample,
        update=update,
        is_ready=is_ready,
        cut=lambda state: store.cut(state)[0],
        store=store,
    )


def within(store: Store, **others: Any) -> Store:
    """The same store where its state is the field `items` of a larger one; `others` are the functions that differ."""
    inside = lambda function: lambda state, *args: function(state.items, *args)
    names = ("count", "nth", "is_item", "read", "num_rows", "read_rows")
    return store._replace(**{**{name: inside(getattr(store, name)) for name in names}, **others})


def check_size(label: str, value: int, low: int = 1, high: int = _MAX_ROWS) -> None:
    """Raises ValueError where an integer argument is outside [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{label} is {value!r}, expected an integer in [{low}, {high}]")


def check_not_empty(label: str, count: tf.Tensor) -> None:
    """Raises ValueError where there is nothing to sample, if that is known when the function is called."""
    if tf.get_static_value(count) == 0:
        raise ValueError(f"{label}: there is nothing to sample yet")


def check_min_items(min_items: int | tf.Tensor, max_items: int) -> None:
    """Raises ValueError where a buffer is asked to wait for more items than it can hold, if that is known."""
    known = tf.get_static_value(min_items)
    if known is not None and known > max_items:
        raise ValueError(f"replay.is_ready: min_items is {known}, but the buffer keeps no more than {max_items} items")


def check_slots(slots: tf.Tensor, num_slots: int) -> None:
    """Raises ValueError where slots are impossible, as far as they are known; -1 is none."""
    known = tf.get_static_value(slots)
    if known is not None and ((known < -1) | (known >= num_slots)).any():
        worst = known[(known < -1) | (known >= num_slots)][0]
        raise ValueError(f"replay.update: slots hold {worst}, expected values in [0, {num_slots}), or -1 for none")


def check_transition(label: str, spec: Any) -> None:
    """Raises TypeError where the specification of a step is no Transition."""
    if not isinstance(spec, Transition):
        raise TypeError(f"{label}: spec is a {type(spec).__name__}, expected a Transition of tf.TensorSpec")


def convert_items(items: Nest, spec: Nest, leading: str = "N") -> tuple[Nest, tuple[int, ...]]:
    """Turns items into tensors, and checks them against the specification of one of them.

    Args:
      items: a nest of tensors or arrays.
      spec: a nest of `tf.TensorSpec`.
      leading: the names of the leading axes, such as "T B".

    Returns:
      The items as tensors, and the sizes of their leading axes.

    Raises:
      ValueError: if the structure, a shape or a dtype does not fit; the message names the leaf.
    """
    items = tf.nest.map_structure(tf.convert_to_tensor, items)
    try:
        tf.nest.assert_same_structure(items, spec)
    except (TypeError, ValueError):
        given, wanted = (
            f"{type(nest).__name__} of {', '.join(name or 'a tensor' for name, _ in named_leaves(nest))}"
            for nest in (items, spec)
        )
        raise ValueError(f"add: items are a {given}, expected a {wanted} as the specification says") from None
    axes = len(leading.split())
    sizes: dict[tuple[int, ...], str] = {}
    for (name, item), (_, expected) in zip(named_leaves(items), named_leaves(spec), strict=True):
        if item.dtype != expected.dtype or item.shape.rank < axes or item.shape[axes:] != expected.shape:
            shape = ", ".join([*leading.split(), *map(str, expected.shape)])
            raise ValueError(
                f"add: {name or 'the item'} is {item.dtype.name} {tuple(item.shape)}, "
                f"expected {expected.dtype.name} [{shape}]"
            )
        sizes.setdefault(tuple(item.shape[:axes]), name)
    if len(sizes) != 1:
        given = ", ".join(f"{name} {size}" for size, name in sizes.items())
        raise ValueError(f"add: items have different leading sizes [{leading}]: {given}")
    return items, next(iter(sizes))


def empty_ring(storage: Nest) -> ReplayState:
    """A ring none of whose rows has been written."""
    return ReplayState(storage, position=tf.constant(0), size=tf.constant(0))


def wrap(index: tf.Tensor, rows: int) -> tf.Tensor:
    """`index % rows` for an index in [-rows, 2 * rows), without a division."""
    index = tf.where(index < 0, index + rows, index)
    return tf.where(index >= rows, index - rows, index)


def nth_row(state: ReplayState, n: tf.Tensor, rows: int) -> tf.Tensor:
    """The n-th oldest rows, n in [0, rows)."""
    return wrap(state.position - state.size + n, rows)


def age(state: ReplayState, row: tf.Tensor, rows: int) -> tf.Tensor:
    """How many rows are older than `row`; at least `state.size` where the row holds nothing."""
    return wrap(wrap(row - state.position, rows) + state.size, rows)


def append(
    state: ReplayState, layout: Rows, items: Nest, num: int, rows: int, skip: tf.Tensor | None = None
) -> tuple[ReplayState, tf.Tensor]:
    """Writes `num` rows behind the last one; of more than fit the last stay.

    Args:
      state: the ring.
      layout: of its rows.
      items: each leaf `[num, ...]`.
      num: how many.
      rows: the size of the ring.
      skip: int32[], leaves out the first so many, which takes the room of as many of the oldest from a full ring.

    Returns:
      The state; and where the last min(num, rows) items went, in order.
    """
    kept = min(num, rows)
    begin = wrap(state.position + (num - kept) % rows, rows)
    position = wrap(state.position + num % rows, rows)
    order, size = tf.range(kept), tf.minimum(state.size + kept, rows)
    if skip is not None:
        # What is left out goes behind the last item, where the next ones will overwrite it.
        skip = tf.clip_by_value(skip - (num - kept), 0, kept)
        order, size = wrap(order - skip, kept), tf.minimum(state.size + kept - skip, rows - skip)
        position = wrap(position - skip, rows)
    places = wrap(begin + order, rows)
    items = tf.nest.map_structure(lambda leaf: leaf[num - kept :], items)
    storage = layout.write(state.storage, places, items)
    return ReplayState(storage, position, size), places
