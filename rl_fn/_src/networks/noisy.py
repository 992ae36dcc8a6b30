"""Noisy networks: parameters with learned noise (Fortunato et al., 2018, "Noisy networks for exploration")."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn.struct import Nest

NOISES = ("factorised", "independent")


class NoisyNetwork(NamedTuple):
    """A network whose parameters have a mean and a deviation: `{"mean": ..., "deviation": ...}`."""

    init: Callable[[random.Key, Nest], Nest]
    apply: Callable[[Nest, Nest], Nest]  # without noise, unless the parameters come from `draw`
    draw: Callable[[Nest, random.Key], Nest]  # the parameters with noise in their mean, same structure


def noisy(
    network: Network, initial_deviation: float = 0.5, plain: Collection[str] = (), kind: str = "factorised"
) -> NoisyNetwork:
    """Adds Gaussian noise to every linear layer of a network; Fortunato et al. (2018), section 3.

    One draw serves a whole batch, as the paper's does; draw anew for every step and for every loss.

        params = network.draw(params, key)  # the gradient flows to mean and deviation
        outputs = network.apply(params, inputs)

    Args:
      network: of layers `{"kernel": [in, out], "bias": [out]}` only.
      initial_deviation: of factorised noise times the square root of a layer's inputs, the paper's sigma_0; of
        independent noise as it is, in the paper 0.017.
      plain: parts, by their name at the top of the parameters, that stay without noise.
      kind: "factorised", a number for each input and output of a layer, or "independent", one for each parameter.

    Raises:
      ValueError: if the kind is neither; at init, if there is no part of a name in `plain`.
    """
    if kind not in NOISES:
        raise ValueError(f"noisy: kind is {kind!r}, expected one of {', '.join(NOISES)}")
    independent = kind == "independent"

    def init(key: random.Key, spec: Nest) -> Nest:
        mean = network.init(key, spec)
        if unknown := set(plain) - set(mean):
            raise ValueError(f"noisy: plain is {sorted(unknown)}, expected names among {sorted(mean)}")
        parts = {name: part for name, part in mean.items() if name not in plain}
        deviation = _map_layers(lambda layer: _constant(layer, initial_deviation, independent), parts)
        return {"mean": mean, "deviation": deviation}

    def draw(params: Nest, key: random.Key) -> Nest:
        noises = (_independent_noise if independent else _factorised_noise)(params["deviation"], key)
        shifted = {name: tf.nest.map_structure(tf.add, params["mean"][name], part) for name, part in noises.items()}
        return {"mean": {**params["mean"], **shifted}, "deviation": params["deviation"]}

    return NoisyNetwork(init, lambda params, inputs: network.apply(params["mean"], inputs), draw)


def _factorised_noise(deviation: Nest, key: random.Key) -> Nest:
    """Equations 10 and 11."""
    sizes = [size for layer in _layers(deviation) for size in layer["kernel"].shape]
    normal = random.normal(key, [sum(sizes)])
    scaled = iter(tf.split(tf.sign(normal) * tf.sqrt(tf.abs(normal)), sizes))

    def noise(layer: Nest) -> Nest:
        rows, columns = next(scaled), next(scaled)
        return {"kernel": layer["kernel"] * rows[:, tf.newaxis] * columns, "bias": layer["bias"] * columns}

    return _map_layers(noise, deviation)


def _independent_noise(deviation: Nest, key: random.Key) -> Nest:
    leaves = tf.nest.flatten(deviation)
    sizes = [leaf.shape.num_elements() for leaf in leaves]
    normal = tf.split(random.normal(key, [sum(sizes)]), sizes)
    noises = [leaf * tf.reshape(part, leaf.shape) for leaf, part in zip(leaves, normal, strict=True)]
    return tf.nest.pack_sequence_as(deviation, noises)


def _constant(layer: Nest, initial_deviation: float, independent: bool) -> Nest:
    value = initial_deviation / (1.0 if independent else math.sqrt(layer["kernel"].shape[0]))
    return tf.nest.map_structure(lambda leaf: tf.fill(leaf.shape, value), layer)


def _map_layers(function: Callable[[Nest], Nest], params: Nest) -> Nest:
    if set(params) == {"kernel", "bias"}:
        return function(params)
    return {name: _map_layers(function, params[name]) for name in sorted(params)}


def _layers(params: Nest) -> list[Nest]:
    found: list[Nest] = []
    _map_layers(lambda layer: found.append(layer) or layer, params)  # type: ignore[func-returns-value]
    return found
