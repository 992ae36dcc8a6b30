"""The swap-or-not shuffle of Hoang, Morris and Rogaway (2012), "An enciphering scheme based on a card shuffle"."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.scan import scan


def rounds(num: int) -> int:
    """How many rounds mix `num` numbers well."""
    return 2 * (num - 1).bit_length() + 12


def swap_or_not(pivots: tf.Tensor, salts: tf.Tensor, num: int) -> tf.Tensor:
    """An order of 0 ... num - 1: each round pairs every x with pivot - x modulo num, and swaps the pair or not.

    Whether it does is a hash of the larger of the two.

    Args:
      pivots: `uint32[rounds, ..., 1]` in [0, num).
      salts: `uint32[rounds, ..., 1]`, of the hash.
      num: how many.

    Returns:
      `uint32[..., num]`.
    """

    def partner(pivot: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        total = pivot + (num - x)
        return tf.where(total >= num, total - num, total)

    def one(x: tf.Tensor, pivot_and_salt: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, None]:
        pivot, salt = pivot_and_salt
        other = partner(pivot, x)
        return tf.where(_hash(tf.maximum(x, other), salt) >= 2**31, other, x), None

    start = partner(pivots[0], tf.cast(tf.range(num), tf.uint32))  # any order will do, and this one is per copy
    return scan(one, start, (pivots, salts))[0]


def _hash(word: tf.Tensor, salt: tf.Tensor) -> tf.Tensor:
    """Mixes 32 bits with a salt, by the finaliser of Appleby's MurmurHash3: cheaper than Threefry, and weaker."""
    word = tf.bitwise.bitwise_xor(word * 0x9E3779B9, salt)
    for distance, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = tf.bitwise.bitwise_xor(word, tf.bitwise.right_shift(word, tf.constant(distance, tf.uint32))) * factor
    return word
