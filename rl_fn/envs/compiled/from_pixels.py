"""Compiled environments of which only pictures are seen, `uint8[64, 64, 3]`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rl_fn.envs.base import Env
from rl_fn.envs.compiled import cartpole, catch, deep_sea, four_rooms, minatar, pendulum
from rl_fn.envs.drawing.pixels import paint_grid
from rl_fn.envs.wrappers.pixels import pixels


def make(base: str, size: int = 64, **arguments: Any) -> Env:
    """Makes the task named `base`, such as "Pendulum-v1", with a picture as the observation.

    Args:
      base: one of TASKS.
      size: the height and width of the picture.
      **arguments: of the task.

    Raises:
      ValueError: for another base, or as the task's own `make`.
    """
    if base not in TASKS:
        raise ValueError(f"base is {base!r}, expected one of {', '.join(TASKS)}")
    return pixels(TASKS[base](**arguments), paint_rooms if base == "FourRooms-misc" else None, size=size)


def paint_rooms(observation: tf.Tensor, size: int) -> tf.Tensor:
    """The agent, the goal and the walls of FourRooms, from `[B, 4]`: row and column of agent and goal."""
    rooms = four_rooms.SIZE
    rows, columns = (tf.one_hot(tf.cast(observation[:, first::2], tf.int32), rooms) for first in (0, 1))
    cells = rows[..., tf.newaxis] * columns[:, :, tf.newaxis]  # of agent and goal, [B, 2, H, W]
    walls = tf.broadcast_to(tf.cast(four_rooms.WALLS, tf.float32), tf.shape(cells[:, :1]))
    return paint_grid(tf.stack([walls[:, 0], cells[:, 0], cells[:, 1]], axis=-1), size)


TASKS: dict[str, Callable[..., Env]] = {
    "CartPole-v1": cartpole.make,
    "Pendulum-v1": pendulum.make,
    "Catch-bsuite": catch.make,
    "DeepSea-bsuite": deep_sea.make,
    "FourRooms-misc": four_rooms.make,
    **{
        f"MinAtar/{game}-v{version}": functools.partial(minatar.make, game=game, minimal_actions=version == 1)
        for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
        for version in (0, 1)
    },
}
