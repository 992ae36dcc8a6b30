"""Values of a loop that are one per copy from the start as soon as anything in the loop is.

A loop value that starts shared by all copies and ends as one per copy makes `tf.vectorized_map` convert the
loop again, once more per level of nesting. Tied to whatever the loop reads, it is one per copy at once.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn.struct import Nest

_LARGE = 1 << 12  # elements


def false_per_copy(nest: Nest) -> tf.Tensor:
    """A false boolean that depends on every leaf."""
    tie = tf.constant(False)
    for leaf in tf.nest.flatten(nest):
        if leaf.shape.num_elements():
            # XLA knows of integers, and not of floating-point numbers, that they equal themselves.
            first = tf.cast(leaf[(0,) * leaf.shape.rank], tf.int32)
            tie = tie | (first != first)
    return tie


def tied(nest: Nest, tie: tf.Tensor, large: bool = True) -> Nest:
    """The same values, one per copy wherever `tie`, from `false_per_copy`, is.

    Unless `large`, leaves of more than 4,096 elements, or of an unknown number, are taken as they are: they are state
    that lives on the device (a replay buffer), and adding a zero to them would copy them.
    """

    def tied_leaf(leaf: tf.Tensor) -> tf.Tensor:
        if not (large or (leaf.shape.is_fully_defined() and leaf.shape.num_elements() <= _LARGE)):
            return leaf
        return leaf | tie if leaf.dtype == tf.bool else leaf + tf.cast(tie, leaf.dtype)

    return tf.nest.map_structure(tied_leaf, nest)
