"""What is done to observations that are replayed."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src import shards
from rl_fn._src.shapes import sizes_of


def random_shift(key: random.Key, images: tf.Tensor, pixels: int) -> tf.Tensor:
    """Shifts each image by up to so many pixels in both directions; its edges are repeated where nothing is left.

    Kostrikov, Yarats and Fergus (2021), "Image augmentation is all you need", section 3.1.

    Args:
      key: `uint32[2]`.
      images: `[N, H, W, C]`.
      pixels: the largest shift.

    Returns:
      `[N, H, W, C]` images.

    Raises:
      ValueError: if the images are of another rank.
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4:
        raise ValueError(f"random_shift: images have shape {tuple(images.shape)}, expected [N, H, W, C]")
    num, height, width = sizes_of(images)[:3]
    shifts = random.randint(key, [2, shards.rows(num), 1], -pixels, pixels + 1)
    rows = tf.clip_by_value(tf.range(height) + shifts[0], 0, height - 1)
    columns = tf.clip_by_value(tf.range(width) + shifts[1], 0, width - 1)
    return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
