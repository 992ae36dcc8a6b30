"""What a world model is learned by: the evidence lower bound, and the likelihood of mixtures of Gaussians."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.signature import signature

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class VariationalLoss(NamedTuple):
    """The negative evidence lower bound in its parts, in nats; `negative_likelihood` plus all of `kl`."""

    loss: tf.Tensor  # [...]: to be minimised
    negative_likelihood: tf.Tensor  # [...]: of the inputs given the latent
    kl: tf.Tensor  # [..., Z]: by dimension of the latent


@signature(mean="float ... Z", log_variance="float ... Z")
def standard_gaussian_kl(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """The divergence from a diagonal Gaussian to the standard one, by dimension.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", appendix B.

    Args:
      mean: `[..., Z]`.
      log_variance: `[..., Z]` logarithms of the variances.

    Returns:
      `[..., Z]` divergences in nats; their sum is that of the Gaussians.
    """
    return 0.5 * (tf.square(mean) + (tf.math.expm1(log_variance) - log_variance))


@signature(
    inputs="float ... D",
    reconstruction="float ... D",
    mean="float ... Z",
    log_variance="float ... Z",
    deviation="float in (0, inf)",
    free_nats="float in [0, inf)",
)
def variational_loss(
    inputs: tf.Tensor,
    reconstruction: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor,
    deviation: float | tf.Tensor = 1.0,
    free_nats: float | tf.Tensor = 0.0,
) -> VariationalLoss:
    """The negative evidence lower bound of a variational auto-encoder with Gaussian outputs.

    Kingma and Welling (2014), "Auto-encoding variational Bayes", equation 3. Below `free_nats` in all, the divergence
    is not minimised (Kingma et al., 2016, "Improved variational inference with inverse autoregressive flow", section
    4.3; Ha and Schmidhuber, 2018, "World models").

    Args:
      inputs: `[..., D]`, flattened.
      reconstruction: `[..., D]` means of the outputs, from a sample of the posterior.
      mean: `[..., Z]` of the posterior.
      log_variance: `[..., Z]` of the posterior.
      deviation: scalar standard deviation of the outputs, the same for all.
      free_nats: scalar divergence that costs nothing.

    Returns:
      A `VariationalLoss`.
    """
    error = (inputs - reconstruction) / deviation
    constant = _HALF_LOG_TWO_PI + tf.math.log(deviation)
    negative_likelihood = tf.reduce_sum(0.5 * tf.square(error) + constant, axis=-1)
    kl = standard_gaussian_kl(mean, log_variance)
    total = tf.reduce_sum(kl, axis=-1)
    return VariationalLoss(negative_likelihood + tf.maximum(total, free_nats), negative_likelihood, kl)


@signature(x="float ... Z", logits="float ... Z K", mean="float ... Z K", log_deviation="float ... Z K")
def mixture_log_likelihood(x: tf.Tensor, logits: tf.Tensor, mean: tf.Tensor, log_deviation: tf.Tensor) -> tf.Tensor:
    """The log-likelihood of vectors each of whose dimensions has a mixture of K Gaussians of its own.

    Bishop (1994), "Mixture density networks", equations 22 and 23; Ha and Schmidhuber (2018), "World models",
    appendix A.2.

    Args:
      x: `[..., Z]`.
      logits: `[..., Z, K]` unnormalised logarithms of the weights.
      mean: `[..., Z, K]`.
      log_deviation: `[..., Z, K]` logarithms of the standard deviations.

    Returns:
      `[...]` log-likelihoods in nats, summed over the dimensions.
    """
    error = (x[..., tf.newaxis] - mean) * tf.exp(-log_deviation)
    each = -0.5 * tf.square(error) - log_deviation - _HALF_LOG_TWO_PI
    return tf.reduce_sum(tf.reduce_logsumexp(tf.nn.log_softmax(logits) + each, axis=-1), axis=-1)
