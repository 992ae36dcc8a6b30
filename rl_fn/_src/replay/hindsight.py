"""Hindsight experience replay (Andrychowicz et al., 2017): goals that were reached in place of those that were not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.replay import base
from rl_fn._src.replay.base import Changes, ReplayState, Store
from rl_fn._src.replay.rows import Rows
from rl_fn._src.replay.sequence import windows
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest, Transition

GoalFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (achieved_goal [N, ...], desired_goal [N, ...]) to [N]


class _Row(NamedTuple):
    step: Transition
    episode: tf.Tensor  # int32[]: the number of the episode in its stream; may overflow, only equality counts


def hindsight(
    capacity: int,
    spec: Transition,
    *,
    num_streams: int,
    reward_fn: GoalFunction,
    terminated_fn: GoalFunction | None = None,
    strategy: Literal["future", "final", "episode"] = "future",
    ratio: float = 0.8,
) -> Store:
    """A store of transitions towards goals, some of which are replaced when they are read.

    Observations are dicts with `achieved_goal` and `desired_goal`, as in Gymnasium's goal environments.
    With probability `ratio`, an item's desired goal becomes what was achieved after a step of the same
    episode: "future", one drawn from those from its own step on; "final", the last; "episode", one drawn
    from all. Of an episode that is not over or partly overwritten, the steps that are in the buffer count.

    Args:
      capacity: the number of steps of all streams together, a multiple of `num_streams`.
      spec: a Transition of `tf.TensorSpec`, one step.
      num_streams: B, the number of environments that are stepped side by side.
      reward_fn: the reward of arriving at `achieved_goal` where `desired_goal` is wanted.
      terminated_fn: whether the task terminates there; by default the flag stays as it was.
      strategy: where the goals come from.
      ratio: the probability of a replaced goal: k / (k + 1) where the paper has k of them for one kept.

    Returns:
      A Store. `add` takes a Transition `[T, B, ...]`; items are Transitions, and rows those that were added.
      `cut` ends the episodes with their last steps, as truncated.

    Raises:
      ValueError: if the strategy or the ratio is impossible, or observations are not such dicts; otherwise
        as from `sequences`.
    """
    if strategy not in ("future", "final", "episode"):
        raise ValueError(f"replay.hindsight: strategy is {strategy!r}, expected 'future', 'final' or 'episode'")
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"replay.hindsight: ratio is {ratio}, expected a number in [0, 1]")
    base.check_transition("replay.hindsight", spec)
    for name in ("observation", "next_observation"):
        keys = getattr(spec, name).keys() if isinstance(getattr(spec, name), dict) else ()
        if not {"achieved_goal", "desired_goal"} <= set(keys):
            raise ValueError(f"replay.hindsight: {name} has {sorted(keys)}, expected achieved_goal and desired_goal")

    row_spec = _Row(spec, tf.TensorSpec([], tf.int32))
    layout = Rows(row_spec)
    places: _Row = layout.places

    def read(state: ReplayState, rows: tf.Tensor, slots: tf.Tensor, key: random.Key) -> Transition:
        kept = state.storage.steps
        which_key, goal_key = tf.unstack(random.split(key))
        step = layout.read(kept, slots, places.step)
        ahead = reach(state, slots, 1)
        if strategy == "final":
            offset = ahead
        elif strategy == "future":
            offset = random.randint(goal_key, slots.shape, 0, ahead + 1)
        else:
            offset = random.randint(goal_key, slots.shape, -reach(state, slots, -1), ahead + 1)
        goal = layout.read(kept, in_place.once(moved(slots, offset)), places.step.next_observation["achieved_goal"])
        return struct.where(random.bernoulli(which_key, ratio, slots.shape), relabelled(step, goal), step)

    def relabelled(step: Transition, goal: tf.Tensor) -> Transition:
        achieved = step.next_observation["achieved_goal"]
        return step._replace(
            observation={**step.observation, "desired_goal": goal},
            next_observation={**step.next_observation, "desired_goal": goal},
            reward=tf.cast(reward_fn(achieved, goal), step.reward.dtype),
            terminated=step.terminated if terminated_fn is None else terminated_fn(achieved, goal),
        )

    def moved(slots: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
        return base.wrap(slots + offset * num_streams, capacity)

    def reach(state: ReplayState, slots: tf.Tensor, direction: int) -> tf.Tensor:
        """How many steps of the same episode follow (1) or precede (-1) in the buffer, int32[N]."""
        older = base.age(state, slots, capacity) // num_streams
        # None in an empty buffer, whatever is read from it.
        room = tf.maximum(state.size // num_streams - 1 - older, 0) if direction > 0 else older
        episode_of = lambda rows: layout.read_number(state.storage.steps, rows, places.episode)
        own, found = episode_of(slots), tf.zeros_like(slots)
        for step in reversed([2**power for power in range((capacity // num_streams - 1).bit_length())]):
            further = tf.minimum(found + step, room)
            same = episode_of(moved(slots, direction * further)) == own
            found = tf.where(same, further, found)
        return found

    store = windows(capacity, row_spec, num_streams, 1, 1, None, read, step_of=lambda row: row.step)

    def add(state: ReplayState, added: Nest) -> tuple[ReplayState, tuple[Changes, ...]]:
        added, (_, streams) = base.convert_items(added, spec, "T B")
        if streams != num_streams:
            raise ValueError(f"add: items have {streams} streams, expected num_streams = {num_streams}")
        newest = base.wrap(state.position - num_streams + tf.range(num_streams), capacity)
        before = lambda place: layout.read_number(state.storage.steps, newest, place)
        # An empty ring holds zeros: the number of the first episode.
        ended = tf.cast(added.is_last, tf.int32)
        over = tf.cast(before(places.step.terminated) | before(places.step.truncated), tf.int32)
        first = before(places.episode) + over
        state = base.written_after(state, tf.reduce_max(over))
        return store.add(state, _Row(added, first + tf.cumsum(ended, axis=0, exclusive=True)))

    return store._replace(add=add, read_rows=lambda state, n: store.read_rows(state, n).step)
