"""Two critics side by side."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import networks
from rl_fn.struct import Nest


def twin(critic: networks.Network) -> networks.Network:
    """Two critics of one kind with parameters of their own; the smaller value is the one to believe.

    Fujimoto, van Hoof and Meger (2018), "Addressing function approximation error in actor-critic methods".

    Args:
      critic: from inputs `[N, ...]` to values `[N, ...]`.

    Returns:
      A Network with outputs `[N, 2, ...]`.
    """
    both = networks.separate(first=critic, second=critic)

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        outputs = both.apply(params, inputs)
        return tf.stack([outputs["first"], outputs["second"]], axis=1)

    return networks.Network(both.init, apply)


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
