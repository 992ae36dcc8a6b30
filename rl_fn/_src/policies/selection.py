"""Selection of one of a number of actions by their values."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src.shapes import broadcast_sizes, sizes_of
from rl_fn._src.signature import signature


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


@signature(q_values="float ... A", legal="bool ... A")
def greedy_probs(q_values: tf.Tensor, legal: tf.Tensor | None = None) -> tf.Tensor:
    """The probabilities `[..., A]` with which `greedy` takes each action. Arguments as there."""
    return _uniform_probs(_best(q_values, _legal(q_values, legal)), q_values.dtype)


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
    batch = broadcast_sizes(sizes_of(q_values)[:-1], sizes_of(legal)[:-1], sizes_of(epsilon))
    explore = random.bernoulli(explore_key, epsilon, batch)
    return _uniform_choice(choice_key, tf.where(explore[..., tf.newaxis], legal, _best(q_values, legal)))


@signature(q_values="float ... A", epsilon="float ... in [0, 1]", legal="bool ... A")
def epsilon_greedy_probs(q_values: tf.Tensor, epsilon: tf.Tensor, legal: tf.Tensor | None = None) -> tf.Tensor:
    """The probabilities `[..., A]` with which `epsilon_greedy` takes each action. Arguments as there."""
    legal = _legal(q_values, legal)
    epsilon = epsilon[..., tf.newaxis]
    explore = _uniform_probs(legal, q_values.dtype)
    return epsilon * explore + (1 - epsilon) * _uniform_probs(_best(q_values, legal), q_values.dtype)


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
    return random.categorical(key, _boltzmann_logits(q_values, temperature, _legal(q_values, legal)))


@signature(q_values="float ... A", temperature="float ... in (0, inf]", legal="bool ... A")
def boltzmann_probs(q_values: tf.Tensor, temperature: tf.Tensor, legal: tf.Tensor | None = None) -> tf.Tensor:
    """The probabilities `[..., A]` with which `boltzmann` takes each action. Arguments as there."""
    return tf.nn.softmax(_boltzmann_logits(q_values, temperature, _legal(q_values, legal)))


@signature(key="key 2", logits="float ... A", temperature="float ... in (0, inf]", legal="bool ... A")
def gumbel_softmax(
    key: random.Key,
    logits: tf.Tensor,
    temperature: tf.Tensor,
    legal: tf.Tensor | None = None,
    straight_through: bool = False,
) -> tf.Tensor:
    """A relaxed one-hot draw from softmax(logits) with a gradient: softmax((logits + gumbel) / temperature).

    Jang, Gu and Poole (2017), "Categorical reparameterization with Gumbel-softmax". The largest entry
    is that of an exact draw.

    Args:
      key: `uint32[2]`.
      logits: `[..., A]` unnormalised log-probabilities.
      temperature: a positive scalar or `[...]`; the lower, the closer to one-hot.
      legal: `bool[..., A]`, all true unless given.
      straight_through: return the one-hot draw, with the gradient of the relaxed one.

    Returns:
      `[..., A]`, each not negative and with sum 1.
    """
    legal = _legal(logits, legal)
    batch = broadcast_sizes(sizes_of(logits)[:-1], sizes_of(legal)[:-1], sizes_of(temperature))
    scores = logits + random.gumbel(key, [*batch, sizes_of(logits)[-1]], logits.dtype)
    relaxed = tf.nn.softmax(_boltzmann_logits(scores, temperature, legal))
    if not straight_through:
        return relaxed
    best = tf.argmax(_only(legal, scores), axis=-1, output_type=tf.int32)
    return relaxed + tf.stop_gradient(tf.one_hot(best, sizes_of(logits)[-1], dtype=logits.dtype) - relaxed)


def _legal(q_values: tf.Tensor, legal: tf.Tensor | None) -> tf.Tensor:
    return tf.ones_like(q_values, tf.bool) if legal is None else legal


def _only(legal: tf.Tensor, q_values: tf.Tensor) -> tf.Tensor:
    return tf.where(legal, q_values, tf.constant(-float("inf"), q_values.dtype))


def _best(q_values: tf.Tensor, legal: tf.Tensor) -> tf.Tensor:
    reachable = _only(legal, q_values)
    return legal & (reachable >= tf.reduce_max(reachable, axis=-1, keepdims=True))


def _boltzmann_logits(q_values: tf.Tensor, temperature: tf.Tensor, legal: tf.Tensor) -> tf.Tensor:
    reachable = _only(legal, q_values)
    # Relative to the best, so that a low temperature cannot overflow all of them.
    best = tf.stop_gradient(tf.reduce_max(reachable, axis=-1, keepdims=True))
    logits = tf.where(legal, q_values - best, tf.zeros_like(q_values)) / temperature[..., tf.newaxis]
    return _only(legal, logits)


def _uniform_probs(candidates: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    weights = tf.cast(candidates, dtype)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def _uniform_choice(key: random.Key, candidates: tf.Tensor) -> tf.Tensor:
    """One of the true entries of the last axis, each with the same probability."""
    scores = random.uniform(key, sizes_of(candidates))
    return tf.argmax(tf.where(candidates, scores, tf.fill(sizes_of(candidates), -1.0)), axis=-1, output_type=tf.int32)
