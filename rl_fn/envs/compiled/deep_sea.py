"""DeepSea-bsuite, compiled: a diver sinks down a grid, and only going right all the way finds the treasure.

Osband, Van Roy, Russo and Wen (2019), "Deep exploration via randomized value functions", section 5.1, as in
the Behaviour Suite of Osband et al. (2020).
"""

from __future__ import annotations

from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments, shards
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec


class State(NamedTuple):
    row: tf.Tensor  # int32[B]: the number of steps taken
    column: tf.Tensor  # int32[B]


def make(
    size: int = 8, deterministic: bool = True, mapping_seed: int | None = 42, unscaled_move_cost: float = 0.01
) -> Env:
    """Makes DeepSea; an episode terminates after `size` steps, when the diver leaves the last row.

    Observations are `float32[size, size]`, 1 where the diver is and zero everywhere at the end. Of the two
    actions one goes right and one left, and which is which differs from cell to cell. Each step to the
    right costs `unscaled_move_cost / size`; one from the last column earns 1.

    Args:
      size: of the grid, at least 2.
      deterministic: otherwise a step to the right fails with probability `1 / size`, and the rewards in the
        two corners of the last row have standard normal noise.
      mapping_seed: of the map of actions, which is that of the package bsuite for the same seed; 42 is the
        one of its experiments. None lets 1 go right everywhere.
      unscaled_move_cost: the cost of going right in every step.

    Raises:
      ValueError: if an argument is of another type, or out of range.
    """
    size = arguments.integer("size", size, 2)
    deterministic = arguments.flag("deterministic", deterministic)
    unscaled_move_cost = arguments.number("unscaled_move_cost", unscaled_move_cost)
    right_actions = _right_actions(size, mapping_seed)
    spec = EnvSpec("DeepSea-bsuite", spaces.Box(0, 1, (size, size), np.float32), spaces.Discrete(2))
    return auto_reset(
        spec,
        start=start,
        dynamics=partial(
            dynamics,
            size=size,
            right_actions=right_actions,
            deterministic=deterministic,
            unscaled_move_cost=unscaled_move_cost,
        ),
        observe=partial(observe, size=size),
        render=partial(render, size=size),
    )


def start(key: random.Key, batch_size: int) -> State:
    """States in the top left corner."""
    del key  # always the same
    corner = tf.zeros([batch_size], tf.int32)
    return State(corner, corner)


def dynamics(
    state: State,
    action: tf.Tensor,
    key: random.Key,
    *,
    size: int,
    right_actions: np.ndarray,
    deterministic: bool,
    unscaled_move_cost: float,
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions; `right_actions` `int32[size * size]` are those that go right, by cells."""
    cell = state.row * size + state.column
    right = tf.cast(action, tf.int32) == tf.gather(right_actions, cell)
    reward = tf.where(right, tf.where(state.column == size - 1, 1.0, 0.0) - unscaled_move_cost / size, 0.0)
    moves_right = right
    if not deterministic:
        noise, wind = tf.unstack(random.normal(key, [2, shards.rows(state.row.shape[0])]))
        corner = (state.row == size - 1) & ((state.column == 0) | (state.column == size - 1))
        reward += tf.where(corner, noise, 0.0)
        moves_right &= wind > NormalDist().inv_cdf(1 / size)  # false with probability 1 / size
    column = tf.clip_by_value(state.column + tf.where(moves_right, 1, tf.where(right, 0, -1)), 0, size - 1)
    row = state.row + 1
    return State(row, column), reward, row == size


def observe(state: State, *, size: int) -> tf.Tensor:
    """1 where the diver is, `float32[B, size, size]`."""
    # Past the last row no cell is equal to the diver's.
    cells = tf.reshape(tf.range(size * size), [size, size])
    return tf.cast(cells == (state.row * size + state.column)[:, tf.newaxis, tf.newaxis], tf.float32)


def render(state: State, *, size: int) -> np.ndarray:
    """The sea, the darker the deeper, with the treasure and the diver."""
    depth = np.linspace(1.0, 0.35, size)[:, np.newaxis, np.newaxis]
    reachable = np.tri(size, dtype=bool)[..., np.newaxis]
    colors = np.where(reachable, depth * np.array(grids.BLUE), grids.EMPTY).astype(np.uint8)
    treasure = grids.Mark(size - 1, size - 1, grids.YELLOW, "diamond")
    diver = grids.Mark(int(state.row), int(state.column), grids.ORANGE)
    return grids.draw_cells(colors, [treasure, diver])


def _right_actions(size: int, mapping_seed: int | None) -> np.ndarray:
    """The action that goes right in each cell, `int32[size * size]`."""
    if mapping_seed is None:
        return np.ones(size * size, np.int32)
    generator = np.random.RandomState(arguments.seed("mapping_seed", mapping_seed))
    return generator.binomial(1, 0.5, size * size).astype(np.int32)
