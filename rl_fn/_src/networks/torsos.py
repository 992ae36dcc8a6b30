"""The lower part of a network, chosen by name, and what it wants to see of an observation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import OWN, Activation, Initializer, Network, output_spec
from rl_fn._src.networks.convolution import convolution
from rl_fn._src.networks.feedforward import mlp, sequential
from rl_fn._src.networks.observations import flatten, image
from rl_fn._src.networks.own import is_own, own
from rl_fn.struct import Nest

# Convolutions by name: features, kernel sizes, strides.
CONVOLUTIONS = {
    "minatar": ((16,), (3,), (1,)),  # Young and Tian (2019)
    "nature": ((32, 64, 64), (8, 4, 3), (4, 2, 1)),  # Mnih et al. (2015)
}
TORSOS = ("mlp", *CONVOLUTIONS, OWN)
ENCODERS = ("flatten", *CONVOLUTIONS, OWN)


class Encoder(NamedTuple):
    """What reads observations for several networks, which take its features."""

    init: Callable[[random.Key], Nest]
    apply: Callable[[Nest, Nest], tf.Tensor]  # params, observation [N, ...] to features [N, F]
    spec: tf.TensorSpec  # of the features, [F]


def encoder(kind: Any, space: gymnasium.Space) -> Encoder:
    """Makes an encoder of observations.

    Args:
      kind: "flatten" for any space, with nothing to learn; "minatar" or "nature" for convolutions on images; or a
        network of one's own.
      space: of the observations.

    Raises:
      ValueError: for convolutions on observations that are not images `[H, W, C]`, or an unknown kind.
    """
    if kind == "flatten":
        spec, vector = flatten(space)
        return Encoder(lambda key: {}, lambda params, observation: vector(observation), spec)
    if is_own(kind):
        network, spec, to_image = own(kind, space)
    elif kind in CONVOLUTIONS:
        spec, to_image = image(space)
        network = convolution(*CONVOLUTIONS[kind])
    else:
        raise ValueError(f"encoder is {kind!r}, expected one of {', '.join(ENCODERS)}")
    features = output_spec(network, network.init(random.key(0), spec), spec)
    return Encoder(
        lambda key: network.init(key, spec),
        lambda params, observation: network.apply(params, to_image(observation)),
        features,
    )


def torso(
    kind: Any,
    space: gymnasium.Space,
    hidden_sizes: Sequence[int],
    activation: Activation = tf.nn.relu,
    kernel_init: Initializer | None = None,
) -> tuple[Network, tf.TensorSpec, Callable[[Nest], tf.Tensor]]:
    """Makes a torso for observations of a space.

    Args:
      kind: "mlp" for any space, flattened; "minatar" or "nature" for convolutions on images; or a network of one's own,
        as `networks.own` takes it, for which nothing else counts.
      space: of the observations.
      hidden_sizes: the widths of the linear layers, after the convolutions where there are some.
      activation: after every layer, the last one too.
      kernel_init: of all kernels.

    Returns:
      The network; the specification of its input; and the function from observations to inputs.

    Raises:
      ValueError: for convolutions on observations that are not images `[H, W, C]`, an unknown kind, or as `own`.
    """
    if is_own(kind):
        return own(kind, space)
    layers = mlp(hidden_sizes, activation, kernel_init, activate_final=True)
    if kind == "mlp":
        return layers, *flatten(space)
    if kind not in CONVOLUTIONS:
        raise ValueError(f"torso is {kind!r}, expected one of {', '.join(TORSOS)}")
    below = convolution(*CONVOLUTIONS[kind], activation, kernel_init)
    return sequential(convolution=below, layers=layers), *image(space)
