"""Noisy networks: parameters with learned noise (Fortunato et al., 2018, "Noisy networks for exploration")."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn.struct import Nest


class NoisyNetwork(NamedTuple):
    """A network whose parameters have a mean and a deviation: `{"mean": ..., "deviation": ...}`."""

    init: Callable[[random.Key, Nest], Nest]
    apply: Callable[[Nest, Nest], Nest]  # without noise, unless the parameters come from `draw`
    draw: Callable[[Nest, random.Key], Nest]  # the parameters with noise in their mean, same structure


def noisy(network: Network, initial_deviation: float = 0.5, plain: Collection[str] = ()) -> NoisyNetwork:
    """Adds factorised Gaussian noise to every linear layer of a network; Fortunato et al. (2018), section 3.

    One draw serves a whole batch, as the paper's does; draw anew for every step and for every loss.

        params = network.draw(params, key)  # the gradient flows to mean and deviation
        outputs = network.apply(params, inputs)

    Args:
      network: of layers `{"kernel": [in, out], "bias": [out]}` only.
      initial_deviation: of the noise times the square root of a layer's inputs, the paper's sigma_0.
      plain: parts, by their name at the top of the parameters, that stay without noise.

    Raises:
      ValueError: at init, if there is no part of a name in `plain`.
    """

    def init(key: random.Key, spec: Nest) -> Nest:
        mean = network.init(key, spec)
        if unknown := set(plain) - set(mean):
            raise ValueError(f"noisy: plain is {sorted(unknown)}, expected names among {sorted(mean)}")
        parts = {name: part for name, part in mean.items() if name not in plain}
        deviation = _map_layers(lambda layer: _constant(layer, initial_deviation), parts)
        return {"mean": mean, "deviation": deviation}

    def draw(params: Nest, key: random.Key) -> Nest:
        layers = _layers(params["deviation"])
        sizes = [size for layer in layers for size in layer["kernel"].shape]
        normal = random.normal(key, [sum(sizes)])
        scaled = iter(tf.split(tf.sign(normal) * tf.sqrt(tf.abs(normal)), sizes))

        def noise(layer: Nest) -> Nest:
            rows, columns = next(scaled), next(scaled)
            return {
                "kernel": layer["kernel"] * rows[:, tf.newaxis] * columns,
                "bias": layer["bias"] * columns,
            }

        noises = _map_layers(noise, params["deviation"])
        shifted = {name: tf.nest.map_structure(tf.add, params["mean"][name], part) for name, part in noises.items()}
        return {"mean": {**params["mean"], **shifted}, "deviation": params["deviation"]}

    return NoisyNetwork(init, lambda params, inputs: network.apply(params["mean"], inputs), draw)


def _constant(layer: Nest, initial_deviation: float) -> Nest:
    value = initial_deviation / math.sqrt(layer["kernel"].shape[0])
    return tf.nest.map_structure(lambda leaf: tf.fill(leaf.shape, value), layer)


def _map_layers(function: Callable[[Nest], Nest], params: Nest) -> Nest:
    if set(params) == {"kernel", "bias"}:
        return function(params)
    return {name: _map_layers(function, params[name]) for name in sorted(params)}


def _layers(params: Nest) -> list[Nest]:
    found: list[Nest] = []
    _map_layers(lambda layer: found.append(layer) or layer, params)  # type: ignore[func-returns-value]
    return found
