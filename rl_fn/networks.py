"""Networks as pairs of pure functions: `init(key, spec) -> params` and `apply(params, inputs) -> outputs`.

Parameters are nests of dicts whose names explain themselves: `{"layer_0": {"kernel", "bias"}, ...}`.
`spec` is a `tf.TensorSpec` of one input without batch axes; `apply` takes any number of batch axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.struct import Nest

Initializer = Callable[[random.Key, Sequence[int]], tf.Tensor]
Activation = Callable[[tf.Tensor], tf.Tensor]


class Network(NamedTuple):
    init: Callable[[random.Key, Nest], Nest]
    apply: Callable[[Nest, Nest], Nest]


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


def dense(features: int, kernel_init: Initializer | None = None) -> Network:
    """A linear layer with a bias that starts at zero: `[..., in] -> [..., features]`."""
    kernel_init = kernel_init or lecun_normal()

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        if spec.shape.rank != 1:
            raise ValueError(f"dense: inputs have shape {tuple(spec.shape)}, expected one axis; flatten them first")
        return {"kernel": kernel_init(key, [spec.shape[0], features]), "bias": tf.zeros([features])}

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        return (
            tf.linalg.matvec(params["kernel"], inputs, transpose_a=True) + params["bias"]
            if (inputs.shape.rank == 1)
            else tf.matmul(inputs, params["kernel"]) + params["bias"]
        )

    return Network(init, apply)


def mlp(
    layer_sizes: Sequence[int],
    activation: Activation = tf.nn.relu,
    kernel_init: Initializer | None = None,
    final_kernel_init: Initializer | None = None,
    activate_final: bool = False,
) -> Network:
    """Linear layers with an activation between them: `[..., in] -> [..., layer_sizes[-1]]`.

    Args:
      layer_sizes: the width of each layer, the last one the output.
      activation: an elementwise function.
      kernel_init: the initialiser of all kernels, `lecun_normal()` unless given.
      final_kernel_init: that of the last one, where it differs.
      activate_final: whether the last layer is followed by the activation too, as a torso's is.
    """
    inits = [kernel_init] * len(layer_sizes)
    if final_kernel_init is not None:
        inits[-1] = final_kernel_init
    layers = [dense(size, layer_init) for size, layer_init in zip(layer_sizes, inits, strict=True)]

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        params = {}
        keys = tf.unstack(random.split(key, len(layers)), num=len(layers))
        for index, (layer, layer_key) in enumerate(zip(layers, keys, strict=True)):
            params[f"layer_{index}"] = layer.init(layer_key, spec)
            spec = tf.TensorSpec([layer_sizes[index]], spec.dtype)
        return params

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        for index, layer in enumerate(layers):
            inputs = layer.apply(params[f"layer_{index}"], inputs)
            if activate_final or index < len(layers) - 1:
                inputs = activation(inputs)
        return inputs

    return Network(init, apply)


def separate(**networks: Network) -> Network:
    """Networks side by side on the same inputs: `apply` returns a dict of outputs by name."""

    def init(key: random.Key, spec: Nest) -> Nest:
        keys = tf.unstack(random.split(key, len(networks)), num=len(networks))
        return {name: net.init(k, spec) for k, (name, net) in zip(keys, networks.items(), strict=True)}

    def apply(params: Nest, inputs: Nest) -> Nest:
        return {name: network.apply(params[name], inputs) for name, network in networks.items()}

    return Network(init, apply)


def shared(torso: Network, **heads: Network) -> Network:
    """Heads on top of one torso: `apply` returns a dict of outputs by name."""
    top = separate(**heads)

    def init(key: random.Key, spec: Nest) -> Nest:
        torso_key, heads_key = tf.unstack(random.split(key))
        torso_params = torso.init(torso_key, spec)
        return {"torso": torso_params, **top.init(heads_key, output_spec(torso, torso_params, spec))}

    def apply(params: Nest, inputs: Nest) -> Nest:
        return top.apply(params, torso.apply(params["torso"], inputs))

    return Network(init, apply)


def output_spec(network: Network, params: Nest, spec: Nest) -> Nest:
    """The specification of one output, found by tracing and without running the network."""
    batched = tf.nest.map_structure(lambda s: tf.TensorSpec([1, *s.shape], s.dtype), spec)
    traced = tf.function(lambda inputs: network.apply(params, inputs), autograph=False).get_concrete_function(batched)
    return tf.nest.map_structure(lambda s: tf.TensorSpec(s.shape[1:], s.dtype), traced.structured_outputs)


def flatten(space: gymnasium.Space) -> tuple[tf.TensorSpec, Callable[[Nest], tf.Tensor]]:
    """Makes one float32 vector of an observation of any supported space.

    Args:
      space: Box (flattened), Discrete and MultiDiscrete (one-hot), MultiBinary, or a Dict or Tuple of
        those (concatenated, Dict entries in the order of their names).

    Returns:
      The specification of the vector, and the function from observations `[..., *]` to `[..., size]`.

    Raises:
      TypeError: for any other space.
    """
    match space:
        case spaces.Dict() | spaces.Tuple():
            inner = dict(sorted(space.items())) if isinstance(space, spaces.Dict) else dict(enumerate(space))
            parts = {name: flatten(part) for name, part in inner.items()}
            size = sum(spec.shape[0] for spec, _ in parts.values())

            def vector(observation: Nest) -> tf.Tensor:
                return tf.concat([function(observation[name]) for name, (_, function) in parts.items()], axis=-1)

        case spaces.Discrete():
            size, start = int(space.n), int(space.start)

            def vector(observation: Nest) -> tf.Tensor:
                return tf.one_hot(observation - start, size)

        case spaces.MultiDiscrete():
            counts = [int(count) for count in space.nvec.ravel()]
            size, rank = sum(counts), len(space.shape)

            def vector(observation: Nest) -> tf.Tensor:
                digits = tf.unstack(_flatten_last(observation, rank), num=len(counts), axis=-1)
                return tf.concat([tf.one_hot(d, n) for d, n in zip(digits, counts, strict=True)], axis=-1)

        case spaces.Box() | spaces.MultiBinary():
            size, rank = math.prod(space.shape), len(space.shape)

            def vector(observation: Nest) -> tf.Tensor:
                return tf.cast(_flatten_last(observation, rank), tf.float32)

        case _:
            raise TypeError(f"flatten: space {space} is not supported")
    return tf.TensorSpec([size], tf.float32), vector


def from_keras(model: Any) -> Network:
    """Makes a Network of a Keras 3 model, whose layers are drawn anew from the key by their own initialisers.

    Args:
      model: a built `tf.keras.Model` without state beside its weights (no batch normalisation, dropout
        or seed generators).

    Returns:
      A Network whose parameters are a dict from the paths of the model's variables to tensors. `init`
      runs eagerly: Keras initialisers take their seed as a Python integer.

    Raises:
      ValueError: if the model is not built, or has state that is not trained.
    """
    if not model.built:
        raise ValueError("from_keras: the model is not built; give its first layer an Input or call model.build(shape)")
    if model.non_trainable_variables:
        names = ", ".join(variable.path for variable in model.non_trainable_variables)
        raise ValueError(f"from_keras: the model keeps state that is not trained, expected none: {names}")
    paths = [variable.path for variable in model.trainable_variables]
    initializers = _keras_initializers(model)

    def init(key: random.Key, spec: Nest) -> Nest:
        del spec  # the model has been built for its input
        if not tf.executing_eagerly():
            raise ValueError("from_keras: init runs eagerly, and was called inside a tf.function")
        keys = random.split(key, len(paths))
        seeds = (
            random.bits(key, [len(paths)])
            if not paths
            else tf.bitwise.right_shift(keys[:, 0], tf.constant(1, tf.uint32))
        )
        return {
            variable.path: _redraw(initializers.get(id(variable)), int(seed), variable)
            for variable, seed in zip(model.trainable_variables, seeds, strict=True)
        }

    def apply(params: Nest, inputs: Nest) -> Nest:
        return model.stateless_call([params[path] for path in paths], [], inputs)[0]

    return Network(init, apply)


def _keras_initializers(model: Any) -> dict[int, Any]:
    """Maps `id(variable)` to the initialiser that its layer declares as `<name>_initializer`."""
    found = {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is not None:
                found[id(variable)] = initializer
    return found


def _redraw(initializer: Any, seed: int, variable: Any) -> tf.Tensor:
    if initializer is None:
        raise ValueError(f"from_keras: the layer of {variable.path} has no initialiser by that name to draw it with")
    config = initializer.get_config()
    if "seed" in config:
        initializer = type(initializer).from_config({**config, "seed": seed})
    return tf.convert_to_tensor(initializer(variable.shape, dtype=variable.dtype))


def _flatten_last(tensor: tf.Tensor, rank: int) -> tf.Tensor:
    batch = tensor.shape.rank - rank
    return tf.reshape(tensor, [*tensor.shape[:batch], math.prod(tensor.shape[batch:])])
