"""Seaquest: a submarine shoots fish and enemy submarines, one point each, and rescues divers before its air is gone.

Surfacing with a diver on board costs one of them and fills up the air; with six it costs all and gives a point for
every tenth of the air that is left. The episode ends at the touch of an enemy or of its bullet, without air, and
when surfacing without a diver. The difficulty ramps with each surfacing: enemies come more often and move faster.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.envs.compiled.minatar import grid, seaquest_objects
from rl_fn.envs.compiled.minatar.game import ACTIONS, DOWN, FIRE, LEFT, RIGHT, UP, Game, direction, towards
from rl_fn.envs.compiled.minatar.seaquest_objects import FULL_DIVERS, Bullets, Divers, Enemies, SubmarineBullets
from rl_fn.envs.drawing import grids as colors

NUM_ROWS = 8  # where enemies and divers are: all but the first and the last
FULL_OXYGEN = 200
SPAWN_INTERVAL, DIVER_INTERVAL = 20, 30  # the first at the start
MOVE_INTERVAL, FASTEST_MOVE_INTERVAL = 5, 2  # of the enemies, the first at the start
SHOT_COOL_DOWN = 5
SUBMARINE_PROB = 1 / 3


class State(NamedTuple):
    column: tf.Tensor  # int32[B]: of the player's submarine, as the next two
    row: tf.Tensor
    heading: tf.Tensor  # 1 to the right, -1 to the left
    oxygen: tf.Tensor  # int32[B]: steps that the air suffices for
    diver_count: tf.Tensor  # int32[B]: on board
    at_surface: tf.Tensor  # bool[B]
    shot_timer: tf.Tensor  # int32[B]: steps until the player may shoot
    spawn_timer: tf.Tensor  # int32[B]: steps until an enemy comes in
    spawn_interval: tf.Tensor  # int32[B]
    diver_timer: tf.Tensor  # int32[B]: steps until a diver comes in
    move_interval: tf.Tensor  # int32[B]: of the enemies
    ramp_index: tf.Tensor  # int32[B]: how often it became more difficult
    bullets: Bullets
    enemies: Enemies
    submarine_bullets: SubmarineBullets
    divers: Divers


class Decisions(NamedTuple):
    """What comes in, where something does; all `[B]`."""

    enemy_velocity: tf.Tensor  # int32: 1 to the right, -1 to the left
    is_submarine: tf.Tensor  # bool: and not a fish
    enemy_row: tf.Tensor  # int32
    diver_velocity: tf.Tensor  # int32
    diver_row: tf.Tensor  # int32


def decide(uniform: tf.Tensor) -> Decisions:
    """The decisions from numbers `[B, 5]`."""
    row = lambda number: 1 + tf.cast(number * NUM_ROWS, tf.int32)
    return Decisions(
        enemy_velocity=direction(uniform[:, 0] < 0.5),
        is_submarine=uniform[:, 1] < SUBMARINE_PROB,
        enemy_row=row(uniform[:, 2]),
        diver_velocity=direction(uniform[:, 3] < 0.5),
        diver_row=row(uniform[:, 4]),
    )


def start(key: random.Key, batch_size: int) -> State:
    """States of `batch_size` games, all the same."""
    del key
    fill = lambda value: tf.fill([batch_size], value)
    return State(
        column=fill(5),
        row=fill(0),
        heading=fill(-1),
        oxygen=fill(FULL_OXYGEN),
        diver_count=fill(0),
        at_surface=fill(True),
        shot_timer=fill(0),
        spawn_timer=fill(SPAWN_INTERVAL),
        spawn_interval=fill(SPAWN_INTERVAL),
        diver_timer=fill(DIVER_INTERVAL),
        move_interval=fill(MOVE_INTERVAL),
        ramp_index=fill(0),
        bullets=seaquest_objects.no_bullets(batch_size),
        enemies=seaquest_objects.no_enemies(batch_size),
        submarine_bullets=seaquest_objects.no_submarine_bullets(batch_size),
        divers=seaquest_objects.no_divers(batch_size),
    )


def dynamics(
    state: State, action: tf.Tensor, decisions: Decisions, ramping: bool
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int32[B]` actions."""
    enemy_due, diver_due = state.spawn_timer == 0, state.diver_timer == 0
    enemies = seaquest_objects.spawn_enemy(
        state.enemies,
        enemy_due,
        decisions.enemy_velocity,
        decisions.is_submarine,
        decisions.enemy_row,
        state.move_interval,
    )
    divers = seaquest_objects.spawn_diver(state.divers, diver_due, decisions.diver_velocity, decisions.diver_row)

    shoots = (action == FIRE) & (state.shot_timer == 0)
    bullets = seaquest_objects.shoot(state.bullets, shoots, state.column, state.row, state.heading)
    turn = towards(action, LEFT, RIGHT)
    column = tf.clip_by_value(state.column + turn, 0, grid.LAST)
    row = tf.clip_by_value(state.row + towards(action, UP, DOWN), 0, NUM_ROWS)

    enemies, bullets, hits = seaquest_objects.move_bullets(enemies, bullets)
    divers, diver_count = seaquest_objects.move_divers(divers, column, row, state.diver_count)
    enemies, bullets, shots, more_hits, touched = seaquest_objects.move_enemies(
        enemies, bullets, column, row, state.move_interval
    )
    submarine_bullets, shot = seaquest_objects.move_submarine_bullets(
        state.submarine_bullets, shots, grid.cell(row, column)
    )
    successor = state._replace(
        column=column,
        row=row,
        heading=tf.where(turn != 0, turn, state.heading),
        diver_count=diver_count,
        shot_timer=tf.maximum(tf.where(shoots, SHOT_COOL_DOWN, state.shot_timer) - 1, 0),
        spawn_timer=tf.maximum(tf.where(enemy_due, state.spawn_interval, state.spawn_timer) - 1, 0),
        diver_timer=tf.maximum(tf.where(diver_due, DIVER_INTERVAL, state.diver_timer) - 1, 0),
        bullets=bullets,
        enemies=enemies,
        submarine_bullets=submarine_bullets,
        divers=divers,
    )
    successor, rescue_reward, drowned = _breathe(successor, ramping)
    return successor, hits + more_hits + rescue_reward, touched | shot | drowned


def _breathe(state: State, ramping: bool) -> tuple[State, tf.Tensor, tf.Tensor]:
    """Uses air, or surfaces: the state, the reward for divers, and whether that was the end."""
    dives = state.row > 0
    surfaces = ~dives & ~state.at_surface
    drowned = (state.oxygen <= 0) | (surfaces & (state.diver_count == 0))
    lands = surfaces & (state.diver_count != 0)
    is_full = state.diver_count == FULL_DIVERS
    reward = tf.where(lands & is_full, _tenths(state.oxygen), 0)
    # One less even when all six have left: the original game counts -1 then.
    left = tf.where(is_full, 0, state.diver_count) - 1
    can = (state.spawn_interval > 1) | (state.move_interval > FASTEST_MOVE_INTERVAL)
    ramps = lands & can & ramping
    moves_faster = ramps & (state.move_interval > FASTEST_MOVE_INTERVAL) & (state.ramp_index % 2 == 1)
    successor = state._replace(
        oxygen=tf.where(lands, FULL_OXYGEN, state.oxygen - tf.cast(dives, tf.int32)),
        diver_count=tf.where(lands, left, state.diver_count),
        at_surface=~dives & (state.at_surface | lands),
        move_interval=state.move_interval - tf.cast(moves_faster, tf.int32),
        spawn_interval=state.spawn_interval - tf.cast(ramps & (state.spawn_interval > 1), tf.int32),
        ramp_index=state.ramp_index + tf.cast(ramps, tf.int32),
    )
    return successor, reward, drowned


def observe(state: State) -> tf.Tensor:
    """`bool[B, 10, 10, 10]`."""
    fish, submarines, diver_cells, trail = seaquest_objects.screens(state.enemies, state.divers)
    last_row = lambda word: tf.pad(word[:, tf.newaxis], [[0, 0], [grid.LAST, 0]])
    divers = _first_columns(state.diver_count)
    return grid.observation(
        [
            grid.cell(state.row, state.column),
            grid.cell(state.row, state.column - state.heading),
            grid.cells(state.bullets.row, state.bullets.column),
            trail,
            tf.bitwise.bitwise_or(*state.submarine_bullets),
            fish,
            submarines,
            last_row(_first_columns(_tenths(state.oxygen))),
            last_row(tf.bitwise.left_shift(divers, grid.LAST - tf.maximum(state.diver_count, 0))),
            diver_cells,
        ]
    )


def _tenths(oxygen: tf.Tensor) -> tf.Tensor:
    return tf.maximum(oxygen, 0) // (FULL_OXYGEN // 10)


def _first_columns(number: tf.Tensor) -> tf.Tensor:
    """The word with the first bits set, none where the number is negative."""
    return tf.bitwise.left_shift(tf.ones_like(number), tf.maximum(number, 0)) - 1


GAME = Game(
    name="Seaquest",
    channels={
        "sub_front": colors.SKY_BLUE,
        "sub_back": colors.BLUE,
        "friendly_bullet": colors.WHITE,
        "trail": colors.GREY,
        "enemy_bullet": colors.VERMILLION,
        "enemy_fish": colors.ORANGE,
        "enemy_sub": colors.PURPLE,
        "oxygen_gauge": colors.GREEN,
        "diver_gauge": colors.YELLOW,
        "diver": colors.YELLOW,
    },
    minimal_actions=ACTIONS,
    start=start,
    num_draws=5,
    decide=decide,
    dynamics=dynamics,
    observe=observe,
)
