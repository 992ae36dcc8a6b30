"""Where a sequence ends, and what padding holds."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.shapes import sizes_of


def cuts(like: tf.Tensor, truncated_t: tf.Tensor | None, mask_t: tf.Tensor | None) -> tf.Tensor:
    """Marks the rows after which nothing enters: the last one, truncated ones, those before padding.

    Args:
      like: `[T, ...]`, for the length and the number of axes.
      truncated_t: `bool[T, ...]` or None.
      mask_t: `bool[T, ...]`, false where padding, or None.

    Returns:
      `bool[T, ...]`, whose batch axes broadcast with those of `like`.
    """
    length, *batch = sizes_of(like)
    cut = tf.reshape(tf.range(length) == length - 1, [length, *[1] * len(batch)])
    if truncated_t is not None:
        cut = cut | truncated_t
    if mask_t is not None:
        cut = cut | ~tf.concat([mask_t[1:], mask_t[-1:]], axis=0)
    return cut


def without_padding(mask_t: tf.Tensor | None, *sequences: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Puts zeros where padding is, so that whatever stands there gets into no value and no gradient."""
    if mask_t is None:
        return sequences

    def clean(x: tf.Tensor) -> tf.Tensor:
        missing = x.shape.rank - mask_t.shape.rank
        mask = tf.reshape(mask_t, [*sizes_of(mask_t), *[1] * missing])
        return tf.where(mask, x, tf.zeros_like(x))

    return tuple(clean(x) if x.shape.rank else x for x in sequences)


def trace(lambda_: tf.Tensor, cut: tf.Tensor) -> tf.Tensor:
    """Lambda, and zero where nothing follows."""
    return tf.where(cut, tf.zeros_like(lambda_), lambda_)
