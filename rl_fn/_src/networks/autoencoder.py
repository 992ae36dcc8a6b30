"""Variational auto-encoders of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Initializer, lecun_normal, output_spec
from rl_fn._src.networks.convolution import convolution
from rl_fn._src.networks.feedforward import dense
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import convolve
from rl_fn.struct import Nest

_FILTER, _STRIDE = 4, 2  # of the encoder's layers
_MAX_LOG_VARIANCE = 4.0  # beyond, a posterior says nothing more


class Posterior(NamedTuple):
    """A diagonal Gaussian over latents."""

    mean: tf.Tensor  # [..., Z]
    log_variance: tf.Tensor  # [..., Z]

    def sample(self, key: random.Key) -> tf.Tensor:
        """A latent `[..., Z]`, differentiable in mean and variance (Kingma and Welling, 2014, section 2.4)."""
        return self.mean + tf.exp(0.5 * self.log_variance) * random.normal(key, sizes_of(self.mean))


class VariationalAutoencoder(NamedTuple):
    """From images to a Gaussian over latents, and from latents to images."""

    init: Callable[[random.Key, tf.TensorSpec], Nest]  # (key, spec of an image [H, W, C]) -> params
    encode: Callable[[Nest, tf.Tensor], Posterior]  # (params, images [..., H, W, C]) -> Posterior of [..., Z]
    decode: Callable[[Nest, tf.Tensor], tf.Tensor]  # (params, latents [..., Z]) -> images [..., H, W, C] in [0, 1]


def variational_autoencoder(
    image_shape: Sequence[int],
    latent_size: int,
    features: Sequence[int] = (32, 64, 128, 256),
    kernel_init: Initializer | None = None,
) -> VariationalAutoencoder:
    """A convolutional variational auto-encoder.

    Kingma and Welling (2014), "Auto-encoding variational Bayes". The encoder is that of Ha and Schmidhuber (2018),
    "World models", appendix A.1: convolutions with filters of 4 x 4 and strides of 2. The decoder mirrors it with
    convolutions whose channels are put beside each other (Shi et al., 2016, "Real-time single image and video
    super-resolution using an efficient sub-pixel convolutional neural network"), which vectorises over copies.

    Args:
      image_shape: height, width and channels.
      latent_size: Z.
      features: the channels of the encoder's layers; those of the decoder in reverse order.
      kernel_init: the initialiser of all kernels, `lecun_normal()` unless given.

    Raises:
      ValueError: if there are no features, or height or width are not multiples of 2 ** len(features), or too small
        for the encoder's filters.
    """
    if not features:
        raise ValueError("variational_autoencoder: features is (), expected the channels of at least one layer")
    height, width, channels = image_shape
    scale = 2 ** len(features)
    if height % scale or width % scale:
        raise ValueError(
            f"variational_autoencoder: the image is {height} x {width}, expected multiples of 2 ** {len(features)}"
        )
    count, kernel_init = len(features), kernel_init or lecun_normal()
    encoder = convolution(features, [_FILTER] * count, [_STRIDE] * count, kernel_init=kernel_init)
    moments = dense(2 * latent_size, kernel_init)
    smallest = height // scale, width // scale, features[-1]
    seed = dense(math.prod(smallest), kernel_init)
    widths = [*features[-2::-1], channels] if count > 1 else [channels]  # behind each of the decoder's layers

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        if tuple(spec.shape) != tuple(image_shape):
            raise ValueError(f"variational_autoencoder: images {tuple(spec.shape)}, expected {tuple(image_shape)}")
        keys = tf.unstack(random.split(key, 3 + count), num=3 + count)
        encoder_params = encoder.init(keys[0], spec)
        encoded = output_spec(encoder, encoder_params, spec)
        decoder_params = {"seed": seed.init(keys[1], tf.TensorSpec([latent_size]))}
        inputs = features[-1]
        for index, outputs in enumerate(widths):
            kernel = kernel_init(keys[3 + index], [9 * inputs, 4 * outputs])
            decoder_params[f"layer_{index}"] = {"kernel": kernel, "bias": tf.zeros([4 * outputs])}
            inputs = outputs
        return {"encoder": encoder_params, "moments": moments.init(keys[2], encoded), "decoder": decoder_params}

    def encode(params: Nest, images: tf.Tensor) -> Posterior:
        hidden = encoder.apply(params["encoder"], images)
        mean, log_variance = tf.split(moments.apply(params["moments"], hidden), 2, axis=-1)
        return Posterior(mean, _MAX_LOG_VARIANCE * tf.tanh(log_variance / _MAX_LOG_VARIANCE))

    def decode(params: Nest, latents: tf.Tensor) -> tf.Tensor:
        leading = sizes_of(latents)[:-1]
        hidden = tf.nn.relu(seed.apply(params["decoder"]["seed"], latents))
        x = tf.reshape(hidden, [math.prod(leading), *smallest])
        for index in range(count):
            layer = params["decoder"][f"layer_{index}"]
            padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = _enlarged(convolve(padded, layer["kernel"], 3, 1) + layer["bias"])
            x = tf.nn.relu(x) if index < count - 1 else tf.sigmoid(x)
        return tf.reshape(x, [*leading, *image_shape])

    return VariationalAutoencoder(init, encode, decode)


def _enlarged(x: tf.Tensor) -> tf.Tensor:
    """Puts four channels each beside each other: `[N, H, W, 4 C]` to `[N, 2 H, 2 W, C]`."""
    number, height, width, channels = sizes_of(x)
    x = tf.reshape(x, [number, height, width, 2, 2, channels // 4])
    return tf.reshape(tf.transpose(x, [0, 1, 3, 2, 4, 5]), [number, 2 * height, 2 * width, channels // 4])
