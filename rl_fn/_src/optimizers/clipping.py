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


def adaptive_grad_clip(limit: Scalar, min_norm: Scalar = 1e-3) -> Optimizer:
    """Scales each gradient down so that its norm is at most `limit` times that of its parameter.

    Brock et al. (2021), "High-performance large-scale image recognition without normalization", section 4, with one
    norm per tensor, as Hafner et al. (2023) use it.

    Args:
      limit: the largest ratio of the two norms.
      min_norm: parameters of a smaller norm, such as those that begin at zero, count as if they had this one.

    Raises:
      ValueError: if a number is not positive; by `update`, if it is given no parameters.
    """
    scalars.check("adaptive_grad_clip: limit", limit, "(0, inf)")
    scalars.check("adaptive_grad_clip: min_norm", min_norm, "(0, inf)")

    def clipped(g: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
        norm = global_norm(g)
        of_param = tf.maximum(tf.cast(global_norm(p), norm.dtype), tf.cast(min_norm, norm.dtype))
        most = tf.cast(limit, norm.dtype) * of_param
        return g * tf.cast(most / tf.maximum(norm, most), g.dtype)

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        if params is None:
            raise ValueError("adaptive_grad_clip: update needs params, because the limit depends on them")
        return tf.nest.map_structure(clipped, grads, params), state

    return Optimizer(lambda params: (), update, by_leaf=True)
