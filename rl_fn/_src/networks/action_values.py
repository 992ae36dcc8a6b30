"""Values of discrete actions, with one head or dueling.

Wang et al. (2016), "Dueling network architectures for deep reinforcement learning".
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from rl_fn._src.networks.base import Activation, Initializer, Network
from rl_fn._src.networks.feedforward import mlp, sequential, shared
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Nest


def action_values(
    torso: Network,
    num_actions: int,
    hidden_sizes: Sequence[int] = (),
    num_atoms: int | None = None,
    activation: Activation = tf.nn.relu,
    kernel_init: Initializer | None = None,
) -> Network:
    """A value of each action, or a distribution over returns; arguments and outputs as of `dueling`."""
    values = sequential(torso=torso, head=mlp((*hidden_sizes, num_actions * (num_atoms or 1)), activation, kernel_init))

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        q = values.apply(params, inputs)
        return tf.reshape(q, [*sizes_of(q)[:-1], num_actions, num_atoms]) if num_atoms else q

    return Network(values.init, apply)


def dueling(
    torso: Network,
    num_actions: int,
    hidden_sizes: Sequence[int] = (),
    num_atoms: int | None = None,
    activation: Activation = tf.nn.relu,
    kernel_init: Initializer | None = None,
) -> Network:
    """A value and advantages on one torso: q(s, a) = v(s) + a(s, a) - mean_a a(s, a); equation 9.

    Args:
      torso: from inputs to features `[..., F]`.
      num_actions: A.
      hidden_sizes: the widths of the hidden layers of either stream.
      num_atoms: the number of atoms of a distribution over returns; None for plain values.
      activation: of the hidden layers.
      kernel_init: of the streams.

    Returns:
      A Network with outputs `[..., A]`, or `[..., A, num_atoms]`.
    """
    atoms = num_atoms or 1
    streams = shared(
        torso,
        value=mlp((*hidden_sizes, atoms), activation, kernel_init),
        advantage=mlp((*hidden_sizes, num_actions * atoms), activation, kernel_init),
    )

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        outputs = streams.apply(params, inputs)
        advantage = tf.reshape(outputs["advantage"], [*sizes_of(outputs["advantage"])[:-1], num_actions, atoms])
        advantage -= tf.reduce_mean(advantage, axis=-2, keepdims=True)
        q = outputs["value"][..., tf.newaxis, :] + advantage
        return q if num_atoms else tf.squeeze(q, axis=-1)

    return Network(streams.init, apply)
