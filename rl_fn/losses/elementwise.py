"""Elementwise losses and the small parts that the others are made of."""

from __future__ import annotations

import tensorflow as tf

from rl_fn.signature import signature


@signature(error="float ...")
def l2_loss(error: tf.Tensor) -> tf.Tensor:
    """Half the squared error, 0.5 error**2, elementwise."""
    return 0.5 * tf.square(error)


@signature(error="float ...", delta="float in (0, inf]")
def huber_loss(error: tf.Tensor, delta: float | tf.Tensor = 1.0) -> tf.Tensor:
    """0.5 error**2 where |error| <= delta, else delta (|error| - 0.5 delta), elementwise.

    Huber (1964), "Robust estimation of a location parameter". The gradient is the error clipped to
    [-delta, delta].

    Args:
      error: `[...]`.
      delta: a positive scalar.
    """
    size = tf.abs(error)
    quadratic = tf.minimum(size, delta)
    return 0.5 * tf.square(quadratic) + delta * (size - quadratic)


@signature(values="float ... A", indices="int ... in [0, A)")
def batched_index(values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Picks one entry of the last axis for each example: `values[..., indices]`.

    Args:
      values: `[..., A]`.
      indices: `int[...]` in [0, A).

    Returns:
      `[...]`.
    """
    chosen = tf.one_hot(indices, values.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    return tf.reduce_sum(tf.where(chosen, values, tf.zeros_like(values)), axis=-1)
