"""Convolutional networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Activation, Initializer, Network, lecun_normal
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import convolve
from rl_fn.struct import Nest


def convolution(
    features: Sequence[int],
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    activation: Activation = tf.nn.relu,
    kernel_init: Initializer | None = None,
) -> Network:
    """Two-dimensional convolutions without padding, each followed by the activation, and flattened at the end.

    Args:
      features: the number of filters of each layer.
      kernel_sizes: the height and width of each layer's filters.
      strides: of each layer.
      activation: an elementwise function.
      kernel_init: the initialiser of all kernels, `lecun_normal()` unless given.

    Returns:
      A Network from images `[..., H, W, C]` to features `[..., F]`. Its kernels are `[size * size * in, out]`. With
      kernels per copy `loops.vectorize` is fast, and `tf.vectorized_map` repeats it for each copy.

    Raises:
      ValueError: if the three lists differ in length; at init, if an image is smaller than a filter.
    """
    layers = list(zip(features, kernel_sizes, strides, strict=True))
    kernel_init = kernel_init or lecun_normal()

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        if spec.shape.rank != 3:
            raise ValueError(f"convolution: inputs have shape {tuple(spec.shape)}, expected [H, W, C]")
        height, width, channels = spec.shape
        keys = tf.unstack(random.split(key, len(layers)), num=len(layers))
        params = {}
        for index, (filters, size, stride) in enumerate(layers):
            if min(height, width) < size:
                raise ValueError(f"convolution: layer {index} has filters of {size}, its input is {height} x {width}")
            kernel = kernel_init(keys[index], [size * size * channels, filters])
            params[f"layer_{index}"] = {"kernel": kernel, "bias": tf.zeros([filters])}
            height, width, channels = (height - size) // stride + 1, (width - size) // stride + 1, filters
        return params

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        leading = sizes_of(inputs)[:-3]
        x = tf.reshape(inputs, [math.prod(leading), *inputs.shape[-3:]])
        for index, (_, size, stride) in enumerate(layers):
            layer = params[f"layer_{index}"]
            x = activation(convolve(x, layer["kernel"], size, stride) + layer["bias"])
        return tf.reshape(x, [*leading, math.prod(x.shape[1:])])

    return Network(init, apply)
