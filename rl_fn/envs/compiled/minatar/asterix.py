"""Asterix: collect gold, one point each, and keep away from enemies.

Enemies and gold come in from both sides, at most one in each of eight rows. An enemy's touch ends the episode.
The difficulty ramps by time: they come more often and move faster.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.envs.compiled.minatar import grid
from rl_fn.envs.compiled.minatar.game import DOWN, LEFT, NOOP, RIGHT, UP, Game, direction, towards
from rl_fn.envs.drawing import grids as colors

NUM_SLOTS = 8  # rows of enemies and gold: all but the first and the last
RAMP_INTERVAL = 100
SPAWN_INTERVAL, MOVE_INTERVAL = 10, 5  # at the start
GOLD_PROB = 1 / 3
ABSENT = -1  # as a column
SLOT_ROWS = list(range(1, 1 + NUM_SLOTS))


class State(NamedTuple):
    player_column: tf.Tensor  # int32[B]
    player_row: tf.Tensor  # int32[B]
    column: tf.Tensor  # int32[B, 8]: of what is in each row, off the screen where nothing is
    velocity: tf.Tensor  # int32[B, 8]: 1 to the right, -1 to the left
    is_gold: tf.Tensor  # bool[B, 8]: and not an enemy
    spawn_timer: tf.Tensor  # int32[B]: steps until something comes in
    spawn_interval: tf.Tensor  # int32[B]
    move_timer: tf.Tensor  # int32[B]: steps until everything moves
    move_interval: tf.Tensor  # int32[B]
    ramp_timer: tf.Tensor  # int32[B]: steps until it becomes more difficult, at -1
    ramp_index: tf.Tensor  # int32[B]: how often it did


class Decisions(NamedTuple):
    """What comes in, where something does."""

    velocity: tf.Tensor  # int32[B]
    is_gold: tf.Tensor  # bool[B]
    place: tf.Tensor  # float32[B] in [0, 1): which of the free rows, as a part of their number


def decide(uniform: tf.Tensor) -> Decisions:
    """The decisions from numbers `[B, 3]`."""
    return Decisions(direction(uniform[:, 0] < 0.5), uniform[:, 1] < GOLD_PROB, uniform[:, 2])


def start(key: random.Key, batch_size: int) -> State:
    """States of `batch_size` games, all the same."""
    del key
    fill = lambda value: tf.fill([batch_size], value)
    slots = lambda value: tf.fill([batch_size, NUM_SLOTS], value)
    return State(
        player_column=fill(5),
        player_row=fill(5),
        column=slots(ABSENT),
        velocity=slots(1),
        is_gold=slots(False),
        spawn_timer=fill(SPAWN_INTERVAL),
        spawn_interval=fill(SPAWN_INTERVAL),
        move_timer=fill(MOVE_INTERVAL),
        move_interval=fill(MOVE_INTERVAL),
        ramp_timer=fill(RAMP_INTERVAL),
        ramp_index=fill(0),
    )


def dynamics(
    state: State, action: tf.Tensor, decisions: Decisions, ramping: bool
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int32[B]` actions."""
    spawns = state.spawn_timer == 0
    column, velocity, is_gold = _spawn(state, spawns, decisions)
    player_column = tf.clip_by_value(state.player_column + towards(action, LEFT, RIGHT), 0, grid.LAST)
    player_row = tf.clip_by_value(state.player_row + towards(action, UP, DOWN), 1, NUM_SLOTS)
    in_row = tf.constant(SLOT_ROWS) == player_row[:, tf.newaxis]

    # Whatever is where the player goes is met before all move, and whatever moves there afterwards.
    met = in_row & (column == player_column[:, tf.newaxis])
    column = tf.where(met & is_gold, ABSENT, column)
    moves = state.move_timer == 0
    column = tf.where(moves[:, tf.newaxis] & grid.inside(column), column + velocity, column)
    met_later = moves[:, tf.newaxis] & in_row & (column == player_column[:, tf.newaxis])
    column = tf.where(met_later & is_gold, ABSENT, column)

    collected = tf.cast(met & is_gold, tf.int32) + tf.cast(met_later & is_gold, tf.int32)
    caught = tf.reduce_any((met | met_later) & ~is_gold, axis=-1)
    successor = state._replace(
        player_column=player_column,
        player_row=player_row,
        column=column,
        velocity=velocity,
        is_gold=is_gold,
        spawn_timer=tf.where(spawns, state.spawn_interval, state.spawn_timer) - 1,
        move_timer=tf.where(moves, state.move_interval, state.move_timer) - 1,
    )
    return _ramp(successor) if ramping else successor, tf.reduce_sum(collected, axis=-1), caught


def observe(state: State) -> tf.Tensor:
    """`bool[B, 10, 10, 4]`."""
    present = grid.inside(state.column)
    rows = lambda words: tf.pad(words, [[0, 0], [1, 1]])
    here = grid.bit(state.column)
    trail = tf.where(present, grid.bit(state.column - state.velocity), 0)
    return grid.observation(
        [
            grid.cell(state.player_row, state.player_column),
            rows(tf.where(state.is_gold, 0, here)),
            rows(trail),
            rows(tf.where(state.is_gold, here, 0)),
        ]
    )


def _spawn(state: State, spawns: tf.Tensor, decisions: Decisions) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Lets something in at a free row, if there is one: the new columns, velocities and kinds."""
    free = tf.cast(~grid.inside(state.column), tf.int32)
    chosen = tf.cast(decisions.place * tf.cast(tf.reduce_sum(free, axis=-1), tf.float32), tf.int32)
    rank = tf.cumsum(free, axis=-1, exclusive=True)  # of a free row among them
    here = spawns[:, tf.newaxis] & (free == 1) & (rank == chosen[:, tf.newaxis])
    edge = tf.where(decisions.velocity > 0, 0, grid.LAST)
    return (
        tf.where(here, edge[:, tf.newaxis], state.column),
        tf.where(here, decisions.velocity[:, tf.newaxis], state.velocity),
        tf.where(here, decisions.is_gold[:, tf.newaxis], state.is_gold),
    )


def _ramp(state: State) -> State:
    """Makes it more difficult when it is time to."""
    can = (state.spawn_interval > 1) | (state.move_interval > 1)
    now = can & (state.ramp_timer < 0)
    moves_faster = now & (state.move_interval > 1) & (state.ramp_index % 2 == 1)
    return state._replace(
        move_interval=state.move_interval - tf.cast(moves_faster, tf.int32),
        spawn_interval=state.spawn_interval - tf.cast(now & (state.spawn_interval > 1), tf.int32),
        ramp_index=state.ramp_index + tf.cast(now, tf.int32),
        ramp_timer=tf.where(now, RAMP_INTERVAL, tf.where(can, state.ramp_timer - 1, state.ramp_timer)),
    )


GAME = Game(
    name="Asterix",
    channels={
        "player": colors.SKY_BLUE,
        "enemy": colors.VERMILLION,
        "trail": colors.GREY,
        "gold": colors.YELLOW,
    },
    minimal_actions=(NOOP, LEFT, UP, RIGHT, DOWN),
    start=start,
    num_draws=3,
    decide=decide,
    dynamics=dynamics,
    observe=observe,
)
