"""FourRooms-misc, compiled: four rooms joined by hallways, and a goal.

Sutton, Precup and Singh (1999), "Between MDPs and semi-MDPs: a framework for temporal abstraction in
reinforcement learning", section 3, figure 2. A fixed start and goal, and the time limit, are those of gymnax.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec

SIZE = 13  # of the grid, outer walls included
HALLWAYS = ((3, 6), (6, 2), (7, 9), (10, 6))  # row and column
UP, RIGHT, DOWN, LEFT = range(4)  # the actions


def is_wall(row: Any, column: Any) -> Any:
    """Whether cells are walls, for arrays or tensors of integers.

    Comparisons rather than a table: the compiled step took longer where random numbers ended in the index of
    a gather.
    """
    outer = (row == 0) | (row == SIZE - 1) | (column == 0) | (column == SIZE - 1)
    inner = (column == 6) | ((row == 6) & (column < 6)) | ((row == 7) & (column > 6))
    for hallway in HALLWAYS:
        inner &= (row != hallway[0]) | (column != hallway[1])
    return outer | inner


WALLS = is_wall(*np.indices((SIZE, SIZE)))
FREE = np.flatnonzero(~WALLS).astype(np.int32)  # the 104 cells that can be entered, row * SIZE + column


class State(NamedTuple):
    row: tf.Tensor  # int32[B]
    column: tf.Tensor  # int32[B]
    goal_row: tf.Tensor  # int32[B]
    goal_column: tf.Tensor  # int32[B]


def make(
    start: tuple[int, int] | None = (4, 1),
    goal: tuple[int, int] | None = (8, 9),
    fail_probability: float = 1 / 3,
) -> Env:
    """Makes FourRooms; an episode terminates at the goal and is truncated after 500 steps.

    Observations are `float32[4]`: the row and the column of the agent, and of the goal. Actions are 0, up;
    1, right; 2, down; 3, left. Reaching the goal pays 1.

    Args:
      start: row and column where episodes begin; None draws one of the other cells for each episode.
      goal: row and column of the goal; None draws one of the other cells for each episode.
      fail_probability: that the agent moves in one of the three other directions, each as likely.

    Raises:
      ValueError: if a cell is a wall or outside, start and goal are the same, or the probability is none.
    """
    start_cell, goal_cell = _cell("start", start), _cell("goal", goal)
    if start_cell is not None and start_cell == goal_cell:
        raise ValueError(f"start and goal are both {start}, expected two cells")
    fail_probability = arguments.number("fail_probability", fail_probability, 0, 1)
    spec = EnvSpec(
        name="FourRooms-misc",
        observation_space=spaces.Box(1, SIZE - 2, (4,), np.float32),
        action_space=spaces.Discrete(4),
        max_episode_steps=500,
    )
    return auto_reset(
        spec,
        start=partial(begin, start_cell=start_cell, goal_cell=goal_cell),
        dynamics=partial(dynamics, fail_probability=fail_probability),
        observe=observe,
        render=render,
    )


# Called `start` elsewhere, which is an argument of `make` here.
def begin(key: random.Key, batch_size: int, *, start_cell: int | None, goal_cell: int | None) -> State:
    """States with the agent and the goal in the given cells, `row * SIZE + column`, or in any where that is None."""
    first, second = tf.unstack(random.uniform(key, [2, batch_size]))
    goals = _drawn(first) if goal_cell is None else tf.fill([batch_size], goal_cell)
    if start_cell is None:
        starts = _drawn(second, other_than=goals)
    else:
        starts = tf.fill([batch_size], start_cell)
        goals = _drawn(first, other_than=starts) if goal_cell is None else goals
    return State(starts // SIZE, starts % SIZE, goals // SIZE, goals % SIZE)


def dynamics(
    state: State, action: tf.Tensor, key: random.Key, *, fail_probability: float
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions."""
    action = tf.cast(action, tf.int32)
    if fail_probability > 0:
        draw = random.uniform(key, state.row.shape)
        turn = 1 + tf.cast(draw * (3 / fail_probability), tf.int32)  # 1, 2 or 3 where the action fails
        action = (action + tf.where(draw < fail_probability, tf.minimum(turn, 3), 0)) % 4
    row = state.row + tf.where(action == UP, -1, tf.where(action == DOWN, 1, 0))
    column = state.column + tf.where(action == LEFT, -1, tf.where(action == RIGHT, 1, 0))
    blocked = is_wall(row, column)
    row, column = tf.where(blocked, state.row, row), tf.where(blocked, state.column, column)
    arrived = (row == state.goal_row) & (column == state.goal_column)
    return state._replace(row=row, column=column), tf.cast(arrived, tf.float32), arrived


def observe(state: State) -> tf.Tensor:
    """The rows and columns of the agent and of the goal, `float32[B, 4]`."""
    return tf.cast(tf.stack(state, axis=1), tf.float32)


def render(state: State) -> np.ndarray:
    """The rooms, with the agent and the goal."""
    colors = np.where(WALLS[..., np.newaxis], grids.GREY, grids.EMPTY).astype(np.uint8)
    goal = grids.Mark(int(state.goal_row), int(state.goal_column), grids.YELLOW, "diamond")
    agent = grids.Mark(int(state.row), int(state.column), grids.ORANGE)
    return grids.draw_cells(colors, [goal, agent])


def _drawn(uniform: tf.Tensor, other_than: tf.Tensor | None = None) -> tf.Tensor:
    """A free cell for each draw from [0, 1); other than a given one, if there is one."""
    if other_than is None:
        return tf.gather(FREE, tf.cast(uniform * len(FREE), tf.int32))
    index = tf.cast(uniform * (len(FREE) - 1), tf.int32)
    # Cells from the given one on are the next.
    return tf.gather(FREE, index + tf.cast(tf.gather(FREE, index) >= other_than, tf.int32))


def _cell(name: str, place: tuple[int, int] | None) -> int | None:
    if place is None:
        return None
    for cell in FREE.tolist():
        if isinstance(place, Iterable) and tuple(place) == divmod(cell, SIZE):
            return cell
    raise ValueError(f"{name} is {place}, expected None, or the row and column of a free cell such as (4, 1)")
