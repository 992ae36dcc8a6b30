"""RMSProp, as a transformation and as a whole optimiser, which folds the learning rate into the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers import base
from rl_fn._src.optimizers.base import Optimizer, ScalarOrSchedule
from rl_fn._src.optimizers.scaling import trace
from rl_fn.struct import Nest, Scalar


class RmsState(NamedTuple):
    """The state of `scale_by_rms`."""

    count: tf.Tensor  # int32[]: steps taken
    square: Nest  # as the parameters, at least float32: running mean of squared gradients
    mean: Nest  # as the parameters: running mean of gradients; the empty tuple unless centred


def scale_by_rms(
    decay: Scalar = 0.9, epsilon: Scalar = 1e-7, centered: bool = False, epsilon_inside_sqrt: bool = True
) -> Optimizer:
    """Divides by the root of the running mean of squared gradients.

    With `scale_by_learning_rate` behind it this is `rmsprop`, but for rounding. Arguments and errors as there.
    """
    return _rms("scale_by_rms", lambda count: tf.ones([]), decay, epsilon, centered, epsilon_inside_sqrt)


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: Scalar = 0.9,
    epsilon: Scalar = 1e-7,
    momentum: Scalar = 0.0,
    centered: bool = False,
    epsilon_inside_sqrt: bool = True,
) -> Optimizer:
    """RMSProp (Tieleman and Hinton, 2012), in both conventions for epsilon.

    Args:
      learning_rate: a number, a scalar tensor or a schedule.
      decay: the decay of the running means, in [0, 1).
      epsilon: keeps the divisor away from zero.
      momentum: accumulates the scaled steps where it is not zero; see `trace`.
      centered: subtract the squared mean gradient, so that the divisor is a standard deviation.
      epsilon_inside_sqrt: g / sqrt(v + epsilon), as in Keras and in the DQN paper's code, or
        g / (sqrt(v) + epsilon), as in PyTorch.

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if a number is out of range.
    """
    base.check_rate("rmsprop: learning_rate", learning_rate)
    factor = lambda count: -base.rate_at(learning_rate, count)
    scaled = _rms("rmsprop", factor, decay, epsilon, centered, epsilon_inside_sqrt)
    scaled = scaled._replace(learning_rate=base.counted_rate(learning_rate))
    return scaled if scalars.is_zero(momentum) else base.chain(scaled, trace(momentum))


def _rms(
    name: str,
    factor: Callable[[tf.Tensor], tf.Tensor],
    decay: Scalar,
    epsilon: Scalar,
    centered: bool,
    epsilon_inside_sqrt: bool,
) -> Optimizer:
    scalars.check(f"{name}: decay", decay, "[0, 1)")
    scalars.check(f"{name}: epsilon", epsilon, "[0, inf)")

    def init(params: Nest) -> RmsState:
        return RmsState(tf.constant(0), base.zeros_like(params), base.zeros_like(params) if centered else ())

    def update(grads: Nest, state: RmsState, params: Nest = None) -> tuple[Nest, RmsState]:
        del params
        grads = base.as_moments(f"{name}: grads", grads, state.square)
        now = factor(state.count)
        square = tf.nest.map_structure(
            lambda v, g: base.times(decay, v) + base.times(1 - decay, g) * g, state.square, grads
        )
        mean: Nest = ()
        variance = square
        if centered:
            mean = tf.nest.map_structure(lambda m, g: base.mix(decay, m, g), state.mean, grads)
            # Where all gradients are alike, rounding could leave less than nothing.
            variance = tf.nest.map_structure(lambda v, m: tf.maximum(v - m * m, 0), square, mean)

        def scaled(g: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
            small = scalars.cast(epsilon, v.dtype)
            return base.times(now, g) / (tf.sqrt(v + small) if epsilon_inside_sqrt else tf.sqrt(v) + small)

        updates = tf.nest.map_structure(scaled, grads, variance)
        return updates, RmsState(base.after(state.count), square, mean)

    return Optimizer(init, update)
