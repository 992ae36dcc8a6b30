"""What swims in Seaquest.

Each kind is kept newest first: a new one takes the first place and moves the others on, and places are as many as
can be needed. What has gone is at a column off the screen. Order matters where a bullet could hit several enemies
in one cell.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import tensorflow as tf

from rl_fn.envs.compiled.minatar import grid

GONE = -1  # as a column
FULL_DIVERS = 6
DIVER_MOVE_INTERVAL = 5
SUBMARINE_SHOT_INTERVAL = 10
# At the highest difficulty an enemy comes in at every step and leaves after 30.
NUM_ENEMIES = 32
# Divers come in every 30 steps and leave after 59; bullets every 5 steps, and leave after at most 9.
NUM_DIVERS = NUM_BULLETS = 2


class Bullets(NamedTuple):
    """The player's; all `int32[B, 2]`."""

    column: tf.Tensor
    row: tf.Tensor
    velocity: tf.Tensor  # 1 to the right, -1 to the left


class Enemies(NamedTuple):
    """Fish and submarines, all `[B, 32]`. Those of one row have one direction."""

    column: tf.Tensor  # int32
    row: tf.Tensor  # int32
    velocity: tf.Tensor  # int32
    is_submarine: tf.Tensor  # bool
    move_timer: tf.Tensor  # int32: steps until it moves
    shot_timer: tf.Tensor  # int32: steps until a submarine shoots


class Divers(NamedTuple):
    """All `int32[B, 2]`."""

    column: tf.Tensor
    row: tf.Tensor
    velocity: tf.Tensor
    move_timer: tf.Tensor


class SubmarineBullets(NamedTuple):
    """Those of the enemies, `int32[B, 10]`; two in the same cell and direction stay together for good."""

    to_right: tf.Tensor
    to_left: tf.Tensor


Objects = TypeVar("Objects", Bullets, Enemies, Divers)


def no_bullets(batch_size: int) -> Bullets:
    """None on the screen."""
    zeros = tf.zeros([batch_size, NUM_BULLETS], tf.int32)
    return Bullets(zeros + GONE, zeros, zeros + 1)


def no_enemies(batch_size: int) -> Enemies:
    """None on the screen."""
    zeros = tf.zeros([batch_size, NUM_ENEMIES], tf.int32)
    return Enemies(zeros + GONE, zeros, zeros + 1, zeros > 0, zeros, zeros)


def no_divers(batch_size: int) -> Divers:
    """None on the screen."""
    zeros = tf.zeros([batch_size, NUM_DIVERS], tf.int32)
    return Divers(zeros + GONE, zeros, zeros + 1, zeros)


def no_submarine_bullets(batch_size: int) -> SubmarineBullets:
    """None on the screen."""
    zeros = tf.zeros([batch_size, grid.SIZE], tf.int32)
    return SubmarineBullets(zeros, zeros)


def spawn_enemy(
    enemies: Enemies,
    due: tf.Tensor,
    velocity: tf.Tensor,
    is_submarine: tf.Tensor,
    row: tf.Tensor,
    move_interval: tf.Tensor,
) -> Enemies:
    """Lets an enemy in where it is due, unless one in its row swims the other way."""
    same_row = grid.inside(enemies.column) & (enemies.row == row[:, tf.newaxis])
    opposed = tf.reduce_any(same_row & (enemies.velocity != velocity[:, tf.newaxis]), axis=-1)
    shot_timer = tf.fill(row.shape, SUBMARINE_SHOT_INTERVAL)
    new = Enemies(_edge(velocity), row, velocity, is_submarine, move_interval, shot_timer)
    return _push(enemies, new, due & ~opposed)


def spawn_diver(divers: Divers, due: tf.Tensor, velocity: tf.Tensor, row: tf.Tensor) -> Divers:
    """Lets a diver in where one is due."""
    return _push(divers, Divers(_edge(velocity), row, velocity, tf.fill(row.shape, DIVER_MOVE_INTERVAL)), due)


def shoot(bullets: Bullets, shoots: tf.Tensor, column: tf.Tensor, row: tf.Tensor, velocity: tf.Tensor) -> Bullets:
    """Adds a bullet of the player at its cell."""
    return _push(bullets, Bullets(column, row, velocity), shoots)


def move_bullets(enemies: Enemies, bullets: Bullets) -> tuple[Enemies, Bullets, tf.Tensor]:
    """Moves the player's bullets; each hits the oldest fish in its way, else the oldest submarine.

    Returns:
      The enemies and bullets that are left, and the number of hits `int32[B]`.
    """
    present = grid.inside(bullets.column)
    bullets = bullets._replace(column=tf.where(present, bullets.column + bullets.velocity, bullets.column))
    age = tf.constant(list(range(NUM_ENEMIES)))
    preference = tf.where(enemies.is_submarine, age, age + NUM_ENEMIES)
    return _hit(enemies, bullets, grid.inside(enemies.column), preference)


def move_enemies(
    enemies: Enemies, bullets: Bullets, column: tf.Tensor, row: tf.Tensor, move_interval: tf.Tensor
) -> tuple[Enemies, Bullets, SubmarineBullets, tf.Tensor, tf.Tensor]:
    """Moves the enemies, and lets submarines shoot, be it their last act.

    Args:
      enemies: before they move.
      bullets: the player's. Of enemies that swim into one, the newest submarine takes it, else the newest fish.
      column: `int32[B]`, the player's.
      row: `int32[B]`, the player's.
      move_interval: `int32[B]`.

    Returns:
      The enemies and bullets that are left, the shots, the number of hits `int32[B]`, and whether the player was
      touched `bool[B]`.
    """
    present = grid.inside(enemies.column)
    touches = present & _is_at(enemies, column, row)
    moves = present & (enemies.move_timer == 0)
    shoots = present & enemies.is_submarine & (enemies.shot_timer == 0)
    enemies = enemies._replace(
        column=tf.where(moves, enemies.column + enemies.velocity, enemies.column),
        move_timer=tf.where(moves, move_interval[:, tf.newaxis], enemies.move_timer - 1),
        shot_timer=tf.where(shoots, SUBMARINE_SHOT_INTERVAL, enemies.shot_timer - 1),
    )
    touches_later = moves & _is_at(enemies, column, row)
    muzzle = tf.where(shoots, grid.bit(enemies.column), 0)
    to_right = enemies.velocity > 0
    ways = grid.pack([tf.where(to_right, muzzle, 0), tf.where(to_right, 0, muzzle)])
    shots = SubmarineBullets(*grid.unpack(grid.by_row(enemies.row, ways), 2))
    newness = tf.constant(list(range(NUM_ENEMIES - 1, -1, -1)))
    preference = tf.where(enemies.is_submarine, newness + NUM_ENEMIES, newness)
    enemies, bullets, hits = _hit(enemies, bullets, moves & ~touches_later, preference)
    return enemies, bullets, shots, hits, tf.reduce_any(touches | touches_later, axis=-1)


def move_submarine_bullets(
    bullets: SubmarineBullets, shots: SubmarineBullets, player: tf.Tensor
) -> tuple[SubmarineBullets, tf.Tensor]:
    """Adds the shots and moves all; returns also whether one was at the player's cell before or after that."""
    before = [tf.bitwise.bitwise_or(old, new) for old, new in zip(bullets, shots, strict=True)]
    after = [grid.sideways(screen, way) for screen, way in zip(before, (1, -1), strict=True)]
    hit = grid.any_in(before[0], player)
    for screen in (before[1], *after):
        hit = hit | grid.any_in(screen, player)
    return SubmarineBullets(*after), hit


def move_divers(divers: Divers, column: tf.Tensor, row: tf.Tensor, diver_count: tf.Tensor) -> tuple[Divers, tf.Tensor]:
    """Moves the divers; those at the player's cell before or after that come on board while there is room.

    Returns:
      The divers that are left, and the number on board `int32[B]`.
    """
    present = grid.inside(divers.column)
    here = present & _is_at(divers, column, row)
    moves = present & (divers.move_timer == 0)
    moved = divers._replace(
        column=tf.where(moves, divers.column + divers.velocity, divers.column),
        move_timer=tf.where(moves, DIVER_MOVE_INTERVAL, divers.move_timer - 1),
    )
    meets = here | (moves & _is_at(moved, column, row))
    # The newest comes first.
    order = tf.cumsum(tf.cast(meets, tf.int32), axis=-1, exclusive=True)
    boards = meets & (diver_count[:, tf.newaxis] + order < FULL_DIVERS)
    diver_count = diver_count + tf.reduce_sum(tf.cast(boards, tf.int32), axis=-1)
    return moved._replace(column=tf.where(boards, GONE, moved.column)), diver_count


def screens(enemies: Enemies, divers: Divers) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The cells of fish, submarines and divers, and the trails of all three; `int32[B, 10]` each."""
    here, trail = _with_trail(enemies)
    kinds = [tf.where(enemies.is_submarine, 0, here), tf.where(enemies.is_submarine, here, 0), trail]
    fish, submarines, trails = grid.unpack(grid.by_row(enemies.row, grid.pack(kinds)), 3)
    diver_cells, diver_trails = grid.unpack(grid.by_row(divers.row, grid.pack(_with_trail(divers))), 2)
    return fish, submarines, diver_cells, tf.bitwise.bitwise_or(trails, diver_trails)


def _with_trail(things: Enemies | Divers) -> tuple[tf.Tensor, tf.Tensor]:
    """The bits of the columns where they are, and of those behind them."""
    trail = tf.where(grid.inside(things.column), grid.bit(things.column - things.velocity), 0)
    return grid.bit(things.column), trail


def _edge(velocity: tf.Tensor) -> tf.Tensor:
    """The column at which something comes in."""
    return tf.where(velocity > 0, 0, grid.LAST)


def _is_at(things: Enemies | Divers, column: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    return (things.column == column[:, tf.newaxis]) & (things.row == row[:, tf.newaxis])


def _push(things: Objects, new: Objects, where: tf.Tensor) -> Objects:
    """Puts `new` `[B]` in the first place of `things` `[B, K]` where `where`, and the others one further."""

    def push(old: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        return tf.where(where[:, tf.newaxis], tf.concat([first[:, tf.newaxis], old[:, :-1]], axis=1), old)

    return tf.nest.map_structure(push, things, new)


def _hit(
    enemies: Enemies, bullets: Bullets, can_be_hit: tf.Tensor, preference: tf.Tensor
) -> tuple[Enemies, Bullets, tf.Tensor]:
    """Takes each bullet and the preferred enemy in its cell away.

    No two bullets are in one cell, because none is slower than the player or turns, so no enemy is hit twice.
    """
    same_column = bullets.column[:, :, tf.newaxis] == enemies.column[:, tf.newaxis, :]
    same_row = bullets.row[:, :, tf.newaxis] == enemies.row[:, tf.newaxis, :]
    in_cell = same_column & same_row & can_be_hit[:, tf.newaxis, :] & grid.inside(bullets.column)[:, :, tf.newaxis]
    order = tf.where(in_cell, preference[:, tf.newaxis, :], -1)
    best = tf.reduce_max(order, axis=-1)
    hits = best >= 0
    is_hit = tf.reduce_any(in_cell & (order == best[:, :, tf.newaxis]), axis=1)
    return (
        enemies._replace(column=tf.where(is_hit, GONE, enemies.column)),
        bullets._replace(column=tf.where(hits, GONE, bullets.column)),
        tf.reduce_sum(tf.cast(hits, tf.int32), axis=-1),
    )
