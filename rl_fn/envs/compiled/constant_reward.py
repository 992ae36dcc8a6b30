"""ConstantReward: pays 1 in each of ten steps, then truncates or terminates. For tests.

With a discount of 0.9 a state is worth 10 where episodes are truncated, and less than 6.6 where they terminate:
an agent that confuses the two shows it here.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec

LENGTH = 10  # of an episode, in steps

End = Literal["truncated", "terminated"]


def make(end: End, action_space: spaces.Discrete | spaces.Box | None = None) -> Env:
    """Makes ConstantReward; observations are `float32[1]`, always 1, so they do not show the time.

    Args:
      end: how episodes end.
      action_space: of the actions, which have no effect; `Discrete(2)` unless given.

    Raises:
      ValueError: if there is no such end, or the space is neither Discrete nor Box.
    """
    if end not in get_args(End):
        raise ValueError(f"end is {end!r}, expected one of {', '.join(map(repr, get_args(End)))}")
    action_space = spaces.Discrete(2) if action_space is None else action_space
    if not isinstance(action_space, spaces.Discrete | spaces.Box):
        raise ValueError(f"action_space is {action_space}, expected a Discrete or a Box space")
    terminates = end == "terminated"
    spec = EnvSpec(
        name=f"ConstantReward-{end}",
        observation_space=spaces.Box(1, 1, (1,), np.float32),
        action_space=action_space,
        max_episode_steps=None if terminates else LENGTH,
    )
    return auto_reset(spec, start, partial(dynamics, terminates=terminates), observe, render)


def start(key: random.Key, batch_size: int) -> tf.Tensor:
    """The time `int32[B]`, which is all the state there is."""
    del key  # always the same
    return tf.zeros([batch_size], tf.int32)


def dynamics(
    time: tf.Tensor, action: tf.Tensor, key: random.Key, *, terminates: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step under any actions."""
    del action, key
    return time + 1, tf.ones(time.shape), (time + 1 == LENGTH) & terminates


def observe(time: tf.Tensor) -> tf.Tensor:
    """The constant observation `[B, 1]`."""
    return tf.ones([*time.shape, 1])


def render(time: np.ndarray) -> np.ndarray:
    """The time, and what has been paid."""
    paid = grids.Strip("PAID", [grids.YELLOW] * int(time) or [grids.EMPTY])
    return grids.draw_strips([grids.progress(int(time), LENGTH), paid])
