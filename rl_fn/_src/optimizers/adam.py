"""Adam, as a transformation and as whole optimisers.

One implementation takes a factor and folds it into Adam's own scalars: the whole optimisers put the learning rate
there and save a multiplication per parameter, `scale_by_adam` puts 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers import base, groups
from rl_fn._src.optimizers.base import Optimizer, ScalarOrSchedule
from rl_fn.struct import Nest, Scalar


class AdamState(NamedTuple):
    """The state of `scale_by_adam`."""

    count: tf.Tensor  # int32[]: steps taken
    mean: Nest  # as the parameters, at least float32: running mean of gradients
    square: Nest  # as the parameters: running mean of squared gradients


def scale_by_adam(
    beta_1: Scalar = 0.9, beta_2: Scalar = 0.999, epsilon: Scalar = 1e-8, corrected_epsilon: bool = True
) -> Optimizer:
    """Divides the running mean of gradients by the root of that of their squares, both corrected for their start.

    With `scale_by_learning_rate` behind it this is `adam`, but for rounding. Arguments and errors as there.
    """
    return _adam("scale_by_adam", lambda count: tf.ones([]), beta_1, beta_2, epsilon, corrected_epsilon)


def adam(
    learning_rate: ScalarOrSchedule,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    corrected_epsilon: bool = True,
) -> Optimizer:
    """Adam (Kingma and Ba, 2015, algorithm 1).

    Args:
      learning_rate: a number, a scalar tensor or a schedule.
      beta_1: the decay of the running mean of gradients, in [0, 1).
      beta_2: the decay of the running mean of squared gradients, in [0, 1).
      epsilon: keeps the divisor away from zero.
      corrected_epsilon: add epsilon to the bias-corrected root, as the paper's algorithm 1, or to
        the uncorrected one ("epsilon hat", section 2), as Keras does.

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if a number is out of range.
    """
    base.check_rate("adam: learning_rate", learning_rate)
    factor = lambda count: -base.rate_at(learning_rate, count)
    plain = _adam("adam", factor, beta_1, beta_2, epsilon, corrected_epsilon)
    return plain._replace(learning_rate=base.counted_rate(learning_rate))


def adamw(
    learning_rate: ScalarOrSchedule,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    weight_decay: Scalar = 0.01,
    corrected_epsilon: bool = True,
    mask: groups.Labels | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): each step also subtracts lr * decay * x.

    Args:
      learning_rate: as for `adam`, and so are the other arguments.
      beta_1: see `adam`.
      beta_2: see `adam`.
      epsilon: see `adam`.
      weight_decay: at least 0.
      corrected_epsilon: see `adam`.
      mask: which parameters decay; by default all. See `masked`.

    Raises:
      TypeError: as from `adam`.
      ValueError: as from `adam`; by `update`, if it is given no parameters.
    """
    base.check_rate("adamw: learning_rate", learning_rate)
    scalars.check("adamw: weight_decay", weight_decay, "[0, inf)")
    factor = lambda count: -base.rate_at(learning_rate, count)
    plain = _adam("adamw", factor, beta_1, beta_2, epsilon, corrected_epsilon)
    plain = plain._replace(learning_rate=base.counted_rate(learning_rate))
    if scalars.is_zero(weight_decay):
        return plain

    def update(grads: Nest, state: AdamState, params: Nest = None) -> tuple[Nest, AdamState]:
        if params is None:
            raise ValueError("adamw: update needs params, because weight decay depends on them")
        decay = factor(state.count) * scalars.cast(weight_decay, tf.float32)
        updates, state = plain.update(grads, state)
        chosen = groups.chosen("adamw", True if mask is None else mask, params)
        decayed = lambda yes, u, p: u + base.times(decay, p) if yes else u
        return tf.nest.map_structure(decayed, chosen, updates, params), state

    return plain._replace(update=update, by_leaf=mask is not None)


def _adam(
    name: str,
    factor: Callable[[tf.Tensor], tf.Tensor],
    beta_1: Scalar,
    beta_2: Scalar,
    epsilon: Scalar,
    corrected_epsilon: bool,
) -> Optimizer:
    scalars.check(f"{name}: beta_1", beta_1, "[0, 1)")
    scalars.check(f"{name}: beta_2", beta_2, "[0, 1)")
    scalars.check(f"{name}: epsilon", epsilon, "[0, inf)")

    def update(grads: Nest, state: AdamState, params: Nest = None) -> tuple[Nest, AdamState]:
        del params
        grads = base.as_moments(f"{name}: grads", grads, state.mean)
        count = base.after(state.count)
        correction_1, correction_2 = (base.one_minus_power(beta, count) for beta in (beta_1, beta_2))
        mean = tf.nest.map_structure(lambda m, g: base.mix(beta_1, m, g), state.mean, grads)
        square = tf.nest.map_structure(
            lambda v, g: base.times(beta_2, v) + base.times(1 - beta_2, g) * g, state.square, grads
        )
        # Both corrections are folded into two scalars, so that each parameter costs one division.
        root = tf.sqrt(correction_2)
        step_size = factor(state.count) * root / correction_1
        shift = scalars.cast(epsilon, tf.float32) * root if corrected_epsilon else epsilon
        updates = tf.nest.map_structure(
            lambda m, v: base.times(step_size, m) / (tf.sqrt(v) + scalars.cast(shift, m.dtype)), mean, square
        )
        return updates, AdamState(count, mean, square)

    return Optimizer(lambda params: AdamState(tf.constant(0), base.zeros_like(params), base.zeros_like(params)), update)
