"""Breakout: a paddle bounces a ball that breaks bricks, one point each.

The ball moves along diagonals; the paddle returns it to where it came from, or on with its edge. A missed ball ends
the episode. Cleared bricks return when the ball is down again. The difficulty does not change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn.envs.compiled.minatar import grid
from rl_fn.envs.compiled.minatar.game import LEFT, NOOP, RIGHT, Game, no_decisions, towards
from rl_fn.envs.drawing import grids as colors

WALL = np.array([0] + [grid.FULL_ROW] * 3 + [0] * 6, np.int32)  # bricks, by rows


class State(NamedTuple):
    paddle: tf.Tensor  # int32[B]: its column
    column: tf.Tensor  # int32[B]: of the ball, as the next four
    row: tf.Tensor
    column_velocity: tf.Tensor  # 1 to the right, -1 to the left
    row_velocity: tf.Tensor  # 1 downwards, -1 upwards
    last_column: tf.Tensor  # int32[B]: where the ball was before
    last_row: tf.Tensor  # int32[B]
    bricks: tf.Tensor  # int32[B, 10]
    is_inside: tf.Tensor  # bool[B]: the ball struck a brick in the last step, and breaks none in this one


def start(key: random.Key, batch_size: int) -> State:
    """States of `batch_size` games; the ball begins in one of the upper corners of the free space."""
    is_left = random.uniform(key, [batch_size]) < 0.5
    column, row = tf.where(is_left, 0, grid.LAST), tf.fill([batch_size], 3)
    return State(
        paddle=tf.fill([batch_size], 4),
        column=column,
        row=row,
        column_velocity=tf.where(is_left, 1, -1),
        row_velocity=tf.fill([batch_size], 1),
        last_column=column,
        last_row=row,
        bricks=tf.tile(WALL[np.newaxis], [batch_size, 1]),
        is_inside=tf.fill([batch_size], False),
    )


def dynamics(
    state: State, action: tf.Tensor, decisions: tuple[()], ramping: bool
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int32[B]` actions."""
    del decisions, ramping
    paddle = tf.clip_by_value(state.paddle + towards(action, LEFT, RIGHT), 0, grid.LAST)
    column, row = state.column + state.column_velocity, state.row + state.row_velocity
    column_velocity = tf.where(grid.inside(column), state.column_velocity, -state.column_velocity)
    column = tf.clip_by_value(column, 0, grid.LAST)

    at_ceiling = row < 0
    target = grid.cell(row, column)
    strikes = grid.any_in(state.bricks, target)
    breaks = strikes & ~state.is_inside
    bricks = tf.where(breaks[:, tf.newaxis], grid.remove(state.bricks, target), state.bricks)
    at_floor = row == grid.LAST
    bricks = tf.where((at_floor & ~grid.any_in(bricks))[:, tf.newaxis], WALL, bricks)

    returned = at_floor & (state.column == paddle)
    deflected = at_floor & ~returned & (column == paddle)
    bounces = breaks | returned | deflected
    row_velocity = tf.where(bounces | at_ceiling, -state.row_velocity, state.row_velocity)
    successor = State(
        paddle=paddle,
        column=column,
        row=tf.where(bounces, state.row, tf.maximum(row, 0)),
        column_velocity=tf.where(deflected, -column_velocity, column_velocity),
        row_velocity=row_velocity,
        last_column=state.column,
        last_row=state.row,
        bricks=bricks,
        is_inside=strikes,
    )
    return successor, tf.cast(breaks, tf.int32), at_floor & ~returned & ~deflected


def observe(state: State) -> tf.Tensor:
    """`bool[B, 10, 10, 4]`."""
    return grid.observation(
        [
            grid.cell(grid.LAST, state.paddle),
            grid.cell(state.row, state.column),
            grid.cell(state.last_row, state.last_column),
            state.bricks,
        ]
    )


GAME = Game(
    name="Breakout",
    channels={
        "paddle": colors.SKY_BLUE,
        "ball": colors.WHITE,
        "trail": colors.GREY,
        "brick": colors.VERMILLION,
    },
    minimal_actions=(NOOP, LEFT, RIGHT),
    start=start,
    num_draws=0,
    decide=no_decisions,
    dynamics=dynamics,
    observe=observe,
)
