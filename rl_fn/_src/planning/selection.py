"""Which action a simulation takes: by upper confidence bounds, or by Gumbel noise and sequential halving."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.planning import q_transforms
from rl_fn._src.planning.q_transforms import QTransform
from rl_fn._src.planning.tree import Node
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Scalar

Selection: TypeAlias = Callable[[Node, random.Key], tf.Tensor]  # to actions int32[B]

_TIE_BREAK = 1e-7  # the size of what decides between equal scores
_LEAST = -1e9  # of a score that a visit count rules out, which -inf of invalid actions stays below


def puct(
    node: Node,
    key: random.Key,
    q_transform: QTransform = q_transforms.by_parent_and_siblings,
    c_init: Scalar = 1.25,
    c_base: Scalar = 19652.0,
) -> tf.Tensor:
    """The action of the largest upper confidence bound; ties are decided at random.

    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model", equation 2.

    Args:
      node: B nodes.
      key: decides ties.
      q_transform: from action values to [0, 1].
      c_init: c_1, how much the prior counts.
      c_base: c_2, the visits beyond which it counts more.

    Returns:
      `int32[B]`.
    """
    visits = tf.cast(node.visits, node.value.dtype)[:, tf.newaxis]
    c = c_init + tf.math.log((visits + c_base + 1) / c_base)
    prior = tf.nn.softmax(node.prior_logits)
    bonus = tf.sqrt(visits) * c * prior / tf.cast(node.child_visits + 1, prior.dtype)
    noise = _TIE_BREAK * tf.cast(random.uniform(key, sizes_of(prior)), prior.dtype)
    return best_valid(q_transform(node) + bonus + noise, node.prior_logits)


def uct(node: Node, key: random.Key, exploration: Scalar = 2**0.5) -> tf.Tensor:
    """The action of the largest upper confidence bound without a prior; those without a visit first, at random.

    Kocsis and Szepesvari (2006), "Bandit based Monte-Carlo planning", with values in [-1, 1].

    Args:
      node: B nodes.
      key: decides ties.
      exploration: the factor of the bound's width.

    Returns:
      `int32[B]`.
    """
    visits = tf.cast(node.child_visits, node.value.dtype)
    total = tf.reduce_sum(visits, axis=-1, keepdims=True)
    width = tf.sqrt(tf.math.log(tf.maximum(total, 1)) / tf.maximum(visits, 1))
    noise = tf.cast(random.uniform(key, sizes_of(visits)), visits.dtype)
    score = tf.where(visits > 0, node.q_values + exploration * width + _TIE_BREAK * noise, -_LEAST * (1 + noise))
    return best_valid(score, node.prior_logits)


def gumbel_root(
    node: Node,
    key: random.Key,
    gumbel: tf.Tensor,
    num_simulations: int,
    max_considered: int = 16,
    q_transform: QTransform = q_transforms.completed_by_mixed_value,
) -> tf.Tensor:
    """At the root: sequential halving among the actions that Gumbel noise and the prior put first.

    Danihelka et al. (2022), "Policy improvement by planning with Gumbel", algorithm 2.

    Args:
      node: B roots.
      key: of nothing; all that is random is in `gumbel`.
      gumbel: `[B, A]` noise, the same during a search.
      num_simulations: of the search.
      max_considered: actions to begin with; fewer where fewer are valid.
      q_transform: from action values to what is added to the logits.

    Returns:
      `int32[B]`.
    """
    del key
    table = tf.constant([halving_visits(m, num_simulations) for m in range(max_considered + 1)], tf.int32)
    num_valid = tf.reduce_sum(tf.cast(is_valid(node.prior_logits), tf.int32), axis=-1)
    simulation = tf.minimum(tf.reduce_sum(node.child_visits, axis=-1), num_simulations - 1)
    row = tf.minimum(num_valid, max_considered)
    required = tf.gather(tf.reshape(table, [-1]), row * num_simulations + simulation)
    return best_valid(gumbel_scores(node, gumbel, required, q_transform), node.prior_logits)


def gumbel_scores(node: Node, gumbel: tf.Tensor, required: tf.Tensor, q_transform: QTransform) -> tf.Tensor:
    """Noise, logits and transformed values together; the least for actions of another number of visits.

    Args:
      node: B nodes.
      gumbel: `[B, A]`.
      required: `int32[B]`, the number of visits.
      q_transform: from action values to what is added to the logits.

    Returns:
      `[B, A]`.
    """
    logits = node.prior_logits - tf.reduce_max(node.prior_logits, axis=-1, keepdims=True)
    score = tf.maximum(gumbel + logits + q_transform(node), tf.cast(_LEAST, logits.dtype))
    return tf.where(node.child_visits == required[:, tf.newaxis], score, tf.cast(2 * _LEAST, logits.dtype))


def gumbel_interior(
    node: Node, key: random.Key, q_transform: QTransform = q_transforms.completed_by_mixed_value
) -> tf.Tensor:
    """Below the root: the action whose share of the visits is furthest behind the improved policy.

    Danihelka et al. (2022), equation 14. Nothing is random.

    Args:
      node: B nodes.
      key: of nothing.
      q_transform: from action values to what is added to the logits.

    Returns:
      `int32[B]`.
    """
    del key
    improved = tf.nn.softmax(improved_logits(node, q_transform))
    visits = tf.cast(node.child_visits, improved.dtype)
    share = visits / (1 + tf.reduce_sum(visits, axis=-1, keepdims=True))
    return best_valid(improved - share, node.prior_logits)


def improved_logits(node: Node, q_transform: QTransform = q_transforms.completed_by_mixed_value) -> tf.Tensor:
    """The logits of the policy that a search has improved: Danihelka et al. (2022), equation 11.

    Args:
      node: B nodes.
      q_transform: from action values to what is added to the logits.

    Returns:
      `[B, A]`.
    """
    return node.prior_logits + q_transform(node)


def halving_visits(num_considered: int, num_simulations: int) -> list[int]:
    """How often the action of each simulation has been visited before, under sequential halving.

    Karnin, Koren and Somekh (2013), "Almost optimal exploration in multi-armed bandits", with the budget of each phase
    as in Danihelka et al. (2022), algorithm 1. A phase visits all actions that are left equally often, and keeps half.

    Args:
      num_considered: actions to begin with.
      num_simulations: of the search.
    """
    if num_considered <= 1:
        return list(range(num_simulations))
    phases = math.ceil(math.log2(num_considered))
    required: list[int] = []
    visited, left = 0, num_considered
    while len(required) < num_simulations:
        rounds = max(1, num_simulations // (phases * left))
        required += np.repeat(np.arange(visited, visited + rounds), left).tolist()
        visited, left = visited + rounds, max(2, left // 2)
    return required[:num_simulations]


def is_valid(prior_logits: tf.Tensor) -> tf.Tensor:
    """Which actions are valid: those whose logit is not -inf."""
    return prior_logits > prior_logits.dtype.min


def best_valid(scores: tf.Tensor, prior_logits: tf.Tensor) -> tf.Tensor:
    """The first valid action of the largest score, `int32[...]`."""
    lowest = tf.cast(float("-inf"), scores.dtype)
    return tf.argmax(tf.where(is_valid(prior_logits), scores, lowest), axis=-1, output_type=tf.int32)
