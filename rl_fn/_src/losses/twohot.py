"""Scalars of any scale learned by classification: two-hot targets on bins that are even in their logarithm."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, cross_entropy
from rl_fn._src.signature import signature
from rl_fn.transforms import two_hot


def symexp_bins(num_bins: int = 255, limit: float = 20.0) -> np.ndarray:
    """Bins `[num_bins]` from -symexp(limit) to symexp(limit), even on the scale of `transforms.signed_logp1`.

    Hafner et al. (2023), "Mastering diverse domains through world models", equation 10. Each bin has its exact
    opposite, and the one in the middle is zero.

    Args:
      num_bins: an odd number, at least 3.
      limit: of the logarithm, positive.

    Raises:
      ValueError: if a number is not allowed.
    """
    if num_bins < 3 or num_bins % 2 == 0:
        raise ValueError(f"symexp_bins: num_bins is {num_bins}, expected an odd number from 3")
    if not 0 < limit < 88:
        raise ValueError(f"symexp_bins: limit is {limit}, expected one between 0 and 88, as float32 holds")
    positive = np.expm1(np.linspace(0.0, limit, num_bins // 2 + 1)).astype(np.float32)
    return np.concatenate([-positive[:0:-1], positive])


@signature(logits="float ... N", values="float ...", bins="float N increasing")
def twohot_loss(logits: tf.Tensor, values: tf.Tensor, bins: tf.Tensor, stop_target_gradients: bool = True) -> tf.Tensor:
    """The cross-entropy of the two-hot weights of values and softmax(logits).

    Hafner et al. (2023), "Mastering diverse domains through world models", equation 11.

    Args:
      logits: `[..., N]` predictions.
      values: `[...]` targets; beyond the bins they count as the nearest.
      bins: `[N]`, strictly increasing, such as `symexp_bins`.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[...]` losses, in nats.
    """
    return cross_entropy(as_target(two_hot(values, bins), stop_target_gradients), logits)


@signature(logits="float ... N", bins="float N increasing")
def twohot_values(logits: tf.Tensor, bins: tf.Tensor) -> tf.Tensor:
    """The scalar that logits stand for: the mean of the bins under softmax(logits).

    Hafner et al. (2023), equation 9. Opposite bins are taken together: the mean of even probabilities over bins that
    reach to 5e8 on both sides would otherwise be what is left over from rounding, tens in place of zero.

    Args:
      logits: `[..., N]` predictions.
      bins: `[N]`, strictly increasing.

    Returns:
      `[...]` values.
    """
    probs, opposite = tf.nn.softmax(logits), tf.reverse(bins, [0])
    odd, even = (bins - opposite) / 2, (bins + opposite) / 2
    return tf.reduce_sum((probs - tf.reverse(probs, [-1])) * odd, axis=-1) / 2 + tf.reduce_sum(probs * even, axis=-1)
