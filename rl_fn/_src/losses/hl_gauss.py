"""Scalar values learned by classification: HL-Gauss, histograms of a Gaussian around the target.

A support is given by the edges of its bins, `[K + 1]`, strictly increasing; a network predicts `[..., K]`
logits over the bins.
"""

from __future__ import annotations

import math

import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, cross_entropy
from rl_fn._src.signature import signature


@signature(values="float ...", edges="float E increasing", sigma="float in (0, inf)")
def hl_gauss_targets(values: tf.Tensor, edges: tf.Tensor, sigma: float | tf.Tensor) -> tf.Tensor:
    """The probability of each bin under a normal distribution around the value, cut to the support.

    Imani and White (2018), "Improving regression performance with distributional losses", section 3.1;
    Farebrother et al. (2024), "Stop regressing: training value functions via classification for scalable
    deep RL", equation 6, which advises sigma of 0.75 bins. Values outside the support count as its
    nearest edge.

    Args:
      values: `[...]` scalars.
      edges: `[K + 1]` edges of the bins.
      sigma: a positive scalar, the standard deviation, in the units of the values.

    Returns:
      `[..., K]` probabilities.
    """
    values = tf.clip_by_value(values, edges[0], edges[-1])[..., tf.newaxis]
    cumulative = tf.math.erf((edges - values) / (sigma * math.sqrt(2.0)))
    within = cumulative[..., -1:] - cumulative[..., :1]
    return (cumulative[..., 1:] - cumulative[..., :-1]) / within


@signature(logits="float ... K", values="float ...", edges="float E increasing", sigma="float in (0, inf)")
def hl_gauss_loss(
    logits: tf.Tensor,
    values: tf.Tensor,
    edges: tf.Tensor,
    sigma: float | tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The cross-entropy of `hl_gauss_targets` and softmax(logits).

    Imani and White (2018) and Farebrother et al. (2024), as in `hl_gauss_targets`.

    Args:
      logits: `[..., K]` predictions.
      values: `[...]` scalar targets.
      edges: `[K + 1]` edges of the bins.
      sigma: a positive scalar, the standard deviation, in the units of the values.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[...]` losses, in nats.
    """
    _check_edges("hl_gauss_loss", edges, logits)
    probs = as_target(hl_gauss_targets(values, edges, sigma), stop_target_gradients)
    return cross_entropy(probs, logits)


@signature(logits="float ... K", edges="float E increasing")
def hl_gauss_values(logits: tf.Tensor, edges: tf.Tensor) -> tf.Tensor:
    """The scalar that logits stand for: the mean of the bins' centres under softmax(logits).

    Farebrother et al. (2024), "Stop regressing: training value functions via classification for scalable
    deep RL", section 3.

    Args:
      logits: `[..., K]` predictions.
      edges: `[K + 1]` edges of the bins.

    Returns:
      `[...]` values.
    """
    _check_edges("hl_gauss_values", edges, logits)
    centres = (edges[1:] + edges[:-1]) / 2
    return tf.reduce_sum(tf.nn.softmax(logits) * centres, axis=-1)


def _check_edges(function: str, edges: tf.Tensor, logits: tf.Tensor) -> None:
    if None not in (edges.shape[0], logits.shape[-1]) and edges.shape[0] != logits.shape[-1] + 1:
        raise ValueError(
            f"{function}: edges has shape {tuple(edges.shape)}, expected [K + 1] with K = {logits.shape[-1]} "
            "as in logits"
        )
