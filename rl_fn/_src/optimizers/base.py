"""What an optimiser is, and what all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from rl_fn import struct
from rl_fn._src import scalars
from rl_fn._src.xla.sums import sum_of_squares
from rl_fn.struct import Nest, Scalar

Schedule: TypeAlias = Callable[[tf.Tensor], tf.Tensor]  # from the number of steps taken, int32[], to float32[]
ScalarOrSchedule: TypeAlias = Scalar | Schedule

LARGE = 1 << 14  # elements: copying as many takes longer than a few operations more
_LAST = 2**31 - 1


class Optimizer(NamedTuple):
    """A pair of pure functions that turns gradients into updates, whole or a part of the way."""

    init: Callable[[Nest], Nest]  # params -> opt_state
    update: Callable[..., tuple[Nest, Nest]]  # (grads, opt_state, params) -> (updates, opt_state)
    by_leaf: bool = False  # whether it tells leaves apart, by name or shape; then `flatten` cannot join them
    # opt_state -> the learning rate of the next step, where there is one for all parameters
    learning_rate: Callable[[Nest], tf.Tensor] | None = None


def apply_updates(params: Nest, updates: Nest) -> Nest:
    """Adds updates to parameters, keeping the parameters' dtypes.

    Raises:
      ValueError: if the structures differ, or a leaf is None or has another shape.
    """
    check_alike("apply_updates: updates", updates, params)
    return tf.nest.map_structure(lambda p, u: p + tf.cast(u, p.dtype), params, updates)


def global_norm(nest: Nest) -> tf.Tensor:
    """The Euclidean norm of all leaves together, a scalar of the widest of their dtypes, at least float32."""
    small, large = small_and_large(nest)
    leaves = [*small.values(), *large.values()]
    if not leaves:
        return tf.zeros([])
    widest = max((tf.float32, *(leaf.dtype for leaf in leaves)), key=lambda dtype: dtype.size)
    parts = [tf.cast(leaf, widest) for leaf in large.values()]
    if small:  # as one vector, as `flatten` has them: where both are asked for, XLA makes them one
        parts.append(tf.concat([tf.reshape(tf.cast(leaf, widest), [-1]) for leaf in small.values()], axis=0))
    return tf.sqrt(tf.add_n([sum_of_squares(part) for part in parts]))


def small_and_large(nest: Nest) -> tuple[dict[int, tf.Tensor], dict[int, tf.Tensor]]:
    """The leaves of up to LARGE elements, and the others, by their places among all."""
    leaves = dict(enumerate(map(tf.convert_to_tensor, tf.nest.flatten(nest))))
    large = {index: leaf for index, leaf in leaves.items() if (leaf.shape.num_elements() or 0) > LARGE}
    return {index: leaf for index, leaf in leaves.items() if index not in large}, large


def chain(*optimizers: Optimizer) -> Optimizer:
    """Applies transformations in order, each to what the one before returns.

    Its state is the tuple of theirs.
    """

    def init(params: Nest) -> tuple:
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(grads: Nest, states: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        next_states = []
        for optimizer, state in zip(optimizers, states, strict=True):
            grads, state = optimizer.update(grads, state, params)
            next_states.append(state)
        return grads, tuple(next_states)

    rates = [(index, optimizer.learning_rate) for index, optimizer in enumerate(optimizers) if optimizer.learning_rate]
    by_leaf = any(optimizer.by_leaf for optimizer in optimizers)
    if len(rates) != 1:
        return Optimizer(init, update, by_leaf)
    ((index, rate),) = rates
    return Optimizer(init, update, by_leaf, lambda states: rate(states[index]))


def counted_rate(rate: ScalarOrSchedule) -> Callable[[Nest], tf.Tensor]:
    """The `Optimizer.learning_rate` of one whose state has a `count` of steps."""
    return lambda state: rate_at(rate, state.count)


def check_rate(label: str, rate: ScalarOrSchedule) -> None:
    """Raises unless it is a function or a number from 0."""
    if not callable(rate):
        scalars.check(label, rate, "[0, inf)")


def rate_at(rate: ScalarOrSchedule, count: tf.Tensor) -> tf.Tensor:
    """A learning rate after `count` steps, float32[]."""
    return tf.cast(rate(count) if callable(rate) else rate, tf.float32)


def after(count: tf.Tensor) -> tf.Tensor:
    """The next count of steps; the last there is stays."""
    return tf.minimum(count, _LAST - 1) + 1


def zeros_like(params: Nest) -> Nest:
    """As the parameters, all zero, and of at least float32: squares of gradients are no numbers of float16."""
    wide = lambda dtype: tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype
    return tf.nest.map_structure(lambda p: tf.zeros_like(p, wide(tf.convert_to_tensor(p).dtype)), params)


def as_moments(label: str, grads: Nest, moments: Nest) -> Nest:
    """Gradients in the dtypes of what `zeros_like` has begun.

    Raises:
      ValueError: as from `check_alike`.
    """
    check_alike(label, grads, moments)
    return tf.nest.map_structure(lambda g, m: tf.cast(g, m.dtype), grads, moments)


def check_alike(label: str, nest: Nest, expected: Nest) -> None:
    """Raises ValueError where structures differ, or a leaf is None or would broadcast."""
    tf.nest.assert_same_structure(nest, expected)
    for (path, leaf), other in zip(struct.named_leaves(nest), tf.nest.flatten(expected), strict=True):
        shape = tf.convert_to_tensor(other).shape
        if leaf is None:
            raise ValueError(f"{label}: {path or 'the tensor'} is None, expected shape {tuple(shape)}")
        if not tf.convert_to_tensor(leaf).shape.is_compatible_with(shape):
            given = tuple(tf.convert_to_tensor(leaf).shape)
            raise ValueError(f"{label}: {path or 'the tensor'} has shape {given}, expected {tuple(shape)}")


def times(factor: Scalar, leaf: tf.Tensor) -> tf.Tensor:
    """The product, in the leaf's dtype."""
    return scalars.cast(factor, leaf.dtype) * leaf


def mix(decay: Scalar, old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """A running mean: `decay` of the old and the rest of the new."""
    return times(decay, old) + times(1 - decay, new)


def one_minus_power(power_of: Scalar, count: tf.Tensor) -> tf.Tensor:
    """1 - power_of**count without the cancellation that costs three digits at the first steps."""
    if tf.is_tensor(power_of):
        log = tf.math.log(tf.cast(power_of, tf.float32))
    else:
        log = math.log(power_of) if power_of > 0 else -math.inf
    return -tf.math.expm1(tf.cast(count, tf.float32) * log)
