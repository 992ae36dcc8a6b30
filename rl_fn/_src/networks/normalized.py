"""Networks of linear layers with normalisation, and with units that drop out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Activation, KeyedNetwork, layer_norm
from rl_fn._src.networks.feedforward import mlp
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Nest, Scalar


class BatchNormNetwork(NamedTuple):
    """A network whose parameters hold running statistics beside what learns: `{"layers", "norms", "statistics"}`."""

    init: Callable[[random.Key, tf.TensorSpec], Nest]
    apply: Callable[[Nest, tf.Tensor], tf.Tensor]  # normalised by the running statistics
    # normalised by the statistics of the batch: outputs, and the running statistics after it
    train: Callable[[Nest, tf.Tensor], tuple[tf.Tensor, Nest]]


def dropout_mlp(layer_sizes: Sequence[int], rate: Scalar, activation: Activation = tf.nn.relu) -> KeyedNetwork:
    """As `mlp`, with dropout, layer normalisation and the activation after each hidden layer, in this order.

    Hiraoka et al. (2022), "Dropout Q-functions for doubly efficient reinforcement learning", figure 2.

    Args:
      layer_sizes: the width of each layer, the last one the output.
      rate: the probability that a unit drops out, below 1.
      activation: an elementwise function.
    """
    plain, hidden = mlp(layer_sizes), len(layer_sizes) - 1
    single, standard = [mlp([size]) for size in layer_sizes], layer_norm(tf.identity)

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        norms = {f"norm_{i}": _unit_norm(layer_sizes[i]) for i in range(hidden)}
        return {**plain.init(key, spec), **norms}

    def apply(params: Nest, inputs: tf.Tensor, key: random.Key) -> tf.Tensor:
        for index, layer in enumerate(single):
            inputs = layer.apply({"layer_0": params[f"layer_{index}"]}, inputs)
            if index < hidden:
                stays = random.uniform(random.fold_in(key, index), sizes_of(inputs)) >= rate
                inputs = tf.where(stays, inputs / (1.0 - rate), 0.0)
                norm = params[f"norm_{index}"]
                inputs = activation(standard(inputs) * norm["scale"] + norm["offset"])
        return inputs

    return KeyedNetwork(init, apply)


def batch_norm_mlp(
    layer_sizes: Sequence[int], momentum: float = 0.99, activation: Activation = tf.nn.relu, epsilon: float = 1e-3
) -> BatchNormNetwork:
    """As `mlp`, with batch normalisation (Ioffe and Szegedy, 2015, algorithm 1) of what enters each layer.

    Args:
      layer_sizes: the width of each layer, the last one the output.
      momentum: of the running statistics.
      activation: an elementwise function.
      epsilon: added to the variance.
    """
    plain, layers = mlp(layer_sizes), [mlp([size]) for size in layer_sizes]

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        sizes = [spec.shape[0], *layer_sizes[:-1]]
        norms = {f"norm_{i}": _unit_norm(size) for i, size in enumerate(sizes)}
        statistics = {
            f"norm_{i}": {"mean": tf.zeros([size]), "variance": tf.ones([size])} for i, size in enumerate(sizes)
        }
        return {"layers": plain.init(key, spec), "norms": norms, "statistics": statistics}

    def run(params: Nest, inputs: tf.Tensor, of_batch: bool) -> tuple[tf.Tensor, Nest]:
        moved = {}
        for index, layer in enumerate(layers):
            norm, kept = params["norms"][f"norm_{index}"], params["statistics"][f"norm_{index}"]
            if of_batch:
                mean = tf.reduce_mean(inputs, axis=0)
                now = {"mean": mean, "variance": tf.reduce_mean(tf.square(inputs - mean), axis=0)}
                mix = lambda old, new: momentum * old + (1 - momentum) * tf.stop_gradient(new)
                moved[f"norm_{index}"] = tf.nest.map_structure(mix, kept, now)
            else:
                now = kept
            inputs = (inputs - now["mean"]) * tf.math.rsqrt(now["variance"] + epsilon) * norm["scale"] + norm["offset"]
            inputs = layer.apply({"layer_0": params["layers"][f"layer_{index}"]}, inputs)
            if index < len(layers) - 1:
                inputs = activation(inputs)
        return inputs, moved

    return BatchNormNetwork(
        init,
        apply=lambda params, inputs: run(params, inputs, of_batch=False)[0],
        train=lambda params, inputs: run(params, inputs, of_batch=True),
    )


def _unit_norm(size: int) -> Nest:
    return {"scale": tf.ones([size]), "offset": tf.zeros([size])}
