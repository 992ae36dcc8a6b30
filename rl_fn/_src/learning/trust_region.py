"""A step along the natural gradient that keeps a bound on the divergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import struct
from rl_fn._src.scan import scan
from rl_fn.struct import Nest, Scalar


class TrustRegionStep(NamedTuple):
    """What a step within a trust region has come to."""

    params: Nest  # those of before, where no step kept the bound and improved
    kl: tf.Tensor  # float32[]: of the step taken
    improvement: tf.Tensor  # float32[]: by how much the loss fell
    fraction: tf.Tensor  # float32[]: of the longest step; 0 where none was taken


def trust_region_step(
    loss: Callable[[Nest], tf.Tensor],
    kl: Callable[[Nest], tf.Tensor],
    params: Nest,
    *,
    max_kl: Scalar,
    damping: Scalar = 0.1,
    conjugate_gradient_steps: int = 10,
    line_search_steps: int = 10,
    line_search_factor: float = 0.8,
) -> TrustRegionStep:
    """The natural gradient by conjugate gradients, scaled to the bound, and a line search back from there.

    Schulman et al. (2015), "Trust region policy optimization", appendix C. The curvature of the divergence at `params`
    is Fisher's information; only its products with vectors are computed.

    Args:
      loss: of parameters, a scalar, to be lowered.
      kl: the mean divergence from the policy at `params` to that of other parameters; 0 there, and its gradient too.
      params: a nest of float32.
      max_kl: the bound.
      damping: added to the diagonal of the curvature.
      conjugate_gradient_steps: at most; parameters that the divergence does not depend on stay as they are.
      line_search_steps: the steps tried, each shorter than the last.
      line_search_factor: by how much.
    """
    before, gradient = _flat_gradient(loss, params)

    def curvature(vector: tf.Tensor) -> tf.Tensor:
        slope = lambda at: tf.reduce_sum(_flat_gradient(kl, at)[1] * vector)
        return _flat_gradient(slope, params)[1] + damping * vector

    direction = conjugate_gradient(curvature, -gradient, conjugate_gradient_steps)
    length = tf.reduce_sum(direction * curvature(direction))
    longest = direction * tf.sqrt(tf.math.divide_no_nan(2 * max_kl, tf.maximum(length, 0.0)))

    def moved(fraction: tf.Tensor) -> Nest:
        return tf.nest.map_structure(tf.add, params, _like(params, fraction * longest))

    def attempt(best: tuple, fraction: tf.Tensor) -> tuple[tuple, None]:
        candidate = moved(fraction)
        divergence, improvement = kl(candidate), before - loss(candidate)
        is_better = (improvement > 0) & (divergence <= max_kl) & (best[0] == 0)
        return struct.where(is_better, (fraction, divergence, improvement), best), None

    fractions = line_search_factor ** tf.range(line_search_steps, dtype=tf.float32)
    none = tf.constant(0.0), tf.constant(0.0), tf.constant(0.0)
    (fraction, divergence, improvement), _ = scan(attempt, none, fractions)
    return TrustRegionStep(moved(fraction), divergence, improvement, fraction)


def conjugate_gradient(product: Callable[[tf.Tensor], tf.Tensor], b: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Solves A x = b for a symmetric positive definite A of which only `product(x)` = A x is known.

    Hestenes and Stiefel (1952); exact after as many steps as b has elements, but for rounding.

    Args:
      product: `[N] -> [N]`.
      b: `[N]`.
      num_steps: of the method; where the residual is zero, they change nothing.

    Returns:
      `[N]`.
    """

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        x, residual, direction, square = carry
        image = product(direction)
        size = tf.math.divide_no_nan(square, tf.reduce_sum(direction * image))
        x, residual = x + size * direction, residual - size * image
        following = tf.reduce_sum(tf.square(residual))
        direction = residual + tf.math.divide_no_nan(following, square) * direction
        return (x, residual, direction, following), None

    (x, *_), _ = scan(step, (tf.zeros_like(b), b, b, tf.reduce_sum(tf.square(b))), length=num_steps)
    return x


def _flat_gradient(function: Callable[[Nest], tf.Tensor], params: Nest) -> tuple[tf.Tensor, tf.Tensor]:
    (value, _), gradient = struct.value_and_gradient(lambda at: (function(at), ()), params)
    return value, tf.concat([tf.reshape(leaf, [-1]) for leaf in tf.nest.flatten(gradient)], axis=0)


def _like(params: Nest, vector: tf.Tensor) -> Nest:
    leaves = tf.nest.flatten(params)
    parts = tf.split(vector, [leaf.shape.num_elements() for leaf in leaves])
    return tf.nest.pack_sequence_as(params, [tf.reshape(p, leaf.shape) for p, leaf in zip(parts, leaves, strict=True)])
