"""Space Invaders: a cannon shoots at aliens above, one point each, and they shoot back.

The aliens move sideways, and down where one of them is at the edge, the faster the fewer they are. An alien or a
bullet that hits the cannon ends the episode, as do aliens that reach the ground. The difficulty ramps by wave: each
moves faster than the one before, up to the sixth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn.envs.compiled.minatar import grid
from rl_fn.envs.compiled.minatar.game import FIRE, LEFT, NOOP, RIGHT, Game, no_decisions, towards
from rl_fn.envs.drawing import grids as colors

WAVE = np.array([0b0011111100] * 4 + [0] * 6, np.int32)  # aliens, by rows
SHOT_COOL_DOWN = 5
ALIEN_MOVE_INTERVAL, FASTEST_MOVE_INTERVAL = 12, 6
ALIEN_SHOT_INTERVAL = 10
COLUMNS = list(range(grid.SIZE))


class State(NamedTuple):
    cannon: tf.Tensor  # int32[B]: its column
    bullets: tf.Tensor  # int32[B, 10]
    alien_bullets: tf.Tensor  # int32[B, 10]
    aliens: tf.Tensor  # int32[B, 10]
    alien_direction: tf.Tensor  # int32[B]: 1 to the right, -1 to the left
    move_interval: tf.Tensor  # int32[B]: of the aliens, while they are many
    move_timer: tf.Tensor  # int32[B]: steps until the aliens move
    alien_shot_timer: tf.Tensor  # int32[B]: steps until an alien shoots
    shot_timer: tf.Tensor  # int32[B]: steps until the cannon may shoot


def start(key: random.Key, batch_size: int) -> State:
    """States of `batch_size` games, all the same."""
    del key
    fill = lambda value: tf.fill([batch_size], value)
    return State(
        cannon=fill(5),
        bullets=tf.zeros([batch_size, grid.SIZE], tf.int32),
        alien_bullets=tf.zeros([batch_size, grid.SIZE], tf.int32),
        aliens=tf.tile(WAVE[np.newaxis], [batch_size, 1]),
        alien_direction=fill(-1),
        move_interval=fill(ALIEN_MOVE_INTERVAL),
        move_timer=fill(ALIEN_MOVE_INTERVAL),
        alien_shot_timer=fill(ALIEN_SHOT_INTERVAL),
        shot_timer=fill(0),
    )


def dynamics(
    state: State, action: tf.Tensor, decisions: tuple[()], ramping: bool
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int32[B]` actions."""
    del decisions
    shoots = (action == FIRE) & (state.shot_timer == 0)
    cannon = tf.clip_by_value(state.cannon + towards(action, LEFT, RIGHT), 0, grid.LAST)
    shot_timer = tf.where(shoots, SHOT_COOL_DOWN, state.shot_timer)
    here = grid.cell(grid.LAST, cannon)
    bullets = grid.up(tf.bitwise.bitwise_or(state.bullets, tf.where(shoots[:, tf.newaxis], here, 0)))
    alien_bullets = grid.down(state.alien_bullets)
    hit = grid.any_in(alien_bullets, here) | grid.any_in(state.aliens, here)

    moves = state.move_timer == 0
    move_timer = tf.where(moves, tf.minimum(grid.count(state.aliens), state.move_interval), state.move_timer)
    aliens, alien_direction, lands = _march(state.aliens, state.alien_direction, moves)
    hit = hit | lands | grid.any_in(aliens, here)

    alien_shoots = state.alien_shot_timer == 0
    muzzle = tf.where(alien_shoots[:, tf.newaxis], _nearest(aliens, cannon), 0)
    alien_bullets = tf.bitwise.bitwise_or(alien_bullets, muzzle)
    killed = tf.bitwise.bitwise_and(aliens, bullets)
    aliens = grid.remove(aliens, killed)
    cleared = ~grid.any_in(aliens)
    ramps = cleared & (state.move_interval > FASTEST_MOVE_INTERVAL) & ramping
    successor = State(
        cannon=cannon,
        bullets=grid.remove(bullets, killed),
        alien_bullets=alien_bullets,
        aliens=tf.where(cleared[:, tf.newaxis], WAVE, aliens),
        alien_direction=alien_direction,
        move_interval=state.move_interval - tf.cast(ramps, tf.int32),
        move_timer=move_timer - 1,
        alien_shot_timer=tf.where(alien_shoots, ALIEN_SHOT_INTERVAL, state.alien_shot_timer) - 1,
        shot_timer=tf.maximum(shot_timer - 1, 0),
    )
    return successor, grid.count(killed), hit


def observe(state: State) -> tf.Tensor:
    """`bool[B, 10, 10, 6]`."""
    to_left = (state.alien_direction < 0)[:, tf.newaxis]
    return grid.observation(
        [
            grid.cell(grid.LAST, state.cannon),
            state.aliens,
            tf.where(to_left, state.aliens, 0),
            tf.where(to_left, 0, state.aliens),
            state.bullets,
            state.alien_bullets,
        ]
    )


def _march(aliens: tf.Tensor, heading: tf.Tensor, moves: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Moves the aliens where `moves`: their cells, where they head, and whether they reached the ground."""
    edge = grid.bit(tf.where(heading > 0, grid.LAST, 0))
    turns = moves & grid.any_in(aliens, edge[:, tf.newaxis])
    lands = turns & (aliens[:, grid.LAST] != 0)
    # Those that land come in from above again, which the last observation of the episode shows.
    lower = tf.concat([aliens[:, grid.LAST :], aliens[:, : grid.LAST]], axis=1)
    beside = tf.where(moves[:, tf.newaxis], grid.sideways(aliens, heading[:, tf.newaxis]), aliens)
    return tf.where(turns[:, tf.newaxis], lower, beside), tf.where(turns, -heading, heading), lands


def _nearest(aliens: tf.Tensor, cannon: tf.Tensor) -> tf.Tensor:
    """The cell of the lowest alien of the nearest column, the left one of two; `int32[B, 10]`."""
    columns = tf.constant(COLUMNS)
    offset = columns - cannon[:, tf.newaxis]
    order = 2 * tf.abs(offset) + tf.cast(offset > 0, tf.int32)
    in_column = grid.bit(columns)
    occupied = tf.bitwise.bitwise_and(grid.unite(aliens)[:, tf.newaxis], in_column) != 0
    order = tf.where(occupied, order, 2 * grid.SIZE)
    nearest = order == tf.reduce_min(order, axis=-1, keepdims=True)
    column = tf.reduce_sum(tf.where(nearest & occupied, in_column, 0), axis=-1, keepdims=True)
    standing = tf.bitwise.bitwise_and(aliens, column)
    row = tf.reduce_max(tf.where(standing != 0, tf.constant(COLUMNS), -1), axis=-1, keepdims=True)
    return tf.where(tf.constant(COLUMNS) == row, standing, 0)


GAME = Game(
    name="SpaceInvaders",
    channels={
        "cannon": colors.SKY_BLUE,
        "alien": colors.GREEN,
        "alien_left": colors.PURPLE,
        "alien_right": colors.BLUE,
        "friendly_bullet": colors.WHITE,
        "enemy_bullet": colors.VERMILLION,
    },
    minimal_actions=(NOOP, LEFT, RIGHT, FIRE),
    start=start,
    num_draws=0,
    decide=no_decisions,
    dynamics=dynamics,
    observe=observe,
)
