"""Catch-bsuite, compiled: a ball falls down a grid, and a paddle on the bottom row should be below it.

Mnih, Heess, Graves and Kavukcuoglu (2014), "Recurrent models of visual attention", section 4.2, as in
the Behaviour Suite of Osband et al. (2020).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec


class State(NamedTuple):
    ball_row: tf.Tensor  # int32[B]
    ball_column: tf.Tensor  # int32[B]
    paddle: tf.Tensor  # int32[B]: its column; its row is the last


def make(rows: int = 10, columns: int = 5) -> Env:
    """Makes Catch; an episode terminates when the ball arrives, after `rows - 1` steps.

    Observations are `float32[rows, columns]`, 1 where the ball or the paddle is. Actions are 0, left;
    1, stay; 2, right. The only reward is the last one: 1 for a catch, -1 for a miss.

    Args:
      rows: at least 2.
      columns: at least 1.

    Raises:
      ValueError: if a size is not an integer, or too small.
    """
    rows, columns = arguments.integer("rows", rows, 2), arguments.integer("columns", columns, 1)
    spec = EnvSpec("Catch-bsuite", spaces.Box(0, 1, (rows, columns), np.float32), spaces.Discrete(3))
    return auto_reset(
        spec,
        start=partial(start, columns=columns),
        dynamics=partial(dynamics, rows=rows, columns=columns),
        observe=partial(observe, rows=rows, columns=columns),
        render=partial(render, rows=rows, columns=columns),
    )


def start(key: random.Key, batch_size: int, *, columns: int) -> State:
    """States with the ball anywhere in the top row, and the paddle in the middle."""
    top = tf.zeros([batch_size], tf.int32)
    ball_column = tf.cast(random.uniform(key, [batch_size]) * columns, tf.int32)
    return State(top, ball_column, top + columns // 2)


def dynamics(
    state: State, action: tf.Tensor, key: random.Key, *, rows: int, columns: int
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions: 0 moves the paddle to the left, 1 not at all, 2 to the right."""
    del key  # deterministic
    paddle = tf.clip_by_value(state.paddle + tf.cast(action, tf.int32) - 1, 0, columns - 1)
    successor = State(state.ball_row + 1, state.ball_column, paddle)
    arrived = successor.ball_row == rows - 1
    caught = tf.where(paddle == state.ball_column, 1.0, -1.0)
    return successor, tf.where(arrived, caught, 0.0), arrived


def observe(state: State, *, rows: int, columns: int) -> tf.Tensor:
    """1 where the ball or the paddle is, `float32[B, rows, columns]`."""
    cells = tf.reshape(tf.range(rows * columns), [rows, columns])
    ball = state.ball_row * columns + state.ball_column
    paddle = (rows - 1) * columns + state.paddle
    shown = (cells == ball[:, tf.newaxis, tf.newaxis]) | (cells == paddle[:, tf.newaxis, tf.newaxis])
    return tf.cast(shown, tf.float32)


def render(state: State, *, rows: int, columns: int) -> np.ndarray:
    """The grid, with the paddle as a cell and the ball as a disc."""
    colors = np.full((rows, columns, 3), grids.EMPTY, np.uint8)
    colors[rows - 1, int(state.paddle)] = grids.SKY_BLUE
    ball = grids.Mark(int(state.ball_row), int(state.ball_column), grids.ORANGE)
    return grids.draw_cells(colors, [ball])
