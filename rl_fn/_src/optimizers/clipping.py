"""Limits to gradients."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers.base import Optimizer, global_norm
from rl_fn.struct import Nest, Scalar


def clip(limit: Scalar) -> Optimizer:
    """Clips every element to [-limit, limit].

    Raises:
      ValueError: if the limit is not positive.
    """
    scalars.check("clip: limit", limit, "(0, inf]")

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        del params
        most = lambda g: tf.cast(limit, g.dtype)
        return tf.nest.map_structure(lambda g: tf.clip_by_value(g, -most(g), most(g)), grads), state

    return Optimizer(lambda params: (), update)


def clip_by_global_norm(max_norm: Scalar) -> Optimizer:
    """Scales gradients down so that the norm of all of them together is at most `max_norm`.

    Raises:
      ValueError: if the norm is not positive.
    """
    scalars.check("clip_by_global_norm: max_norm", max_norm, "(0, inf)")

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        del params
        norm = global_norm(grads)
        most = tf.cast(max_norm, norm.dtype)
        factor = most / tf.maximum(norm, most)
        return tf.nest.map_structure(lambda g: g * tf.cast(factor, g.dtype), grads), state

    return Optimizer(lambda params: (), update)
