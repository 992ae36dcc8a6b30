"""QuadraticReward: one continuous action, the nearer to a target the better. For tests.

The bounds of the two actions are neither symmetric nor alike, so an agent that scales or clips them wrongly
shows it here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec

LOW, HIGH = (-1.0, 0.0), (3.0, 0.5)
TARGET = (2.2, 0.1)


def make(
    low: Sequence[float] = LOW,
    high: Sequence[float] = HIGH,
    target: Sequence[float] = TARGET,
    unit: Sequence[float] = (1.0, 1.0),
) -> Env:
    """Makes QuadraticReward; an episode terminates after one step.

    Observations are `float32[1]`, always 1. Actions are `float32[A]`. The reward is minus the squared
    distance of the action, as it is given, from the target; so the best return is 0.

    Args:
      low: the lower bound of each axis.
      high: the upper bound of each.
      target: the best action.
      unit: in what distances are measured, along each axis.
    """
    spec = EnvSpec(
        name="QuadraticReward",
        observation_space=spaces.Box(1, 1, (1,), np.float32),
        action_space=spaces.Box(np.array(low, np.float32), np.array(high, np.float32)),
    )
    best, lengths = np.array(target, np.float32), np.array(unit, np.float32)
    return auto_reset(spec, start, functools.partial(dynamics, target=best, unit=lengths), tf.identity, render)


def start(key: random.Key, batch_size: int) -> tf.Tensor:
    """The constant observation `[B, 1]`, which is all the state there is."""
    del key
    return tf.ones([batch_size, 1])


def dynamics(
    state: tf.Tensor, action: tf.Tensor, key: random.Key, *, target: np.ndarray, unit: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step under `float32[B, A]` actions."""
    del key  # deterministic
    return state, -tf.reduce_sum(tf.square((action - target) / unit), axis=1), tf.ones(state.shape[:1], tf.bool)


def render(state: tf.Tensor) -> np.ndarray:
    """What actions pay by default, the brighter the more: across is the first action, up the second; and the target."""
    del state  # always the same
    columns, rows = 32, 16
    across = LOW[0] + (np.arange(columns) + 0.5) * (HIGH[0] - LOW[0]) / columns
    up = LOW[1] + (np.arange(rows)[::-1] + 0.5) * (HIGH[1] - LOW[1]) / rows
    distance = np.hypot(across - TARGET[0], up[:, np.newaxis] - TARGET[1])
    shade = (1 - distance / distance.max())[..., np.newaxis]
    colors = grids.EMPTY + shade * np.subtract(grids.SKY_BLUE, grids.EMPTY)
    row, column = np.unravel_index(np.argmin(distance), distance.shape)
    marks = [grids.Mark(int(row), int(column), grids.ORANGE)]
    pixels = grids.PIXELS - 2 * grids.MARGIN
    return grids.label_above("WHAT EACH ACTION PAYS", grids.draw_cells(colors.astype(np.uint8), marks, pixels))
