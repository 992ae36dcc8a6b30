"""FourRooms-misc, compiled: four rooms joined by hallways, and a goal.

Sutton, Precup and Singh (1999), "Between MDPs and semi-MDPs: a framework for temporal abstraction in
reinforcement learning", section 3, figure 2. A fixed start and goal, and the time limit, are those of gymnax.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs import grid_rendering
from rl_fn.envs.base import Env, auto_reset
from rl_fn.struct import EnvSpec

SIZE = 13  # of the grid, outer walls included
HALLWAYS = ((3, 6), (6, 2), (7, 9), (10, 6))  # row and column
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # of the actions: up, right, down, left


def _walls() -> np.ndarray:
    walls = np.zeros((SIZE, SIZE), bool)
    walls[[0, -1]] = walls[:, [0, -1]] = True
    walls[:, 6] = walls[6, :6] = walls[7, 6:] = True
    for hallway in HALLWAYS:
        walls[hallway] = False
    return walls


WALLS = _walls()
FREE = np.flatnonzero(~WALLS).astype(np.int32)  # the 104 cells that can be entered, row * SIZE + column


def _successors() -> np.ndarray:
    """The cell after each action from each cell, `[SIZE * SIZE * 4]`; against a wall one stays."""
    cells = np.arange(SIZE * SIZE)[:, np.newaxis]
    ahead = np.clip(cells + [row * SIZE + column for row, column in MOVES], 0, SIZE * SIZE - 1)
    return np.where(WALLS.reshape(-1)[ahead], cells, ahead).astype(np.int32).reshape(-1)


class State(NamedTuple):
    position: tf.Tensor  # int32[B]: row * SIZE + column
    goal: tf.Tensor  # int32[B]


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
    if not 0 <= fail_probability <= 1:
        raise ValueError(f"fail_probability is {fail_probability}, expected a probability")
    spec = EnvSpec(
        name="FourRooms-misc",
        observation_space=spaces.Box(1, SIZE - 2, (4,), np.float32),
        action_space=spaces.Discrete(4),
        max_episode_steps=500,
    )
    successors = _successors()

    def begin(key: random.Key, batch_size: int) -> State:
        first, second = tf.unstack(random.randint(key, [2, batch_size], 0, [[len(FREE)], [len(FREE) - 1]]))
        fixed = start_cell if start_cell is not None else goal_cell
        first = tf.gather(FREE, first) if fixed is None else tf.fill([batch_size], fixed)
        # A cell other than the first one: those from it on are the next.
        second = tf.gather(FREE, second + tf.cast(tf.gather(FREE, second) >= first, tf.int32))
        if start_cell is not None:
            return State(first, second if goal_cell is None else tf.fill([batch_size], goal_cell))
        return State(second, first)

    def dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
        action = tf.cast(action, tf.int32)
        if fail_probability > 0:
            draw = random.uniform(key, state.position.shape)
            turn = 1 + tf.cast(draw * (3 / fail_probability), tf.int32)  # 1, 2 or 3 where the action fails
            action = (action + tf.where(draw < fail_probability, tf.minimum(turn, 3), 0)) % 4
        position = tf.gather(successors, state.position * 4 + action)
        arrived = position == state.goal
        return State(position, state.goal), tf.cast(arrived, tf.float32), arrived

    def observe(state: State) -> tf.Tensor:
        parts = [state.position // SIZE, state.position % SIZE, state.goal // SIZE, state.goal % SIZE]
        return tf.cast(tf.stack(parts, axis=1), tf.float32)

    def render(state: State) -> np.ndarray:
        colors = np.where(WALLS[..., np.newaxis], grid_rendering.GREY, grid_rendering.EMPTY).astype(np.uint8)
        goal = grid_rendering.Mark(*divmod(int(state.goal), SIZE), grid_rendering.YELLOW, "diamond")
        agent = grid_rendering.Mark(*divmod(int(state.position), SIZE), grid_rendering.ORANGE)
        return grid_rendering.draw_cells(colors, [goal, agent])

    return auto_reset(spec, begin, dynamics, observe, render)


def _cell(name: str, place: tuple[int, int] | None) -> int | None:
    if place is None:
        return None
    for cell in FREE.tolist():
        if isinstance(place, Iterable) and tuple(place) == divmod(cell, SIZE):
            return cell
    raise ValueError(f"{name} is {place}, expected None, or the row and column of a free cell such as (4, 1)")
