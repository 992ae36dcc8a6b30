"""Action selection, and policy distributions.

Distributions are those of tensorflow-probability, for their log-probabilities, entropies and
divergences; samples are drawn by `sample` from an explicit key, so that they do not depend on device or
mode. `legal` masks the actions that may be taken; at least one must be legal for each example.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from rl_fn import random
from rl_fn.signature import signature

Distribution = Any  # tensorflow_probability.distributions.Distribution


@signature(key="key 2", q_values="float ... A", legal="bool ... A")
def greedy(key: random.Key, q_values: tf.Tensor, legal: tf.Tensor | None = None) -> tf.Tensor:
    """The action of the highest value; ties are broken uniformly.

    Args:
      key: `uint32[2]`.
      q_values: `[..., A]` action values.
      legal: `bool[..., A]`, all true unless given.

    Returns:
      `int32[...]` actions.
    """
    return _uniform_choice(key, _best(q_values, _legal(q_values, legal)))


@signature(key="key 2", q_values="float ... A", epsilon="float ... in [0, 1]", legal="bool ... A")
def epsilon_greedy(
    key: random.Key, q_values: tf.Tensor, epsilon: tf.Tensor, legal: tf.Tensor | None = None
) -> tf.Tensor:
    """With probability epsilon any legal action, else one of the highest value; both uniformly.

    Args:
      key: `uint32[2]`.
      q_values: `[..., A]` action values.
      epsilon: a scalar or `[...]`, in [0, 1].
      legal: `bool[..., A]`, all true unless given.

    Returns:
      `int32[...]` actions.
    """
    legal = _legal(q_values, legal)
    choice_key, explore_key = tf.unstack(random.split(key))
    explore = random.bernoulli(explore_key, epsilon, q_values.shape[:-1])
    return _uniform_choice(choice_key, tf.where(explore[..., tf.newaxis], legal, _best(q_values, legal)))


@signature(q_values="float ... A", epsilon="float ... in [0, 1]", legal="bool ... A")
def epsilon_greedy_probs(q_values: tf.Tensor, epsilon: tf.Tensor, legal: tf.Tensor | None = None) -> tf.Tensor:
    """The probabilities `[..., A]` with which `epsilon_greedy` takes each action. Arguments as there."""
    legal = _legal(q_values, legal)
    epsilon = epsilon[..., tf.newaxis]

    def spread(mask: tf.Tensor) -> tf.Tensor:
        weights = tf.cast(mask, q_values.dtype)
        return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)

    return epsilon * spread(legal) + (1 - epsilon) * spread(_best(q_values, legal))


@signature(key="key 2", q_values="float ... A", temperature="float ... in (0, inf]", legal="bool ... A")
def boltzmann(
    key: random.Key, q_values: tf.Tensor, temperature: tf.Tensor, legal: tf.Tensor | None = None
) -> tf.Tensor:
    """An action with probability proportional to exp(q / temperature).

    Args:
      key: `uint32[2]`.
      q_values: `[..., A]` action values.
      temperature: a positive scalar or `[...]`.
      legal: `bool[..., A]`, all true unless given.

    Returns:
      `int32[...]` actions.
    """
    return random.categorical(key, _masked(q_values / temperature[..., tf.newaxis], legal))


def categorical(logits: tf.Tensor, legal: tf.Tensor | None = None) -> Distribution:
    """The distribution softmax(logits) over actions; illegal ones have probability zero.

    Args:
      logits: `[..., A]`.
      legal: `bool[..., A]`, all true unless given.

    Returns:
      A `tensorflow_probability.distributions.Categorical` with int32 samples.
    """
    from tensorflow_probability import distributions

    return distributions.Categorical(logits=_masked(tf.convert_to_tensor(logits), legal))


def sample(key: random.Key, distribution: Distribution) -> tf.Tensor:
    """Draws one sample from a distribution, with the bits of `key`.

    Args:
      key: `uint32[2]`.
      distribution: a tensorflow-probability Categorical.

    Returns:
      A sample of the distribution's batch and event shape.

    Raises:
      TypeError: for a distribution of another kind.
    """
    from tensorflow_probability import distributions

    if isinstance(distribution, distributions.Categorical):
        return random.categorical(key, distribution.logits_parameter())
    raise TypeError(f"sample: distribution is {type(distribution).__name__}, expected Categorical")


def _legal(q_values: tf.Tensor, legal: tf.Tensor | None) -> tf.Tensor:
    return tf.ones_like(q_values, tf.bool) if legal is None else legal


def _masked(logits: tf.Tensor, legal: tf.Tensor | None) -> tf.Tensor:
    """The logits of illegal actions are the lowest finite number: their probability is exactly zero."""
    return logits if legal is None else tf.where(legal, logits, tf.fill(logits.shape, logits.dtype.min))


def _best(q_values: tf.Tensor, legal: tf.Tensor) -> tf.Tensor:
    reachable = tf.where(legal, q_values, tf.fill(q_values.shape, q_values.dtype.min))
    return legal & (reachable >= tf.reduce_max(reachable, axis=-1, keepdims=True))


def _uniform_choice(key: random.Key, candidates: tf.Tensor) -> tf.Tensor:
    """One of the true entries of the last axis, each with the same probability."""
    scores = random.uniform(key, candidates.shape)
    return tf.argmax(tf.where(candidates, scores, tf.fill(candidates.shape, -1.0)), axis=-1, output_type=tf.int32)
