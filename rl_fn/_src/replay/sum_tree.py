"""A sum tree with eight children per node: sampling in proportion to non-negative weights.

A tree is a tuple of vectors float32[nodes], the leaves first, then each level of sums up to one of at
most eight; every level is padded with zeros to a multiple of eight. A node is always recomputed from
its children, so rounding errors do not add up over updates: the root is the sum of the leaves to a few
parts in 10^7, whatever happened before. Eight children rather than two make a tree of half a million
leaves seven levels high, and a level is one gather.
"""

from __future__ import annotations

from typing import TypeAlias

import tensorflow as tf

from rl_fn import random
from rl_fn._src.xla import in_place

Tree: TypeAlias = tuple[tf.Tensor, ...]

# The smallest weight but zero: with subnormal numbers, which some devices round to zero, a sum could be
# zero although a child is not.
SMALLEST = 2.0**-126

_CHILDREN = 8
# After this many levels the target is made finer: see `sample`.
_COARSE_LEVELS = 3


def init(num_leaves: int) -> Tree:
    """A tree of zeros."""
    sizes = [num_leaves]
    while sizes[-1] > _CHILDREN:
        sizes.append(-(-sizes[-1] // _CHILDREN))
    return tuple(tf.zeros([-(-size // _CHILDREN) * _CHILDREN]) for size in sizes)


def update(tree: Tree, leaves: tf.Tensor, weights: tf.Tensor) -> Tree:
    """Sets leaves.

    Args:
      tree: the tree.
      leaves: int32[N]; where a leaf is named twice, its weights must be the same.
      weights: float32[N], at least 0.

    Returns:
      The tree.
    """
    node = in_place.after(leaves, tree[-1][0])  # all that earlier updates have read went into the root
    levels = [in_place.put(tree[0], node, weights)]
    for level in tree[1:]:
        node = node // _CHILDREN
        sums = _sum(in_place.take(tf.reshape(levels[-1], [-1, _CHILDREN]), node))
        levels.append(in_place.put(level, node, sums))
    return tuple(levels)


def sample(tree: Tree, key: random.Key, num: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws leaves in proportion to their weights, one from each of `num` equal parts of the total.

    Stratified sampling as in Schaul et al. (2016), appendix B.2.1. A leaf of weight zero is never drawn
    as long as any weight is positive: every step goes to a child of positive sum, also where rounding
    puts the target beyond the last of them.

    Args:
      tree: the tree.
      key: `uint32[2]`.
      num: N.

    Returns:
      The leaves, int32[N], zeros where all weights are zero; and their probabilities, float32[N].
    """
    parts, fine = tf.unstack(random.uniform(key, [2, num]))
    total = _sum(tree[-1])
    target = (tf.range(num, dtype=tf.float32) + parts) / num * total
    node = tf.zeros([num], tf.int32)
    for depth, level in enumerate(reversed(tree)):
        if depth == _COARSE_LEVELS:
            # A target has 24 bits, of which the first levels used up some; without new ones, one leaf in
            # a million would be drawn a few percent too often or too rarely.
            target += fine * (total * 2.0**-24)
        children = in_place.take(tf.reshape(level, [-1, _CHILDREN]), node)
        child, target = _choose(children, target)
        node = _CHILDREN * node + child
    # Taken from the rows that led here rather than read again: a compiler may only update the tree in
    # place afterwards if the update depends on every read.
    weight = tf.reduce_max(tf.where(child[:, tf.newaxis] == tf.range(_CHILDREN), children, 0.0), axis=-1)
    return node, weight / tf.maximum(total, SMALLEST)


def _sum(children: tf.Tensor) -> tf.Tensor:
    """Sums `[..., 8]` in a fixed order, so that all modes and devices get the same bits."""
    width = _CHILDREN
    while width > 1:
        width //= 2
        children = children[..., :width] + children[..., width:]
    return children[..., 0]


def _choose(children: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The child into whose part of the row's sum a target falls, and the target within that part.

    Args:
      children: float32[N, 8].
      target: float32[N].

    Returns:
      int32[N] and float32[N].
    """
    up_to, shift = children, 1
    while shift < _CHILDREN:
        up_to += tf.pad(up_to[:, :-shift], [[0, 0], [shift, 0]])
        shift *= 2
    index = tf.range(_CHILDREN)
    # The first positive child that reaches beyond the target, else the last positive one: ranked by one
    # number, so that one reduction finds it.
    rank = tf.where(up_to > target[:, tf.newaxis], index, 2 * _CHILDREN - index)
    best = tf.reduce_min(tf.where(children > 0, rank, 2 * _CHILDREN), axis=-1)
    child = tf.where(best < _CHILDREN, best, 2 * _CHILDREN - best)
    before = tf.reduce_max(tf.where(index < child[:, tf.newaxis], up_to, 0.0), axis=-1)
    return child, target - before
