"""Elementwise losses and the small parts that the others are made of."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from rl_fn._src.returns.off_policy import chosen
from rl_fn._src.shapes import check_order, sizes_of
from rl_fn._src.signature import signature


@signature(error="float ...")
def l2_loss(error: tf.Tensor) -> tf.Tensor:
    """Half the squared error, 0.5 error**2, elementwise."""
    return 0.5 * tf.square(error)


@signature(error="float ...", delta="float in (0, inf)")
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


@signature(predictions="float ...", targets="float ...", expectile="float in [0, 1]")
def expectile_loss(
    predictions: tf.Tensor,
    targets: tf.Tensor,
    expectile: float | tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The asymmetric squared error, |expectile - 1{error < 0}| error**2 with error = target - prediction.

    Kostrikov, Nair and Levine (2022), "Offline reinforcement learning with implicit Q-learning",
    section 4.1. Its minimum is the expectile of the targets: their mean at 0.5, and near their maximum as
    `expectile` goes to 1. There is no factor one half.

    Args:
      predictions: `[...]`.
      targets: `[...]`.
      expectile: a scalar in [0, 1], the weight of predictions that are too low.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[...]` losses.
    """
    error = as_target(targets, stop_target_gradients) - predictions
    return tf.where(error < 0, 1 - expectile, expectile) * tf.square(error)


@signature(predictions="float ... in [0, 1]", targets="float ... in [0, 1]")
def likelihood(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The likelihood of a binary target, p**target (1 - p)**(1 - target), elementwise, where 0**0 is 1.

    Bishop (2006), "Pattern recognition and machine learning", equation 2.2; targets between 0 and 1
    are probabilities.

    Args:
      predictions: `[...]` probabilities p.
      targets: `[...]` labels or probabilities.

    Returns:
      `[...]`, between 0 and 1.
    """
    return _power(predictions, targets) * _power(1 - predictions, 1 - targets)


@signature(predictions="float ... in [0, 1]", targets="float ... in [0, 1]")
def log_loss(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The binary cross-entropy, -target log p - (1 - target) log(1 - p), elementwise, where 0 log 0 is 0.

    Bishop (2006), "Pattern recognition and machine learning", equation 4.90. It is -log(likelihood),
    and does not underflow.

    Args:
      predictions: `[...]` probabilities p.
      targets: `[...]` labels or probabilities.

    Returns:
      `[...]` losses, at least 0.
    """
    return -tf.math.xlogy(targets, predictions) - tf.math.xlog1py(1 - targets, -predictions)


@signature(
    lambda x, gradient_min, gradient_max: check_order(
        "clip_gradient", gradient_min=gradient_min, gradient_max=gradient_max
    ),
    x="float ...",
    gradient_min="float",
    gradient_max="float",
)
def clip_gradient(x: tf.Tensor, gradient_min: float | tf.Tensor, gradient_max: float | tf.Tensor) -> tf.Tensor:
    """The identity, whose gradient is clipped elementwise on the way back.

    Mnih et al. (2015), "Human-level control through deep reinforcement learning", methods. What is
    clipped is the gradient that arrives: `l2_loss(clip_gradient(error, -delta, delta))` has the gradient
    of `huber_loss(error, delta)`, and with a weight w in front, that of w * error clipped.

    Args:
      x: `[...]`.
      gradient_min: a scalar, the smallest gradient that passes.
      gradient_max: a scalar, the largest.

    Returns:
      `x`.
    """

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple:
        return tf.identity(x), lambda gradient: tf.clip_by_value(gradient, gradient_min, gradient_max)

    return identity(x)


@signature(values="float ... A", indices="int ... in [0, A)")
def batched_index(values: tf.Tensor, indices: tf.Tensor, keepdims: bool = False) -> tf.Tensor:
    """Picks one entry of the last axis for each example: `values[..., indices]`.

    Args:
      values: `[..., A]`.
      indices: `int[...]` in [0, A).
      keepdims: whether the last axis stays, with size one.

    Returns:
      `[...]`, or `[..., 1]`.
    """
    entries = chosen(values, indices)
    return entries[..., tf.newaxis] if keepdims else entries


@signature(values="float ...", weights="any ...")
def masked_mean(values: tf.Tensor, weights: tf.Tensor, axis: int | Sequence[int] | None = None) -> tf.Tensor:
    """The weighted mean, sum(weights values) / sum(weights); 0 where all weights are 0.

    Values of weight 0 do not enter, whatever they are: NaN and infinity too.

    Args:
      values: `[...]`.
      weights: `[...]`, a mask (bool) or weights that are not negative; an axis of size one counts for all of
        that axis. `lhs_broadcast` adds axes at the end.
      axis: the axes to average over, all of them unless given.

    Returns:
      The mean over `axis`.
    """
    weights = tf.cast(weights, values.dtype)
    weighted = tf.math.multiply_no_nan(values, weights)
    # The weights as broadcast: an axis that they lack counts as often as the values have entries there.
    weights = weights + tf.zeros_like(weighted)
    return tf.math.divide_no_nan(tf.reduce_sum(weighted, axis), tf.reduce_sum(weights, axis))


def lhs_broadcast(source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Gives `source` axes of size one at its end, so that it broadcasts with `target` from the left.

    Args:
      source: `[...]`, of the shape that `target` begins with; an axis may also have size one.
      target: `[..., more axes]`.

    Returns:
      `source`, `[..., 1, ...]` with the rank of `target`.

    Raises:
      ValueError: if the shapes do not fit.
    """
    source, target = tf.convert_to_tensor(source), tf.convert_to_tensor(target)
    leading = target.shape[: source.shape.rank]
    if len(leading) < source.shape.rank or any(
        None not in (size, other) and size not in (1, other) for size, other in zip(source.shape, leading, strict=True)
    ):
        raise ValueError(
            f"lhs_broadcast: source has shape {tuple(source.shape)}, expected the leading axes of target, "
            f"which has {tuple(target.shape)}, or ones"
        )
    return tf.reshape(source, [*sizes_of(source), *[1] * (target.shape.rank - source.shape.rank)])


def as_target(target: tf.Tensor, stop: bool) -> tf.Tensor:
    """What a prediction is compared with: a constant to the gradient where `stop` is true."""
    return tf.stop_gradient(target) if stop else target


def cross_entropy(probs: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-sum probs log softmax(logits), where a probability of zero counts nothing, also at a logit of -inf."""
    return -tf.reduce_sum(tf.math.multiply_no_nan(tf.nn.log_softmax(logits), probs), axis=-1)


def _power(base: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """`base**exponent` with 0**0 = 1, also where the hardware says NaN, and a gradient of 0 there."""
    both_zero = (base == 0) & (exponent == 0)
    return tf.pow(tf.where(both_zero, tf.ones_like(base), base), exponent)
