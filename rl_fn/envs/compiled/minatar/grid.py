"""The screen of 10 x 10 cells, as ten rows of ten bits: bit `c` of row `r` says whether column `c` holds something.

A channel of a batch of screens is `int32[B, 10]`. Sets of cells are united, moved and compared by a few operations
on whole words, and become booleans only in the observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rl_fn._src.xla.kept import kept_small

SIZE = 10
LAST = SIZE - 1
FULL_ROW = (1 << SIZE) - 1

_INDICES = list(range(SIZE))


def inside(column: tf.Tensor) -> tf.Tensor:
    """Whether columns `int32[...]` are on the screen."""
    return (column >= 0) & (column <= LAST)


def bit(column: tf.Tensor) -> tf.Tensor:
    """The bits of columns `int32[...]`, zero where they are off the screen."""
    return tf.where(inside(column), tf.bitwise.left_shift(tf.ones_like(column), column), 0)


def cell(row: Any, column: tf.Tensor) -> tf.Tensor:
    """The screens `int32[B, 10]` with one cell each, at `row` (`int32[B]` or an integer) and `column` `int32[B]`."""
    row = tf.broadcast_to(row, column.shape)
    return tf.where(tf.constant(_INDICES) == row[:, tf.newaxis], bit(column)[:, tf.newaxis], 0)


def cells(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """The screens `int32[B, 10]` with K cells each, at `row` and `column`, both `int32[B, K]`."""
    return by_row(row, bit(column))


def by_row(row: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
    """The unions `int32[B, 10]` of K words `int32[B, K]` in each row; `row` `int32[B, K]` says which."""
    rows = tf.constant(_INDICES)[:, tf.newaxis]
    return unite(tf.where(rows == row[:, tf.newaxis, :], words[:, tf.newaxis, :], 0))


def pack(screens: Sequence[tf.Tensor]) -> tf.Tensor:
    """Up to three words of ten bits in one, to be united at once."""
    packed = screens[0]
    for index, screen in enumerate(screens[1:], start=1):
        packed = tf.bitwise.bitwise_or(packed, tf.bitwise.left_shift(screen, SIZE * index))
    return packed


def unpack(packed: tf.Tensor, number: int) -> list[tf.Tensor]:
    """The words that were packed."""
    shifted = [tf.bitwise.right_shift(packed, SIZE * index) for index in range(number)]
    return [tf.bitwise.bitwise_and(words, FULL_ROW) for words in shifted]


def unite(words: tf.Tensor) -> tf.Tensor:
    """The union of words along the last axis: `int32[..., K]` -> `int32[...]`."""
    while (size := words.shape[-1]) > 1:
        half = size // 2
        united = tf.bitwise.bitwise_or(words[..., :half], words[..., half : 2 * half])
        words = tf.concat([united, words[..., 2 * half :]], axis=-1)
    return words[..., 0]


def any_in(screen: tf.Tensor, mask: Any = FULL_ROW) -> tf.Tensor:
    """Whether screens `int32[B, 10]` hold anything within a mask that broadcasts; `bool[B]`."""
    return tf.reduce_any(tf.bitwise.bitwise_and(screen, mask) != 0, axis=-1)


def remove(screen: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The screens without the cells of the mask."""
    return tf.bitwise.bitwise_and(screen, tf.bitwise.invert(mask))


def count(screen: tf.Tensor) -> tf.Tensor:
    """The number of cells of screens `int32[B, 10]` that hold something; `int32[B]`."""
    return tf.reduce_sum(_bits(screen[..., tf.newaxis]), axis=[-2, -1])


def down(screen: tf.Tensor) -> tf.Tensor:
    """The screens `int32[B, 10]` moved down by a row; what was in the last row is gone."""
    return tf.pad(screen[:, :-1], [[0, 0], [1, 0]])


def up(screen: tf.Tensor) -> tf.Tensor:
    """The screens `int32[B, 10]` moved up by a row; what was in the first row is gone."""
    return tf.pad(screen[:, 1:], [[0, 0], [0, 1]])


def sideways(screen: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
    """The screens moved by a column to the right where `direction` is positive, else to the left."""
    right = tf.bitwise.bitwise_and(tf.bitwise.left_shift(screen, 1), FULL_ROW)
    return tf.where(direction > 0, right, tf.bitwise.right_shift(screen, 1))


def observation(channels: Sequence[tf.Tensor]) -> tf.Tensor:
    """Puts C channels `int32[B, 10]` side by side: `bool[B, 10, 10, C]`."""
    return tf.cast(_bits(kept_small(tf.stack(channels, axis=-1))[:, :, tf.newaxis, :], axis=-2), tf.bool)


def _bits(words: tf.Tensor, axis: int = -1) -> tf.Tensor:
    """Single bits, one for each column along an axis where `words` has the size 1."""
    shape = [SIZE] + [1] * (-1 - axis)
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(words, tf.reshape(tf.constant(_INDICES), shape)), 1)
