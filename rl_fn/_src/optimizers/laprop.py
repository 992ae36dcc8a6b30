"""LaProp: momentum of gradients that are already normalised."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers import base
from rl_fn._src.optimizers.base import Optimizer, ScalarOrSchedule
from rl_fn.struct import Nest, Scalar


class LaPropState(NamedTuple):
    """The state of `laprop`."""

    count: tf.Tensor  # int32[]: steps taken
    mean: Nest  # as the parameters, at least float32: running mean of normalised gradients
    square: Nest  # as the parameters: running mean of squared gradients


def laprop(
    learning_rate: ScalarOrSchedule, beta_1: Scalar = 0.9, beta_2: Scalar = 0.99, epsilon: Scalar = 1e-20
) -> Optimizer:
    """LaProp (Ziyin, Wang and Ueda, 2020, "LaProp: separating momentum and adaptivity in Adam", algorithm 1).

    Adam divides a mean of gradients, LaProp takes the mean of divided gradients; no step is then larger than a few
    learning rates, whatever the two decays are.

    Args:
      learning_rate: a number, a scalar tensor or a schedule.
      beta_1: the decay of the running mean of normalised gradients, in [0, 1).
      beta_2: the decay of the running mean of squared gradients, in [0, 1).
      epsilon: keeps the divisor away from zero.

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if a number is out of range.
    """
    base.check_rate("laprop: learning_rate", learning_rate)
    scalars.check("laprop: beta_1", beta_1, "[0, 1)")
    scalars.check("laprop: beta_2", beta_2, "[0, 1)")
    scalars.check("laprop: epsilon", epsilon, "(0, inf)")

    def init(params: Nest) -> LaPropState:
        return LaPropState(tf.constant(0), base.zeros_like(params), base.zeros_like(params))

    def update(grads: Nest, state: LaPropState, params: Nest = None) -> tuple[Nest, LaPropState]:
        del params
        grads = base.as_moments("laprop: grads", grads, state.mean)
        count = base.after(state.count)
        rate = -base.rate_at(learning_rate, state.count)
        # Both running means begin at zero, and are corrected for that.
        first, second = (base.one_minus_power(beta, count) for beta in (beta_1, beta_2))
        square = tf.nest.map_structure(lambda v, g: base.mix(beta_2, v, g * g), state.square, grads)

        def normalised(g: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
            return g / (tf.sqrt(base.times(1 / second, v)) + scalars.cast(epsilon, v.dtype))

        mean = tf.nest.map_structure(lambda m, g, v: base.mix(beta_1, m, normalised(g, v)), state.mean, grads, square)
        updates = tf.nest.map_structure(lambda m: base.times(rate / first, m), mean)
        return updates, LaPropState(count, mean, square)

    return Optimizer(init, update, learning_rate=base.counted_rate(learning_rate))
