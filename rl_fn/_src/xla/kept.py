"""Words that XLA computes once and stores.

It would put what a word is made of again into each operation that reads it: all rounds of a random word into
whatever is drawn from it, twice for those of a derived key; all of a step of a game into each bit of a picture.
What it takes for expensive it does not repeat, so here each word goes through such an operation.
"""

from __future__ import annotations

import tensorflow as tf


def kept(words: tf.Tensor) -> tf.Tensor:
    """The same uint32 words, divided by what XLA does not see to be one; the code generator drops the division."""
    one = tf.bitwise.bitwise_or(tf.bitwise.right_shift(words, tf.constant(31, tf.uint32)), tf.constant(1, tf.uint32))
    return tf.math.floordiv(words, one)


def kept_small(words: tf.Tensor) -> tf.Tensor:
    """The same int32 words, from 0 to 4,095: the square root of their square, which is exact there."""
    return tf.cast(tf.sqrt(tf.cast(words * words, tf.float32)), tf.int32)
