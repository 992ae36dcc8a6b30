"""Divergences between what a world model expected and what it then saw."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.signature import signature


class BalancedKL(NamedTuple):
    """Both hold the same divergence, not below the free nats; they differ in where the gradient goes."""

    dynamics: tf.Tensor  # [...], with a gradient to the prior only
    representation: tf.Tensor  # [...], with a gradient to the posterior only
    kl: tf.Tensor  # [...], without free nats and without a gradient


@signature(posterior_logits="float ... L K", prior_logits="float ... L K", free_nats="float in [0, inf)")
def balanced_kl(posterior_logits: tf.Tensor, prior_logits: tf.Tensor, free_nats: float | tf.Tensor = 1.0) -> BalancedKL:
    """KL(posterior || prior) of L independent categorical latents, divided into the two sides that may give way.

    Hafner et al. (2023), "Mastering diverse domains through world models", equation 5: weighted 1 and 0.1 there, so
    that the prior follows the posterior rather than the other way round. Below the free nats, of all latents together,
    there is no gradient.

    Args:
      posterior_logits: `[..., L, K]` of the latents once the observation is known.
      prior_logits: `[..., L, K]` before it.
      free_nats: a scalar.

    Returns:
      A `BalancedKL`, in nats.
    """

    def divergence(posterior: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
        log_posterior, log_prior = tf.nn.log_softmax(posterior), tf.nn.log_softmax(prior)
        return tf.reduce_sum(tf.exp(log_posterior) * (log_posterior - log_prior), axis=[-2, -1])

    dynamics = divergence(tf.stop_gradient(posterior_logits), prior_logits)
    representation = divergence(posterior_logits, tf.stop_gradient(prior_logits))
    return BalancedKL(
        tf.maximum(dynamics, free_nats), tf.maximum(representation, free_nats), tf.stop_gradient(dynamics)
    )
