"""SimpleBandit-bsuite, compiled: arms with fixed rewards, one pull per episode.

From the Behaviour Suite of Osband et al. (2020), "Behaviour Suite for reinforcement learning": its basic bandit.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec


def make(mapping_seed: int = 0, num_arms: int = 11) -> Env:
    """Makes SimpleBandit; an episode terminates after one step.

    Observations are `float32[1, 1]`, always 1. The arms pay 0 to 1 in equal steps, in random order.

    Args:
      mapping_seed: of the order, which is that of the package bsuite for the same seed.
      num_arms: at least 2.

    Raises:
      ValueError: if one is not an integer, or out of range.
    """
    num_arms = arguments.integer("num_arms", num_arms, 2)
    generator = np.random.RandomState(arguments.seed("mapping_seed", mapping_seed))
    rewards = np.linspace(0, 1, num_arms)[generator.permutation(num_arms)].astype(np.float32)
    spec = EnvSpec("SimpleBandit-bsuite", spaces.Box(1, 1, (1, 1), np.float32), spaces.Discrete(num_arms))
    return auto_reset(spec, start, partial(dynamics, rewards=rewards), tf.identity, partial(render, rewards=rewards))


def start(key: random.Key, batch_size: int) -> tf.Tensor:
    """The constant observation `[B, 1, 1]`, which is all the state there is: nothing is left of a pull."""
    del key  # always the same
    return tf.ones([batch_size, 1, 1])


def dynamics(
    state: tf.Tensor, action: tf.Tensor, key: random.Key, *, rewards: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One pull of `int[B]` arms, which pay `rewards` `float32[num_arms]`."""
    del key  # deterministic
    return state, tf.gather(rewards, action), tf.ones(state.shape[:1], tf.bool)


def render(state: tf.Tensor, *, rewards: np.ndarray) -> np.ndarray:
    """A column of cells for each arm, filled as high as its reward."""
    del state  # always the same
    steps = 10
    filled = np.arange(steps, 0, -1)[:, np.newaxis, np.newaxis] <= steps * rewards[:, np.newaxis] + 1e-4
    colors = np.where(filled, grids.SKY_BLUE, grids.EMPTY)
    colors[:, np.argmax(rewards)] = np.array(grids.ORANGE)
    bars = grids.draw_cells(colors.astype(np.uint8), pixels=grids.PIXELS - 2 * grids.MARGIN)
    return grids.label_above(f"WHAT EACH OF {len(rewards)} ARMS PAYS, 0 TO 1", bars)
