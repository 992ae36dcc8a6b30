"""From the action values of a node to what is compared with its prior: on a scale of its own, and completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from rl_fn._src.planning.tree import Node
from rl_fn.struct import Scalar

QTransform: TypeAlias = Callable[[Node], tf.Tensor]  # to [B, A]

_SMALLEST_RANGE = 1e-8


def by_bounds(node: Node, low: Scalar, high: Scalar) -> tf.Tensor:
    """Values from [low, high] to [0, 1]; an action without a visit has the least: for rewards of known bounds.

    Args:
      node: B nodes.
      low: the least value that there can be.
      high: the largest.

    Returns:
      `[B, A]`.
    """
    return tf.where(node.child_visits > 0, (node.q_values - low) / (high - low), tf.zeros_like(node.q_values))


def unscaled(node: Node) -> tf.Tensor:
    """Values as they are, 0 for an action without a visit: for games whose results are from -1 to 1.

    Silver et al. (2018), "A general reinforcement learning algorithm that masters chess, shogi, and Go through
    self-play", supplementary material. On the scale of the siblings, a first child that looks better than its parent by
    ever so little would count a whole game more than what was not tried, which then never is.

    Args:
      node: B nodes.

    Returns:
      `[B, A]`.
    """
    return node.q_values


def by_parent_and_siblings(node: Node) -> tf.Tensor:
    """Values from the range of those of the node and its children to [0, 1]; 0 for an action without a visit.

    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model", equation 5,
    with the least and largest values among these instead of those of the whole tree.

    Args:
      node: B nodes.

    Returns:
      `[B, A]`.
    """
    value = node.value[:, tf.newaxis]
    known = tf.where(node.child_visits > 0, node.q_values, value)
    low = tf.minimum(value, tf.reduce_min(known, axis=-1, keepdims=True))
    high = tf.maximum(value, tf.reduce_max(known, axis=-1, keepdims=True))
    completed = tf.where(node.child_visits > 0, node.q_values, low)
    return (completed - low) / tf.maximum(high - low, _SMALLEST_RANGE)


def completed_by_mixed_value(
    node: Node, value_scale: Scalar = 0.1, visit_offset: Scalar = 50.0, rescale: bool = True
) -> tf.Tensor:
    """Values, completed where there was no visit, and multiplied so that more visits make them count more.

    Danihelka et al. (2022), "Policy improvement by planning with Gumbel", equations 8, 10 and 33:
    (visit_offset + max_b N(b)) * value_scale * q.

    Args:
      node: B nodes.
      value_scale: c_scale.
      visit_offset: c_visit.
      rescale: whether the completed values are first brought to [0, 1], as where rewards have no known bounds.

    Returns:
      `[B, A]`.
    """
    visited = node.child_visits > 0
    completed = tf.where(visited, node.q_values, mixed_value(node)[:, tf.newaxis])
    if rescale:
        low = tf.reduce_min(completed, axis=-1, keepdims=True)
        width = tf.reduce_max(completed, axis=-1, keepdims=True) - low
        completed = (completed - low) / tf.maximum(width, _SMALLEST_RANGE)
    most = tf.cast(tf.reduce_max(node.child_visits, axis=-1, keepdims=True), completed.dtype)
    return (visit_offset + most) * value_scale * completed


def mixed_value(node: Node) -> tf.Tensor:
    """The value of a node by the model and by its children that were visited, weighted by the prior.

    Danihelka et al. (2022), equation 33.

    Args:
      node: B nodes.

    Returns:
      `[B]`.
    """
    visited = node.child_visits > 0
    prior = tf.nn.softmax(node.prior_logits)
    # A prior that has underflowed must not divide zero by zero.
    prior = tf.where(visited, tf.maximum(prior, prior.dtype.as_numpy_dtype(1e-37)), tf.zeros_like(prior))
    total = tf.reduce_sum(prior, axis=-1, keepdims=True)
    weights = prior / tf.where(total > 0, total, tf.ones_like(total))
    mean = tf.reduce_sum(weights * node.q_values, axis=-1)
    count = tf.cast(tf.reduce_sum(node.child_visits, axis=-1), mean.dtype)
    return (node.raw_value + count * mean) / (count + 1)
