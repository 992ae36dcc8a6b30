"""Observations of any space as networks take them."""

from __future__ import annotations

import math
from collections.abc import Callable

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import struct
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Nest


def flatten(space: gymnasium.Space) -> tuple[tf.TensorSpec, Callable[[Nest], tf.Tensor]]:
    """Makes one float32 vector of an observation of any supported space.

    Args:
      space: Box (flattened; bytes up to 255 are divided by 255), Discrete and MultiDiscrete (one-hot), MultiBinary, or
        a Dict or Tuple of those (concatenated, Dict entries in the order of their names).

    Returns:
      The specification of the vector, and the function from observations `[..., *]` to `[..., size]`.

    Raises:
      TypeError: for any other space.
      ValueError: if a part of it does not count from 0.
    """
    struct.space_spec(space)
    match space:
        case spaces.Dict() | spaces.Tuple():
            inner = dict(sorted(space.items())) if isinstance(space, spaces.Dict) else dict(enumerate(space))
            parts = {name: flatten(part) for name, part in inner.items()}
            size = sum(spec.shape[0] for spec, _ in parts.values())

            def vector(observation: Nest) -> tf.Tensor:
                return tf.concat([function(observation[name]) for name, (_, function) in parts.items()], axis=-1)

        case spaces.Discrete():
            size = int(space.n)

            def vector(observation: Nest) -> tf.Tensor:
                return tf.one_hot(observation, size)

        case spaces.MultiDiscrete():
            counts = [int(count) for count in space.nvec.ravel()]
            size, rank = sum(counts), len(space.shape)

            def vector(observation: Nest) -> tf.Tensor:
                digits = tf.unstack(_flatten_last(observation, rank), num=len(counts), axis=-1)
                return tf.concat([tf.one_hot(d, n) for d, n in zip(digits, counts, strict=True)], axis=-1)

        case spaces.Box() | spaces.MultiBinary():
            size, rank = math.prod(space.shape), len(space.shape)
            # Bytes of images or of a machine's memory; a few small counts stay what they are.
            is_bytes = isinstance(space, spaces.Box) and space.dtype == np.uint8 and bool((space.high == 255).all())
            scale = 1 / 255 if is_bytes else 1.0

            def vector(observation: Nest) -> tf.Tensor:
                return tf.cast(_flatten_last(observation, rank), tf.float32) * scale

    return tf.TensorSpec([size], tf.float32), vector


def image(space: gymnasium.Space) -> tuple[tf.TensorSpec, Callable[[tf.Tensor], tf.Tensor]]:
    """Makes float32 images of observations: bytes are divided by 255, anything else is taken as it is.

    Raises:
      ValueError: if the space is not a Box `[H, W, C]`.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        raise ValueError(f"convolutions need observations in a Box [H, W, C], not in {space}")
    scale = 1 / 255 if space.dtype == np.uint8 else 1.0
    return tf.TensorSpec(space.shape, tf.float32), lambda observation: tf.cast(observation, tf.float32) * scale


def is_picture(space: spaces.Box) -> bool:
    """Whether a Box is `[H, W, C]` of bytes, or of nothing but values from 0 to 1, truths among them."""
    is_known = space.dtype == np.uint8 or bool(np.all(space.low == 0) and np.all(space.high == 1))
    return is_known and len(space.shape) == 3


def _flatten_last(tensor: tf.Tensor, rank: int) -> tf.Tensor:
    tensor = tf.convert_to_tensor(tensor)
    sizes = sizes_of(tensor)
    batch = len(sizes) - rank
    return tf.reshape(tensor, [*sizes[:batch], math.prod(sizes[batch:])])
