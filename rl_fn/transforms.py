"""Transformations of values, and pairs of a transformation and its inverse.

A `TransformPair` compresses values to a range that a network can learn: `apply` squashes, `apply_inv`
brings back. All but the two-hot functions are elementwise. They are written without the differences of
nearly equal numbers that their textbook forms have, and their gradient at zero is the true one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src import arguments
from rl_fn._src.signature import signature


class TransformPair(NamedTuple):
    """A transformation of values and its inverse."""

    apply: Callable[[tf.Tensor], tf.Tensor]
    apply_inv: Callable[[tf.Tensor], tf.Tensor]


@signature(x="float ...")
def identity(x: tf.Tensor) -> tf.Tensor:
    """x."""
    return tf.identity(x)


@signature(x="float ...", eps="float in (0, inf)")
def signed_hyperbolic(x: tf.Tensor, eps: float | tf.Tensor = 1e-3) -> tf.Tensor:
    """sign(x) (sqrt(|x| + 1) - 1) + eps x.

    Pohlen et al. (2018), "Observe and look further: achieving consistent performance on Atari",
    proposition A.2.
    """
    return x / (tf.sqrt(tf.abs(x) + 1) + 1) + eps * x


@signature(x="float ...", eps="float in (0, inf)")
def signed_parabolic(x: tf.Tensor, eps: float | tf.Tensor = 1e-3) -> tf.Tensor:
    """The inverse of `signed_hyperbolic`: sign(x) (z**2 - 1), z = (sqrt(1 + 4 eps (eps + 1 + |x|)) - 1) / (2 eps)."""
    root = tf.sqrt(1 + 4 * eps * (eps + 1 + tf.abs(x)))
    # (z - 1) / |x|, where |x| has been divided out of the difference.
    slope = (2 - 4 * eps / (1 + 2 * eps + root)) / (1 + root)
    return x * slope * (2 + tf.abs(x) * slope)


@signature(x="float ...")
def signed_logp1(x: tf.Tensor) -> tf.Tensor:
    """sign(x) log(|x| + 1)."""
    return _odd(x, tf.math.log1p(tf.abs(x)))


@signature(x="float ...")
def signed_expm1(x: tf.Tensor) -> tf.Tensor:
    """The inverse of `signed_logp1`: sign(x) (exp(|x|) - 1)."""
    return _odd(x, tf.math.expm1(tf.abs(x)))


@signature(x="float ...")
def hyperbolic_arcsin(x: tf.Tensor) -> tf.Tensor:
    """The inverse hyperbolic sine, log(x + sqrt(x**2 + 1))."""
    return tf.asinh(x)


@signature(x="float ...")
def hyperbolic_sin(x: tf.Tensor) -> tf.Tensor:
    """The hyperbolic sine, (exp(x) - exp(-x)) / 2."""
    return tf.sinh(x)


@signature(x="float ...")
def sigmoid(x: tf.Tensor) -> tf.Tensor:
    """1 / (1 + exp(-x))."""
    return tf.sigmoid(x)


@signature(x="float ... in [0, 1]")
def logit(x: tf.Tensor) -> tf.Tensor:
    """The inverse of `sigmoid`, log(x / (1 - x))."""
    return tf.math.log(x) - tf.math.log1p(-x)


@signature(x="float ...", p="float in (0, inf)")
def power(x: tf.Tensor, p: float | tf.Tensor) -> tf.Tensor:
    """sign(x) ((|x| / sqrt(p) + 1)**p - 1) / sqrt(p); the power 1 / p is the inverse of the power p."""
    root = tf.sqrt(p)
    return _odd(x, tf.math.expm1(p * tf.math.log1p(tf.abs(x) / root)) / root)


@signature(x="float ...", bins="float N increasing")
def two_hot(x: tf.Tensor, bins: tf.Tensor) -> tf.Tensor:
    """Divides each value between its two neighbours among any increasing bins.

    Each bin's weight falls linearly from one at its own place to zero at its neighbours'. The weights sum to one and
    their mean is the value, clipped to the first and the last bin; Bellemare, Dabney and Munos (2017), equation 7, for
    one value.

    Args:
      x: `[...]`.
      bins: `[N]`, strictly increasing, at least two.

    Returns:
      `[..., N]`, at most two non-zero.
    """
    x = tf.clip_by_value(x, bins[0], bins[-1])[..., tf.newaxis]
    widths = bins[1:] - bins[:-1]
    from_left = (x - bins[:-1]) / widths
    edge = tf.ones_like(x)
    rising = tf.concat([edge, from_left], axis=-1)
    falling = tf.concat([1 - from_left, edge], axis=-1)
    return tf.clip_by_value(tf.minimum(rising, falling), 0, 1)


def _check_bins(
    _: tf.Tensor | None, min_value: float, max_value: float, num_bins: int, function: str = "two-hot bins"
) -> None:
    arguments.integer(f"{function}: num_bins", num_bins, 2)
    low, high = tf.get_static_value(min_value), tf.get_static_value(max_value)
    if low is not None and high is not None and not low < high:
        raise ValueError(f"{function}: min_value is {low} and max_value {high}, expected min_value < max_value")


@signature(_check_bins, x="float ...", min_value="float", max_value="float")
def transform_to_2hot(x: tf.Tensor, min_value: float, max_value: float, num_bins: int) -> tf.Tensor:
    """Divides each value between its two neighbours among evenly spaced bins.

    The weights sum to one and their mean is the value, clipped to [min_value, max_value].
    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model",
    appendix F.

    Args:
      x: `[...]`.
      min_value: the first bin.
      max_value: the last bin.
      num_bins: at least 2.

    Returns:
      `[..., num_bins]`, at most two non-zero.
    """
    return two_hot(x, _bins(min_value, max_value, num_bins))


@signature(_check_bins, probs="float ... N", min_value="float", max_value="float")
def transform_from_2hot(probs: tf.Tensor, min_value: float, max_value: float, num_bins: int) -> tf.Tensor:
    """The mean of a distribution over evenly spaced bins: the inverse of `transform_to_2hot`.

    Args:
      probs: `[..., num_bins]` probabilities.
      min_value: the first bin.
      max_value: the last bin.
      num_bins: at least 2.

    Returns:
      `[...]`.
    """
    if probs.shape[-1] not in (None, num_bins):
        raise ValueError(f"transform_from_2hot: probs has shape {tuple(probs.shape)}, expected [..., {num_bins}]")
    return tf.reduce_sum(probs * _bins(min_value, max_value, num_bins), axis=-1)


IDENTITY_PAIR = TransformPair(identity, identity)
SIGNED_LOGP1_PAIR = TransformPair(signed_logp1, signed_expm1)
SIGNED_HYPERBOLIC_PAIR = TransformPair(signed_hyperbolic, signed_parabolic)
HYPERBOLIC_SIN_PAIR = TransformPair(hyperbolic_arcsin, hyperbolic_sin)
# A discount in [0, 1) and the logarithm of its horizon.
DISCOUNT_TRANSFORM_PAIR = TransformPair(lambda x: -tf.math.log1p(-x), lambda x: -tf.math.expm1(-x))


def compose(*pairs: TransformPair) -> TransformPair:
    """Chains pairs: `apply` runs them from first to last, `apply_inv` undoes them from last to first."""

    def apply(x: tf.Tensor) -> tf.Tensor:
        return functools.reduce(lambda y, pair: pair.apply(y), pairs, x)

    def apply_inv(x: tf.Tensor) -> tf.Tensor:
        return functools.reduce(lambda y, pair: pair.apply_inv(y), reversed(pairs), x)

    return TransformPair(apply, apply_inv)


def twohot_pair(min_value: float, max_value: float, num_bins: int) -> TransformPair:
    """`transform_to_2hot` and `transform_from_2hot` on the same bins.

    Raises:
      ValueError: for fewer than two bins, or a first one that is not below the last.
    """
    _check_bins(None, min_value, max_value, num_bins, "twohot_pair")
    return TransformPair(
        functools.partial(transform_to_2hot, min_value=min_value, max_value=max_value, num_bins=num_bins),
        functools.partial(transform_from_2hot, min_value=min_value, max_value=max_value, num_bins=num_bins),
    )


def muzero_pair(min_value: float, max_value: float, num_bins: int, pair: TransformPair) -> TransformPair:
    """A squashing pair followed by two-hot bins that are even in the squashed space.

    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model",
    appendix F.

    Raises:
      ValueError: for fewer than two bins, or a first one that is not below the last.
    """
    return compose(pair, twohot_pair(min_value, max_value, num_bins))


def unbiased_transform_pair(min_value: float, max_value: float, num_bins: int, pair: TransformPair) -> TransformPair:
    """Two-hot bins that are even in the squashed space of `pair`, holding values of the original one.

    Unlike that of `muzero_pair`, the mean of a mixture of two-hot vectors is the mixture of the values.

    Args:
      min_value: the first bin, in the squashed space.
      max_value: the last bin, in the squashed space.
      num_bins: at least 2.
      pair: the squashing pair.

    Raises:
      ValueError: for fewer than two bins, or a first one that is not below the last.
    """
    _check_bins(None, min_value, max_value, num_bins, "unbiased_transform_pair")

    def bins(dtype: tf.DType) -> tf.Tensor:
        even = _bins(tf.constant(min_value, dtype), tf.constant(max_value, dtype), num_bins)
        return pair.apply_inv(even)

    def apply_inv(probs: tf.Tensor) -> tf.Tensor:
        probs = tf.convert_to_tensor(probs)
        return tf.reduce_sum(probs * bins(probs.dtype), axis=-1)

    def apply(x: tf.Tensor) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        return two_hot(x, bins(x.dtype))

    return TransformPair(apply, apply_inv)


def _odd(x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Gives a non-negative function of |x| the sign of x; the slope at zero is that of x."""
    return tf.where(tf.equal(x, 0), x, tf.sign(x) * size)


def _bins(min_value: tf.Tensor, max_value: tf.Tensor, num_bins: int) -> tf.Tensor:
    fraction = tf.cast(tf.range(num_bins), min_value.dtype) / (num_bins - 1)
    return min_value * (1 - fraction) + max_value * fraction
