"""Between action spaces and what policies work with: outputs of a network, draws, actions in [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src.policies.distributions import Distribution, categorical, gaussian, multi_discrete
from rl_fn._src.shapes import sizes_of


class PolicyHead(NamedTuple):
    num_outputs: int  # P, of the network
    distribution: Callable[[tf.Tensor], Distribution]  # outputs [..., P] to a distribution over draws
    to_action: Callable[[tf.Tensor], tf.Tensor]  # draws to actions as the environment takes them


def policy_head(space: gymnasium.Space) -> PolicyHead:
    """The usual policy over an action space.

    - Discrete: a categorical distribution; a draw is the action.
    - MultiDiscrete: independent ones.
    - Box: a Gaussian of diagonal covariance, whose outputs are A means and A logarithms of deviations. Actions
      are draws clipped to the bounds; log-probabilities are those of the draws, without the clipping.

    Raises:
      ValueError: for any other space.
    """
    match space:
        case spaces.Discrete():
            start = int(space.start)
            return PolicyHead(int(space.n), categorical, lambda draw: draw + start if start else draw)
        case spaces.MultiDiscrete() if len(space.shape) == 1:
            sizes = [int(size) for size in space.nvec]
            return PolicyHead(sum(sizes), lambda logits: multi_discrete(logits, sizes), lambda draw: draw)
        case spaces.Box():
            return _box_head(space)
    raise ValueError(f"there is no policy for action space {space}: expected Discrete, MultiDiscrete or Box")


def _box_head(space: spaces.Box) -> PolicyHead:
    size = math.prod(space.shape)

    def distribution(outputs: tf.Tensor) -> Distribution:
        mean, log_stddev = tf.split(outputs, 2, axis=-1)
        return gaussian(mean, tf.exp(log_stddev))

    def to_action(draw: tf.Tensor) -> tf.Tensor:
        action = tf.reshape(draw, [*sizes_of(draw)[:-1], *space.shape])
        bounded = tf.clip_by_value(action, space.low.astype(np.float32), space.high.astype(np.float32))
        return tf.cast(bounded, tf.as_dtype(np.dtype(space.dtype)))

    return PolicyHead(2 * size, distribution, to_action)


class UnitBox(NamedTuple):
    """A bounded Box as the cube [-1, 1]^A that agents for continuous actions work in."""

    size: int  # A
    to_action: Callable[[tf.Tensor], tf.Tensor]  # [B, A] in [-1, 1] to actions [B, ...] as the environment takes them
    to_unit: Callable[[tf.Tensor], tf.Tensor]  # the way back


def unit_box(space: spaces.Box) -> UnitBox:
    """Maps a Box, each dimension with bounds of its own, to [-1, 1]^A and back.

    Raises:
      ValueError: if a bound is not finite.
    """
    if not space.is_bounded():
        raise ValueError(f"unit_box: {space} has no finite bounds")
    size = math.prod(space.shape)
    middle, half_width = ((space.high + sign * space.low).astype(np.float32) / 2 for sign in (1, -1))

    def to_action(unit: tf.Tensor) -> tf.Tensor:
        action = middle + half_width * tf.reshape(unit, [*sizes_of(unit)[:-1], *space.shape])
        return tf.cast(action, tf.as_dtype(np.dtype(space.dtype)))

    def to_unit(action: tf.Tensor) -> tf.Tensor:
        return tf.reshape((tf.cast(action, tf.float32) - middle) / half_width, [-1, size])

    return UnitBox(size, to_action, to_unit)


def uniform_action(key: random.Key, space: gymnasium.Space, num: int) -> tf.Tensor:
    """Actions `[num, ...]`, each as likely as any other; discrete ones count from 0, as agents see them.

    Raises:
      ValueError: if the space is neither Discrete nor a Box with finite bounds.
    """
    if isinstance(space, spaces.Discrete):
        return random.randint(key, [num], 0, int(space.n))
    if isinstance(space, spaces.Box) and space.is_bounded():
        draws = random.uniform(key, [num, *space.shape])
        return tf.cast(space.low + draws * (space.high - space.low), tf.as_dtype(np.dtype(space.dtype)))
    raise ValueError(f"uniform_action: {space} is neither Discrete nor a Box with finite bounds")
