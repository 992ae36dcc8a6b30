"""Several critics side by side."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import networks, random
from rl_fn.struct import Nest


def critics(critic: networks.Network, size: int = 2) -> networks.Network:
    """Critics of one kind with parameters of their own; of two, the smaller value is the one to believe.

    Fujimoto, van Hoof and Meger (2018), "Addressing function approximation error in actor-critic methods".

    Args:
      critic: from inputs `[N, ...]` to values `[N, ...]`.
      size: C, how many there are.

    Returns:
      A Network with outputs `[N, C, ...]`.
    """
    all_of_them = networks.separate(**{f"critic_{index}": critic for index in range(size)})

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        return tf.stack(list(all_of_them.apply(params, inputs).values()), axis=1)

    return networks.Network(all_of_them.init, apply)


def keyless(network: networks.Network) -> networks.KeyedNetwork:
    """A network whose outputs are not random, as one whose outputs may be."""
    return networks.KeyedNetwork(network.init, lambda params, inputs, key: network.apply(params, inputs))


def keyed_critics(critic: networks.KeyedNetwork, size: int = 2) -> networks.KeyedNetwork:
    """As `critics`, of critics whose outputs are random, each with a key of its own."""
    names = [f"critic_{index}" for index in range(size)]

    def init(key: random.Key, spec: Nest) -> Nest:
        keys = tf.unstack(random.split(key, size), num=size)
        return {name: critic.init(part, spec) for name, part in zip(names, keys, strict=True)}

    def apply(params: Nest, inputs: Nest, key: random.Key) -> tf.Tensor:
        keys = tf.unstack(random.split(key, size), num=size)
        each = [critic.apply(params[name], inputs, part) for name, part in zip(names, keys, strict=True)]
        return tf.stack(each, axis=1)

    return networks.KeyedNetwork(init, apply)


def successor_values(
    network: networks.ActorCritic, params: Nest, recurrent_state: Nest, inputs: Nest, next_inputs: Nest
) -> tf.Tensor:
    """Values `[T, B]` of the true successors, with what is remembered after the step and not after a reset.

    Args:
      network: policy and value.
      params: of the network.
      recurrent_state: `[T, B, ...]` before each step.
      inputs: `[T, B, ...]` at each step.
      next_inputs: `[T, B, ...]` of the true successors.
    """
    _, after = network.step(params, recurrent_state, inputs)
    (_, values), _ = network.step(params, after, next_inputs)
    return values
