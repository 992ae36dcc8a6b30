"""Policy distributions, those of tensorflow-probability, and samples of them from explicit keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.shapes import Size, as_sizes, check_order, fill_sizes, sizes_of
from rl_fn._src.signature import arguments, signature

Distribution = Any  # tensorflow_probability.distributions.Distribution


class ClippedSample(NamedTuple):
    """A draw from a clipped Gaussian."""

    action: tf.Tensor  # [..., A], inside the bounds: what the environment gets
    unclipped: tf.Tensor  # [..., A]: what to store, and to take log-probabilities of
    log_prob: tf.Tensor  # [...], of the unclipped action


class SquashedSample(NamedTuple):
    """A draw from a squashed Gaussian."""

    action: tf.Tensor  # [..., A], inside the bounds: what the environment gets
    pre_tanh: tf.Tensor  # [..., A]: what to store, and to give to `squashed_log_prob`
    log_prob: tf.Tensor  # [...], of the action


@arguments(logits="float ... A", legal="bool ... A")
def categorical(logits: tf.Tensor, legal: tf.Tensor | None = None) -> Distribution:
    """The distribution softmax(logits) over actions; illegal ones have probability zero.

    Args:
      logits: `[..., A]`.
      legal: `bool[..., A]`, all true unless given.

    Returns:
      A `tensorflow_probability.distributions.Categorical` with int32 samples.
    """
    from tensorflow_probability import distributions

    return distributions.Categorical(logits=_masked(logits, legal))


@arguments(logits="float ... N", legal="bool ... N")
def multi_discrete(logits: tf.Tensor, sizes: Sequence[int], legal: tf.Tensor | None = None) -> Distribution:
    """Independent choices, one of `sizes[0]`, one of `sizes[1]`, ..., for a MultiDiscrete space.

    Args:
      logits: `[..., N]` with N the sum of the sizes: the logits of the first choice, then of the second ...
      sizes: the number of options of each choice.
      legal: `bool[..., N]`, all true unless given; at least one option of each choice must be legal.

    Returns:
      An Independent Categorical with samples `int32[..., len(sizes)]`; its log-probability is that of
      all choices together.
    """
    from tensorflow_probability import distributions

    sizes = [int(size) for size in sizes]
    if logits.shape[-1] not in (None, sum(sizes)) or min(sizes, default=0) < 1:
        raise ValueError(
            f"multi_discrete: sizes is {sizes}, expected positive integers that add up to the {logits.shape[-1]} logits"
        )
    # Shorter choices are filled up with options of probability zero.
    # Not by tf.pad, which fills with zeros under tf.vectorized_map.
    filled = [
        tf.concat([part, tf.fill([*sizes_of(part)[:-1], max(sizes) - size], part.dtype.min)], axis=-1)
        for part, size in zip(tf.split(_masked(logits, legal), sizes, axis=-1), sizes, strict=True)
    ]
    return distributions.Independent(distributions.Categorical(logits=tf.stack(filled, axis=-2)), 1)


@arguments(logits="float ... N")
def multi_binary(logits: tf.Tensor) -> Distribution:
    """Independent yes-or-no choices with probability sigmoid(logits), for a MultiBinary space.

    Args:
      logits: `[..., N]`.

    Returns:
      An Independent Bernoulli with samples `int32[..., N]`.
    """
    from tensorflow_probability import distributions

    return distributions.Independent(distributions.Bernoulli(logits=logits), 1)


@arguments(mean="float ... A", stddev="float ... A in [0, inf]")
def gaussian(mean: tf.Tensor, stddev: tf.Tensor) -> Distribution:
    """The Gaussian of diagonal covariance.

    Args:
      mean: `[..., A]`.
      stddev: `[..., A]`, positive.

    Returns:
      An Independent Normal with samples `[..., A]`.
    """
    from tensorflow_probability import distributions

    return distributions.Independent(distributions.Normal(mean, stddev), 1)


@signature(
    lambda key, mean, stddev, low, high: check_order("clipped_gaussian", low=low, high=high),
    key="key 2",
    mean="float ... A",
    stddev="float ... A in [0, inf]",
    low="float | A",
    high="float | A",
)
def clipped_gaussian(
    key: random.Key, mean: tf.Tensor, stddev: tf.Tensor, low: float | tf.Tensor = -1.0, high: float | tf.Tensor = 1.0
) -> ClippedSample:
    """Draws Gaussian actions and clips them to the bounds of a Box space.

    The clipping belongs to the environment as far as the policy is concerned: the log-probability is
    that of the unclipped action, and so must be later ones, `gaussian(...).log_prob(unclipped)`.

    Args:
      key: `uint32[2]`.
      mean: `[..., A]`.
      stddev: `[..., A]`, positive.
      low: the smallest action, a scalar or `[A]`.
      high: the largest action.

    Returns:
      A `ClippedSample`.
    """
    distribution = gaussian(mean, stddev)
    unclipped = sample(key, distribution)
    return ClippedSample(_clip(unclipped, low, high), unclipped, distribution.log_prob(unclipped))


@arguments(mean="float ... A", stddev="float ... A in [0, inf]", low="float | A", high="float | A")
def squashed_gaussian(
    mean: tf.Tensor, stddev: tf.Tensor, low: float | tf.Tensor = -1.0, high: float | tf.Tensor = 1.0
) -> Distribution:
    """A Gaussian squashed by tanh and stretched to the bounds of a Box space.

    Haarnoja et al. (2018), "Soft actor-critic algorithms and applications", appendix C. Draw with
    `squashed_sample` and keep the action before the tanh: it cannot be recovered from a saturated one,
    and `log_prob` of the distribution is exact only far from the bounds. There is no closed form of
    the entropy, see `squashed_entropy`; the divergence of two squashed Gaussians of the same bounds is
    that of the Gaussians, `p.distribution.kl_divergence(q.distribution)`.

    Args:
      mean: `[..., A]` before the tanh.
      stddev: `[..., A]` before the tanh, positive.
      low: the smallest action, a scalar or `[A]`.
      high: the largest action.

    Returns:
      A `tensorflow_probability.distributions.TransformedDistribution` with samples `[..., A]`.
    """
    check_order("squashed_gaussian", low=low, high=high)
    from tensorflow_probability import bijectors, distributions

    base = gaussian(mean, stddev)
    zeros = tf.zeros(sizes_of(mean)[-1:], mean.dtype)
    half_width, middle = (high - low) / 2 + zeros, (high + low) / 2 + zeros
    stretch = bijectors.Chain([bijectors.Shift(middle), bijectors.Scale(half_width), bijectors.Tanh()])
    return distributions.TransformedDistribution(base, stretch)


def squashed_sample(key: random.Key, distribution: Distribution, sample_shape: random.Shape = ()) -> SquashedSample:
    """Draws from a squashed Gaussian, with the exact log-probability and a gradient to its parameters.

    Args:
      key: `uint32[2]`.
      distribution: what `squashed_gaussian` returned.
      sample_shape: leading axes of the result.

    Returns:
      A `SquashedSample`.
    """
    pre_tanh = sample(key, _squashed("squashed_sample", distribution).distribution, sample_shape)
    return SquashedSample(squash(distribution, pre_tanh), pre_tanh, squashed_log_prob(distribution, pre_tanh))


def squash(distribution: Distribution, pre_tanh: tf.Tensor) -> tf.Tensor:
    """The action `[..., A]` that belongs to one before the tanh, never outside the bounds."""
    bijector = _squashed("squash", distribution, pre_tanh).bijector
    ends = (bijector.forward(tf.constant(end, pre_tanh.dtype)) for end in (-float("inf"), float("inf")))
    return _clip(bijector.forward(pre_tanh), *ends)


def squashed_log_prob(distribution: Distribution, pre_tanh: tf.Tensor) -> tf.Tensor:
    """The log-density of the action that belongs to `pre_tanh`, exact however saturated it is.

    The logarithm of the derivative of tanh is 2 (log 2 - x - softplus(-2 x)).

    Args:
      distribution: what `squashed_gaussian` returned.
      pre_tanh: `[..., A]` the action before the tanh.

    Returns:
      `[...]` log-probabilities.
    """
    base = _squashed("squashed_log_prob", distribution, pre_tanh).distribution
    return base.log_prob(pre_tanh) - _log_slope(distribution, pre_tanh)


def squashed_entropy(key: random.Key, distribution: Distribution, num_samples: int = 1) -> tf.Tensor:
    """An unbiased estimate of the differential entropy of a squashed Gaussian, with a gradient.

    The entropy of the Gaussian is exact; what the tanh and the bounds change is averaged over samples.

    Args:
      key: `uint32[2]`.
      distribution: what `squashed_gaussian` returned.
      num_samples: the number of samples to average over.

    Returns:
      `[...]` entropies, in nats.
    """
    base = _squashed("squashed_entropy", distribution).distribution
    pre_tanh = sample(key, base, (num_samples,))
    return base.entropy() + tf.reduce_mean(_log_slope(distribution, pre_tanh), axis=0)


def mode(distribution: Distribution) -> tf.Tensor:
    """The action to take without exploration.

    The most likely one; of a squashed Gaussian the squashed mean, as the field does.

    Args:
      distribution: one that `sample` accepts.

    Returns:
      An action `[...]` or `[..., A]`.
    """
    from tensorflow_probability import distributions

    if _is_squashed(distribution):
        return squash(distribution, distribution.distribution.mode())
    if isinstance(distribution, distributions.Independent):
        return mode(distribution.distribution)
    if isinstance(distribution, distributions.Categorical):
        return tf.argmax(distribution.logits_parameter(), axis=-1, output_type=tf.int32)
    return distribution.mode()


def sample(key: random.Key, distribution: Distribution, sample_shape: random.Shape = ()) -> tf.Tensor:
    """Draws from a distribution, with the bits of `key`.

    Draws from Gaussians, squashed or not, have a gradient to the parameters.

    Args:
      key: `uint32[2]`.
      distribution: a tensorflow-probability Categorical, Bernoulli, Normal or MultivariateNormalDiag, an
        Independent of these, or a squashed Gaussian.
      sample_shape: leading axes of the result.

    Returns:
      A tensor of the sample shape, then the distribution's batch and event shapes.

    Raises:
      TypeError: for a distribution of another kind.
    """
    from tensorflow_probability import distributions

    if isinstance(distribution, distributions.Independent):
        return sample(key, distribution.distribution, sample_shape)
    if _is_squashed(distribution):
        return squash(distribution, sample(key, distribution.distribution, sample_shape))
    shape = [*as_sizes(sample_shape), *_sizes_of_one(distribution)]
    if isinstance(distribution, distributions.Categorical):
        logits = distribution.logits_parameter()
        draws = random.categorical(key, tf.broadcast_to(logits, [*shape, sizes_of(logits)[-1]]))
        return tf.cast(draws, distribution.dtype)
    if isinstance(distribution, distributions.Bernoulli):
        return tf.cast(random.bernoulli(key, distribution.probs_parameter(), shape), distribution.dtype)
    if isinstance(distribution, distributions.Normal | distributions.MultivariateNormalDiag):
        return distribution.mean() + distribution.stddev() * random.normal(key, shape, distribution.dtype)
    raise TypeError(
        f"sample: distribution is {type(distribution).__name__}, expected Categorical, Bernoulli, Normal, "
        "MultivariateNormalDiag, Independent of these, or a squashed Gaussian"
    )


def _sizes_of_one(distribution: Distribution) -> list[Size]:
    """The batch shape, then the event shape."""
    static = distribution.batch_shape.concatenate(distribution.event_shape)
    at_run_time = lambda: tf.concat([distribution.batch_shape_tensor(), distribution.event_shape_tensor()], axis=0)
    return fill_sizes(static, at_run_time)


def _masked(logits: tf.Tensor, legal: tf.Tensor | None) -> tf.Tensor:
    """The logits of illegal actions are the lowest finite number: their probability is exactly zero."""
    return logits if legal is None else tf.where(legal, logits, tf.constant(logits.dtype.min, logits.dtype))


def _clip(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.maximum(tf.minimum(x, high), low)


def _log_slope(squashed: Distribution, pre_tanh: tf.Tensor) -> tf.Tensor:
    """The logarithm of the determinant of the derivative of `squash`, which is diagonal."""
    _, stretch, _ = squashed.bijector.bijectors
    slopes = 2 * (math.log(2) - pre_tanh - tf.nn.softplus(-2 * pre_tanh)) + tf.math.log(stretch.scale)
    return tf.reduce_sum(slopes, axis=-1)


def _is_squashed(distribution: Distribution) -> bool:
    from tensorflow_probability import bijectors

    chain = getattr(distribution, "bijector", None)
    return isinstance(chain, bijectors.Chain) and isinstance(chain.bijectors[-1], bijectors.Tanh)


def _squashed(function: str, distribution: Distribution, pre_tanh: tf.Tensor | None = None) -> Distribution:
    if not _is_squashed(distribution):
        raise TypeError(f"{function}: distribution is {type(distribution).__name__}, expected a squashed Gaussian")
    if pre_tanh is not None:
        own = distribution.batch_shape.concatenate(distribution.event_shape)
        given = tf.convert_to_tensor(pre_tanh).shape
        rank = min(own.rank, given.rank)
        if rank < 1 or not own[own.rank - rank :].is_compatible_with(given[given.rank - rank :]):
            raise ValueError(
                f"{function}: pre_tanh has shape {tuple(given)}, expected {tuple(own)} as of the distribution, "
                "after any axes of samples"
            )
    return distribution
