"""Freeway: a chicken crosses eight lanes of cars, one point each time.

It moves at most every third step; a car sends it back to the start, and so does a crossing, which also gives the
cars new speeds and directions. The episode ends after 2501 steps. The difficulty does not change.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.envs.compiled.minatar import grid
from rl_fn.envs.compiled.minatar.game import DOWN, NOOP, UP, Game, towards
from rl_fn.envs.drawing import grids as colors

NUM_CARS = 8  # one in each row but the first and the last
SLOWEST = 5  # a car of speed k moves once in k + 1 steps
MOVE_INTERVAL = 3  # of the chicken
TIME_LIMIT = 2500
COLUMN = 4  # of the chicken
LANES = list(range(1, 1 + NUM_CARS))


class State(NamedTuple):
    row: tf.Tensor  # int32[B]: of the chicken
    move_timer: tf.Tensor  # int32[B]: steps until the chicken may move
    time_left: tf.Tensor  # int32[B]
    column: tf.Tensor  # int32[B, 8]: of the cars
    car_timer: tf.Tensor  # int32[B, 8]: steps until a car moves
    velocity: tf.Tensor  # int32[B, 8]: -5 to -1 to the left, 1 to 5 to the right; 1 is the fastest


def decide(uniform: tf.Tensor) -> tf.Tensor:
    """The velocities `int32[B, 8]` of new cars from numbers `[B, 8]`."""
    number = tf.cast(uniform * (2 * SLOWEST), tf.int32)  # 0 to 9, each as likely
    return tf.where(number < SLOWEST, number - SLOWEST, number - SLOWEST + 1)


def start(key: random.Key, batch_size: int) -> State:
    """States of `batch_size` games, all cars at the left."""
    velocity = decide(random.uniform(key, [batch_size, NUM_CARS]))
    return State(
        row=tf.fill([batch_size], grid.LAST),
        move_timer=tf.fill([batch_size], MOVE_INTERVAL),
        time_left=tf.fill([batch_size], TIME_LIMIT),
        column=tf.zeros_like(velocity),
        car_timer=tf.abs(velocity),
        velocity=velocity,
    )


def dynamics(
    state: State, action: tf.Tensor, new_velocity: tf.Tensor, ramping: bool
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int32[B]` actions; `new_velocity` `int32[B, 8]` is that of the cars after a crossing."""
    del ramping
    move = tf.where(state.move_timer == 0, towards(action, UP, DOWN), 0)
    move_timer = tf.where(move != 0, MOVE_INTERVAL, state.move_timer)
    row = tf.clip_by_value(state.row + move, 0, grid.LAST)
    crossed = row == 0
    row = tf.where(crossed, grid.LAST, row)
    velocity = tf.where(crossed[:, tf.newaxis], new_velocity, state.velocity)
    car_timer = tf.where(crossed[:, tf.newaxis], tf.abs(velocity), state.car_timer)

    moves = car_timer == 0
    column = tf.where(moves, _around(state.column + tf.sign(velocity)), state.column)
    # Only the car of the chicken's row can hit it: the last row, where it lands, has none.
    touches = (state.column == COLUMN) | (column == COLUMN)
    hit = tf.reduce_any(touches & (tf.constant(LANES) == row[:, tf.newaxis]), axis=-1)
    successor = State(
        row=tf.where(hit, grid.LAST, row),
        move_timer=tf.maximum(move_timer - 1, 0),
        time_left=state.time_left - 1,
        column=column,
        car_timer=tf.where(moves, tf.abs(velocity), car_timer - 1),
        velocity=velocity,
    )
    return successor, tf.cast(crossed, tf.int32), successor.time_left < 0


def observe(state: State) -> tf.Tensor:
    """`bool[B, 10, 10, 7]`."""
    lanes = lambda words: tf.pad(words, [[0, 0], [1, 1]])
    trail = grid.bit(_around(state.column - tf.sign(state.velocity)))
    speeds = [lanes(tf.where(tf.abs(state.velocity) == speed, trail, 0)) for speed in range(1, 1 + SLOWEST)]
    chicken = grid.cell(state.row, tf.fill(state.row.shape, COLUMN))
    return grid.observation([chicken, lanes(grid.bit(state.column)), *speeds])


def _around(column: tf.Tensor) -> tf.Tensor:
    """What leaves at one side comes back at the other."""
    return tf.where(column < 0, grid.LAST, tf.where(column > grid.LAST, 0, column))


GAME = Game(
    name="Freeway",
    channels={
        "chicken": colors.WHITE,
        "car": colors.VERMILLION,
        "speed1": colors.YELLOW,
        "speed2": colors.ORANGE,
        "speed3": colors.GREEN,
        "speed4": colors.SKY_BLUE,
        "speed5": colors.BLUE,
    },
    minimal_actions=(NOOP, UP, DOWN),
    start=start,
    num_draws=NUM_CARS,
    decide=decide,
    dynamics=dynamics,
    observe=observe,
)
