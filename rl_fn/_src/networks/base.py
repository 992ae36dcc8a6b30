"""A network as a pair of pure functions, and the initialisers of its kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.struct import Nest

Initializer = Callable[[random.Key, Sequence[int]], tf.Tensor]
Activation = Callable[[tf.Tensor], tf.Tensor]

OWN = "MODULE:NAME"  # among the choices of a hyper-parameter: a network of one's own is one of them

ACTIVATIONS: dict[str, Activation] = {"tanh": tf.tanh, "relu": tf.nn.relu}


def layer_norm(activation: Activation) -> Activation:
    """An activation after the last axis was brought to mean 0 and variance 1.

    Ba, Kiros and Hinton (2016), "Layer normalization", without a gain and a bias of its own.
    """

    def normalized(x: tf.Tensor) -> tf.Tensor:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        return activation(centred * tf.math.rsqrt(variance + 1e-6))

    return normalized


class Network(NamedTuple):
    """A network: a pair of pure functions."""

    init: Callable[[random.Key, Nest], Nest]
    apply: Callable[[Nest, Nest], Nest]


class KeyedNetwork(NamedTuple):
    """A network whose outputs may be random, as where units drop out."""

    init: Callable[[random.Key, Nest], Nest]
    apply: Callable[[Nest, Nest, random.Key], Nest]


def orthogonal(scale: float = 1.0) -> Initializer:
    """Kernels with orthonormal rows or columns, times `scale`.

    Saxe, McClelland and Ganguli (2014), "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks".
    """

    def init(key: random.Key, shape: Sequence[int]) -> tf.Tensor:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        gaussian = random.normal(key, [max(rows, columns), min(rows, columns)])
        q, r = tf.linalg.qr(gaussian)
        q = q * tf.sign(tf.linalg.diag_part(r))  # makes the distribution uniform (Mezzadri, 2007)
        return scale * tf.reshape(q if rows >= columns else tf.transpose(q), shape)

    return init


def lecun_normal(scale: float = 1.0) -> Initializer:
    """Truncated normal kernels of variance scale**2 / fan_in (LeCun et al., 1998, "Efficient BackProp")."""

    def init(key: random.Key, shape: Sequence[int]) -> tf.Tensor:
        truncation = 0.87962566103423978  # the standard deviation of a normal cut at two
        deviation = scale / math.sqrt(math.prod(shape[:-1])) / truncation
        return deviation * random.truncated_normal(key, shape)

    return init


def lecun_uniform(scale: float = 1.0) -> Initializer:
    """Uniform kernels of variance scale**2 / fan_in."""

    def init(key: random.Key, shape: Sequence[int]) -> tf.Tensor:
        bound = scale * math.sqrt(3.0 / math.prod(shape[:-1]))
        return random.uniform(key, shape, -bound, bound)

    return init


def output_spec(network: Network, params: Nest, spec: Nest) -> Nest:
    """The specification of one output, found by tracing and without running the network."""
    batched = tf.nest.map_structure(lambda s: tf.TensorSpec([1, *s.shape], s.dtype), spec)
    traced = tf.function(lambda inputs: network.apply(params, inputs), autograph=False).get_concrete_function(batched)
    return tf.nest.map_structure(lambda s: tf.TensorSpec(s.shape[1:], s.dtype), traced.structured_outputs)
