"""Networks of a user's own, where an agent has some to choose from: a pair of functions, a Keras model, or a name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import naming
from rl_fn._src.networks.base import Network
from rl_fn._src.networks.keras import from_keras
from rl_fn._src.networks.observations import flatten, image
from rl_fn._src.networks.recurrent import RecurrentNetwork
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Nest


def is_own(value: Any) -> bool:
    """Whether this is a network of one's own, or the name of one, such as `my_module:make`."""
    if isinstance(value, str):
        return naming.is_reference(value)
    return isinstance(value, Network | RecurrentNetwork) or callable(value)


def own(given: Any, space: gymnasium.Space) -> tuple[Network, tf.TensorSpec, Callable[[Nest], tf.Tensor]]:
    """Makes a network of what a user has given, for observations of a space.

    Images `[H, W, C]` reach it as float32, bytes divided by 255; all other observations as one float32 vector.

    Args:
      given: a Network; a built Keras model; a function from the `tf.TensorSpec` of one input to either; or a text
        `module:name` that names one of these.
      space: of the observations.

    Returns:
      The network, for inputs with any number of batch axes; the specification of its input; and the function from
      observations to inputs.

    Raises:
      ValueError: if there is no such name, it is something else, or its outputs are not one axis of features.
    """
    is_image = isinstance(space, spaces.Box) and len(space.shape) == 3
    spec, to_inputs = image(space) if is_image else flatten(space)
    found, label = (naming.resolve(given), given) if isinstance(given, str) else (given, "the network")
    if not isinstance(found, Network | tf.keras.Model) and callable(found):
        found = found(spec)
    if isinstance(found, tf.keras.Model):
        found = from_keras(found)
    if not isinstance(found, Network):
        raise ValueError(f"{label} is a {type(found).__name__}, expected a networks.Network or a Keras model")
    _check_outputs(label, found, spec)

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        batch = sizes_of(inputs)[: inputs.shape.rank - spec.shape.rank]
        outputs = found.apply(params, tf.reshape(inputs, [math.prod(batch), *spec.shape]))  # one axis, as Keras has
        return tf.reshape(outputs, [*batch, *outputs.shape[1:]])

    return Network(found.init, apply), spec, to_inputs


def _check_outputs(label: str, network: Network, spec: tf.TensorSpec) -> None:
    traced = tf.function(network.apply, autograph=False)
    try:
        params = network.init(random.key(0), spec)
        given = traced.get_concrete_function(params, tf.TensorSpec([2, *spec.shape], spec.dtype)).structured_outputs
    except ValueError as error:
        raise ValueError(f"{label} does not take inputs {spec.dtype.name} {tuple(spec.shape)}: {error}") from None
    if not (hasattr(given, "shape") and given.shape.rank == 2 and given.dtype == tf.float32):
        raise ValueError(f"{label} gives {given}, expected float32 [N, features] for inputs of {tuple(spec.shape)}")
