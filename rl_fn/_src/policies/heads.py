"""Between action spaces and what policies work with: outputs of a network, draws, actions in [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src.policies.distributions import Distribution, categorical, gaussian, multi_discrete
from rl_fn._src.shapes import sizes_of

# Up to here float64 knows every integer, and float32 can square the widths of the axes. Far larger bounds, such as the
# largest number of a dtype, mean that there are none.
_LARGEST_BOUND = 1e15


class PolicyHead(NamedTuple):
    """From the outputs of a network to a policy over an action space."""

    num_outputs: int  # P, of the network
    distribution: Callable[[tf.Tensor], Distribution]  # outputs [..., P] to a distribution over draws
    to_action: Callable[[tf.Tensor], tf.Tensor]  # draws to actions as the environment takes them
    to_draw: Callable[[tf.Tensor], tf.Tensor] = lambda action: action  # the way back, for the actions of a data set


def policy_head(space: gymnasium.Space) -> PolicyHead:
    """The usual policy over an action space.

    - Discrete: a categorical distribution; a draw is the action.
    - MultiDiscrete: independent ones.
    - Box: a Gaussian of diagonal covariance, whose outputs are A means and A logarithms of deviations. Draws count in
      half-widths of the Box from its middle, so that a narrow one is learned like a wide one; on an axis without two
      finite bounds they are the action itself. Actions are rounded where the Box holds integers, and clipped to the
      bounds; log-probabilities are those of the draws, without either.

    Raises:
      ValueError: for any other space, one that does not count from 0, or a Box of integers with a bound beyond 1e15.
    """
    match space:
        case spaces.Discrete():
            struct.space_spec(space)
            return PolicyHead(int(space.n), categorical, lambda draw: draw, lambda action: action)
        case spaces.MultiDiscrete():
            struct.space_spec(space)
            sizes = [int(size) for size in space.nvec.ravel()]
            return PolicyHead(
                sum(sizes),
                lambda logits: multi_discrete(logits, sizes),
                lambda draw: _shaped(space, draw),
                lambda action: _flat(space, action),
            )
        case spaces.Box():
            return _box_head(space)
    raise ValueError(f"there is no policy for action space {space}: expected Discrete, MultiDiscrete or Box")


def _box_head(space: spaces.Box) -> PolicyHead:
    size = math.prod(space.shape)
    if not _is_real(space):
        _check_bounds("policy_head", space)

    def distribution(outputs: tf.Tensor) -> Distribution:
        return gaussian(outputs[..., :size], tf.exp(outputs[..., size : 2 * size]))

    bounds = np.array([space.low, space.high], np.float64).reshape([2, size])
    is_bounded = np.all(np.abs(bounds) <= _LARGEST_BOUND, axis=0)
    low, high = np.where(is_bounded, bounds, [[-1.0], [1.0]])
    dtype = _compute_dtype(space)
    middle, half_width = ((high + low) / 2).astype(dtype), ((high - low) / 2).astype(dtype)

    def to_action(draw: tf.Tensor) -> tf.Tensor:
        return _inside(space, _shaped(space, middle + half_width * tf.cast(draw, dtype)))

    def to_draw(action: tf.Tensor) -> tf.Tensor:
        return tf.cast((tf.cast(_flat(space, action), dtype) - middle) / np.maximum(half_width, 1e-30), tf.float32)

    return PolicyHead(2 * size, distribution, to_action, to_draw)


class UnitBox(NamedTuple):
    """A bounded Box as the cube [-1, 1]^A that agents for continuous actions work in."""

    size: int  # A: the axes that have more than one value
    to_action: Callable[[tf.Tensor], tf.Tensor]  # [B, A] in [-1, 1] to actions [B, ...] as the environment takes them
    to_unit: Callable[[tf.Tensor], tf.Tensor]  # the way back


def unit_box(space: spaces.Box) -> UnitBox:
    """Maps a Box, each axis with bounds of its own, to [-1, 1]^A and back.

    Axes whose bounds are equal are constant, and no part of the cube. In a Box of integers, actions are the nearest
    ones.

    Raises:
      ValueError: if a bound is not finite or beyond 1e15, or all axes are constant.
    """
    _check_bounds("unit_box", space)
    # The bounds in float64, where neither the sum of two nor their difference overflows.
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    dtype = _compute_dtype(space)
    middle, half_width = ((high + low) / 2).astype(dtype), ((high - low) / 2).astype(dtype)
    moving = np.flatnonzero(half_width)
    if not moving.size:
        raise ValueError(f"unit_box: {space} has one value only, expected an axis with low < high")
    all_move = moving.size == middle.size
    column = np.full(middle.size, moving.size)  # of the cube, of each axis; the one behind the last is zero
    column[moving] = np.arange(moving.size)

    def to_action(unit: tf.Tensor) -> tf.Tensor:
        if not all_move:
            unit = tf.gather(tf.pad(unit, [[0, 0], [0, 1]]), column, axis=-1)
        return _inside(space, _shaped(space, middle + half_width * tf.cast(unit, dtype)))

    def to_unit(action: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(tf.cast(action, dtype), [-1, middle.size])
        if not all_move:
            flat = tf.gather(flat, moving, axis=-1)
        return tf.cast((flat - middle[moving]) / half_width[moving], tf.float32)

    return UnitBox(moving.size, to_action, to_unit)


def uniform_action(key: random.Key, space: gymnasium.Space, num: int) -> tf.Tensor:
    """Actions `[num, ...]`, each as likely as any other; discrete ones count from 0, as agents see them.

    Raises:
      ValueError: if the space is neither Discrete nor a Box with finite bounds, or a bound is beyond 1e15.
    """
    if isinstance(space, spaces.Discrete):
        struct.space_spec(space)
        return random.randint(key, [num], 0, int(space.n))
    if not isinstance(space, spaces.Box):
        raise ValueError(f"uniform_action: {space} is neither Discrete nor a Box with finite bounds")
    _check_bounds("uniform_action", space)
    dtype = _compute_dtype(space)
    draws = tf.cast(random.uniform(key, [num, *space.shape]), dtype)
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    if _is_real(space):
        return _inside(space, low.astype(dtype) + draws * (high - low).astype(dtype))
    return _inside(space, tf.floor(low + draws * (high - low + 1)))  # each integer has an interval of the same width


def _shaped(space: spaces.Box | spaces.MultiDiscrete, flat: tf.Tensor) -> tf.Tensor:
    """Turns `[..., A]` into `[..., *space.shape]`."""
    if len(space.shape) == 1:
        return flat
    return tf.reshape(flat, [*sizes_of(flat)[:-1], *space.shape])


def _flat(space: spaces.Box | spaces.MultiDiscrete, action: tf.Tensor) -> tf.Tensor:
    """Turns `[..., *space.shape]` into `[..., A]`."""
    return tf.reshape(action, [*sizes_of(action)[: -len(space.shape) or None], math.prod(space.shape)])


def _inside(space: spaces.Box, action: tf.Tensor) -> tf.Tensor:
    """Actions `[..., *space.shape]` in the dtype of the space: rounded where that holds integers, and clipped."""
    dtype = tf.as_dtype(np.dtype(space.dtype))
    if _is_real(space):
        return tf.clip_by_value(tf.cast(action, dtype), space.low, space.high)
    # Clipped before the cast, in which -1 would become a large unsigned number, and where float32 would not be exact.
    whole = tf.round(tf.cast(action, tf.float64))
    return tf.cast(tf.clip_by_value(whole, space.low.astype(np.float64), space.high.astype(np.float64)), dtype)


def _is_real(space: spaces.Box) -> bool:
    return bool(np.issubdtype(space.dtype, np.floating))


def _compute_dtype(space: spaces.Box) -> type[np.float32 | np.float64]:
    """What actions are computed in: float64 where float32 does not know all of them."""
    return np.float32 if space.dtype in (np.float32, np.float16) else np.float64


def _check_bounds(function: str, space: spaces.Box) -> None:
    bounds = np.abs(np.array([space.low, space.high], np.float64))
    if not np.all(bounds <= _LARGEST_BOUND):  # which NaN is not either
        raise ValueError(
            f"{function}: {space} has a bound that is not finite or beyond {_LARGEST_BOUND:g}, expected all within "
            f"-{_LARGEST_BOUND:g} and {_LARGEST_BOUND:g}"
        )
