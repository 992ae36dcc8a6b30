"""Small pictures with smooth edges, drawn by TensorFlow inside a compiled program.

Each function takes a batch of observations and a size S, and gives pictures `uint8[B, S, S, 3]`. A pixel has the share
of a colour that the shape covers of it, so that motions of less than a pixel are seen.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from rl_fn.envs.drawing import grids
from rl_fn.envs.drawing.grids import Color

# Of the channels of a grid, in their order
CHANNELS: tuple[Color, ...] = (
    grids.SKY_BLUE,
    grids.ORANGE,
    grids.GREEN,
    grids.YELLOW,
    grids.VERMILLION,
    grids.PURPLE,
    grids.BLUE,
    grids.WHITE,
    grids.GREY,
    (130, 80, 40),
)


def paint_pendulum(observation: tf.Tensor, size: int) -> tf.Tensor:
    """The rod of Pendulum in front of its axle, from `[B, 3]`: cosine, sine and velocity of the angle, 0 upright."""
    middle, length, radius = size / 2, 0.4 * size, 0.05 * size
    tip_x, tip_y = middle - length * observation[:, 1], middle - length * observation[:, 0]
    picture = _paint(_canvas(size), _rod(size, (middle, middle), (tip_x, tip_y), radius), grids.ORANGE)
    return _bytes(_paint(picture, _rod(size, (middle, middle), (middle, middle), 0.6 * radius), grids.EMPTY))


def paint_cartpole(observation: tf.Tensor, size: int) -> tf.Tensor:
    """The cart of CartPole on its track with its pole, from `[B, 4]`: position, velocity, angle, angular velocity.

    The whole track is seen, 2.4 to each side; the pole is 3.6 times as long as it is to that scale.
    """
    x, angle = size * (0.5 + 0.4 / 2.4 * observation[:, 0]), observation[:, 2]
    floor, length = 0.8 * size, 0.6 * size
    tip = x + length * tf.sin(angle), floor - length * tf.cos(angle)
    picture = _paint(_canvas(size), _box(size, (0.5 * size, floor), (0.5 * size, 0.01 * size)), grids.GREY)
    picture = _paint(picture, _box(size, (x, floor), (0.1 * size, 0.05 * size)), grids.SKY_BLUE)
    return _bytes(_paint(picture, _rod(size, (x, floor), tip, 0.03 * size), grids.ORANGE))


def paint_grid(observation: tf.Tensor, size: int) -> tf.Tensor:
    """The cells of a grid `[B, H, W]` or `[B, H, W, C]`, truths or shares of 0 to 1.

    Each channel has a colour of CHANNELS; where several are in a cell, their mean is shown.

    Raises:
      ValueError: for more channels than there are colours.
    """
    cells = tf.cast(observation, tf.float32)
    cells = cells[..., tf.newaxis] if cells.shape.rank == 3 else cells
    if cells.shape[-1] > len(CHANNELS):
        raise ValueError(f"pixels: a grid has {cells.shape[-1]} channels, expected at most {len(CHANNELS)}")
    empty, colors = (np.array(table, np.float32) for table in (grids.EMPTY, CHANNELS[: cells.shape[-1]]))
    crowd = tf.maximum(tf.reduce_sum(cells, axis=-1, keepdims=True), 1.0)
    shown = empty + tf.einsum("bhwc,cn->bhwn", cells / crowd, colors - empty)
    shown = tf.einsum("yh,bhwn->bywn", shares(cells.shape[1], size), shown)
    return _bytes(tf.einsum("xw,bywn->byxn", shares(cells.shape[2], size), shown))


def shares(cells: int, size: int) -> np.ndarray:
    """How much of each of `size` pixels is covered by each of the cells beside each other, `float32[size, cells]`.

    Rows sum to 1, so that they are weights of a mean too: of larger pictures that are made smaller.
    """
    edges = np.arange(cells + 1) * size / cells
    pixels = np.arange(size)[:, np.newaxis]
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.maximum(covered, 0).astype(np.float32)


def _canvas(size: int) -> tf.Tensor:
    return tf.broadcast_to(tf.constant(grids.EMPTY, tf.float32), [1, size, size, 3])


def _bytes(picture: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(picture), tf.uint8)


def _paint(picture: tf.Tensor, coverage: tf.Tensor, color: Color) -> tf.Tensor:
    return picture + coverage[..., tf.newaxis] * (tf.constant(color, tf.float32) - picture)


def _places(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the pixels: x `[1, size]` to the right and y `[size, 1]` downwards."""
    middles = np.arange(size, dtype=np.float32) + 0.5
    return middles[np.newaxis], middles[:, np.newaxis]


def _column(value: tf.Tensor | float) -> tf.Tensor:
    """Numbers `[B]`, or one for all, as `[B, 1, 1]` or `[1, 1, 1]`."""
    return tf.reshape(tf.cast(value, tf.float32), [-1, 1, 1])


def _rod(size: int, start: tuple, end: tuple, radius: float) -> tf.Tensor:
    """How much of each pixel is nearer than `radius` to a line from `start` to `end`, `[B, size, size]`."""
    (x, y), (start_x, start_y, end_x, end_y) = _places(size), map(_column, (*start, *end))
    along_x, along_y = end_x - start_x, end_y - start_y
    squared = tf.maximum(tf.square(along_x) + tf.square(along_y), 1e-6)
    share = ((x - start_x) * along_x + (y - start_y) * along_y) / squared
    share = tf.clip_by_value(share, 0.0, 1.0)
    away_x, away_y = x - start_x - share * along_x, y - start_y - share * along_y
    distance = tf.sqrt(tf.square(away_x) + tf.square(away_y))
    return tf.clip_by_value(radius + 0.5 - distance, 0.0, 1.0)


def _box(size: int, middle: tuple, half: tuple[float, float]) -> tf.Tensor:
    """How much of each pixel is in a box, exactly, `[B, size, size]`."""

    def covered(places: np.ndarray, at: tf.Tensor, half: float) -> tf.Tensor:
        low, high = tf.maximum(places - 0.5, at - half), tf.minimum(places + 0.5, at + half)
        return tf.maximum(high - low, 0.0)

    x, y = _places(size)
    return covered(x, _column(middle[0]), half[0]) * covered(y, _column(middle[1]), half[1])
