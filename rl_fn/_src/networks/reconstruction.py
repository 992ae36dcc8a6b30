"""Observations to embeddings, and back from what is known of them: vectors and images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, transforms
from rl_fn._src.networks.base import Network, lecun_normal
from rl_fn._src.networks.feedforward import dense, mlp
from rl_fn._src.networks.observations import flatten, image, is_picture
from rl_fn._src.networks.world_model import normed_mlp, normed_silu
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import convolve
from rl_fn.struct import Nest

_SMALLEST = 8  # pixels: below, what looks like an image is a vector
_GRID = 4  # images are halved until they are about this size


class ObservationModel(NamedTuple):
    """What encodes observations for a world model, and decodes them again."""

    embedding_size: int  # E
    encoder_init: Callable[[random.Key], Nest]
    # (params, observation [..., *]) -> [..., E]
    encode: Callable[[Nest, Nest], tf.Tensor]
    # (key, size of features) -> params
    decoder_init: Callable[[random.Key, int], Nest]
    # (params, features [..., F]) -> what was seen, by the model
    decode: Callable[[Nest, tf.Tensor], tf.Tensor]
    # (decoded, observation) -> [...]: half the squared error, summed over the observation
    loss: Callable[[tf.Tensor, Nest], tf.Tensor]


def observation_model(space: gymnasium.Space, width: int, depth: int) -> ObservationModel:
    """Encoder and decoder of the observations of a space.

    A Box `[H, W, C]` of at least 8 x 8 is an image if it holds bytes, which are divided by 255, or values from 0 to 1;
    anything else is a vector, seen and predicted on the scale of `transforms.signed_logp1`. Hafner et al. (2023),
    "Mastering diverse domains through world models", equations 4 and 9.

    Args:
      space: of the observations.
      width: of the three layers for vectors.
      depth: the filters of the first convolution; each next one has twice as many.

    Raises:
      TypeError: for a space that is not supported.
    """
    if isinstance(space, spaces.Box) and is_picture(space) and min(space.shape[:2]) >= _SMALLEST:
        return _image_model(space, depth)
    spec, to_vector = flatten(space)
    target = lambda observation: transforms.signed_logp1(to_vector(observation))
    encoder = mlp([width] * 3, normed_silu, activate_final=True)
    decoder = normed_mlp(width, 3, spec.shape[0])
    return ObservationModel(
        width,
        lambda key: encoder.init(key, spec),
        lambda params, observation: encoder.apply(params, target(observation)),
        lambda key, features: decoder.init(key, tf.TensorSpec([features])),
        decoder.apply,
        lambda decoded, observation: 0.5 * tf.reduce_sum(tf.square(decoded - target(observation)), axis=-1),
    )


def _image_model(space: spaces.Box, depth: int) -> ObservationModel:
    spec, to_image = image(space)
    height, width, channels = spec.shape
    halvings = max(1, round(math.log2(min(height, width) / _GRID)))
    encoder, (rows, columns, filters) = half_convolutions(spec.shape.as_list(), depth, halvings)
    start = dense(rows * columns * filters)
    rising = double_convolutions([depth * 2**i for i in reversed(range(halvings - 1))] + [channels])

    def decoder_init(key: random.Key, features: int) -> Nest:
        start_key, rising_key = tf.unstack(random.split(key))
        first = start.init(start_key, tf.TensorSpec([features]))
        return {"start": first, "rising": rising.init(rising_key, tf.TensorSpec([rows, columns, filters]))}

    def decode(params: Nest, features: tf.Tensor) -> tf.Tensor:
        *batch, _ = sizes_of(features)
        grid = tf.reshape(normed_silu(start.apply(params["start"], features)), [-1, rows, columns, filters])
        pixels = tf.sigmoid(rising.apply(params["rising"], grid))[:, :height, :width]
        return tf.reshape(pixels, [*batch, height, width, channels])

    def loss(decoded: tf.Tensor, observation: Nest) -> tf.Tensor:
        return 0.5 * tf.reduce_sum(tf.square(decoded - to_image(observation)), axis=[-3, -2, -1])

    return ObservationModel(
        rows * columns * filters,
        lambda key: encoder.init(key, spec),
        lambda params, observation: encoder.apply(params, to_image(observation)),
        decoder_init,
        decode,
        loss,
    )


def half_convolutions(shape: list[int], depth: int, num: int) -> tuple[Network, tuple[int, int, int]]:
    """Convolutions of 4 x 4 filters, each of which halves an image, rounded up, and doubles the filters.

    Args:
      shape: `[H, W, C]` of the images.
      depth: the filters of the first.
      num: how many.

    Returns:
      A Network from images `[..., H, W, C]` to features `[..., F]`, and the shape of a grid that F stands for.
    """
    sizes = [(shape[0], shape[1], shape[2])]
    for index in range(num):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2), depth * 2**index))

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        del spec
        keys = tf.unstack(random.split(key, num), num=num)
        return {
            f"layer_{i}": {
                "kernel": lecun_normal()(keys[i], [16 * sizes[i][2], sizes[i + 1][2]]),
                "bias": tf.zeros([sizes[i + 1][2]]),
            }
            for i in range(num)
        }

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        *batch, _, _, _ = sizes_of(inputs)
        x = tf.reshape(inputs, [-1, *shape])
        for index in range(num):
            rows, columns, _ = sizes[index]
            padding = [[0, 0], [1, 1 + rows % 2], [1, 1 + columns % 2], [0, 0]]
            layer = params[f"layer_{index}"]
            x = normed_silu(convolve(tf.pad(x, padding), layer["kernel"], 4, 2) + layer["bias"])
        return tf.reshape(x, [*batch, math.prod(sizes[-1])])

    return Network(init, apply), sizes[-1]


def double_convolutions(features: list[int]) -> Network:
    """Convolutions of 3 x 3 filters, each of which doubles an image: `[N, H, W, C]` to `[N, H * 2**n, W * 2**n, C']`.

    Each makes four pixels of one, out of four times as many filters (Shi et al., 2016, "Real-time single image and
    video super-resolution using an efficient sub-pixel convolutional neural network"). All but the last are followed
    by layer norm and SiLU.
    """

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        keys = tf.unstack(random.split(key, len(features)), num=len(features))
        inputs = [spec.shape[-1], *features]
        return {
            f"layer_{i}": {
                "kernel": lecun_normal()(keys[i], [9 * inputs[i], 4 * features[i]]),
                "bias": tf.zeros([4 * features[i]]),
            }
            for i in range(len(features))
        }

    def apply(params: Nest, x: tf.Tensor) -> tf.Tensor:
        for index, filters in enumerate(features):
            layer = params[f"layer_{index}"]
            x = convolve(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), layer["kernel"], 3, 1) + layer["bias"]
            _, rows, columns, _ = x.shape
            x = tf.transpose(tf.reshape(x, [-1, rows, columns, 2, 2, filters]), [0, 1, 3, 2, 4, 5])
            x = tf.reshape(x, [-1, 2 * rows, 2 * columns, filters])
            if index < len(features) - 1:
                x = normed_silu(x)
        return x

    return Network(init, apply)
