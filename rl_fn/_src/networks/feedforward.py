"""Linear layers, and networks made of networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gymnasium
import tensorflow as tf
from gymnasium import spaces

from rl_fn import policies, random
from rl_fn._src import arguments
from rl_fn._src.networks.base import Activation, Initializer, Network, lecun_normal, output_spec
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import affine
from rl_fn.struct import Nest, Scalar


def dense(features: int, kernel_init: Initializer | None = None) -> Network:
    """A linear layer with a bias that starts at zero: `[..., in] -> [..., features]`.

    Raises:
      ValueError: if `features` is no positive integer; by `apply`, for inputs of another width than the layer's.
    """
    features = arguments.integer("dense: features", features, 1)
    kernel_init = kernel_init or lecun_normal()

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        if spec.shape.rank != 1:
            raise ValueError(f"dense: inputs have shape {tuple(spec.shape)}, expected one axis; flatten them first")
        return {"kernel": kernel_init(key, [spec.shape[0], features]), "bias": tf.zeros([features])}

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        width = params["kernel"].shape[0]
        if not inputs.shape[-1:].is_compatible_with([width]):
            raise ValueError(f"dense: inputs have shape {tuple(inputs.shape)}, expected [..., {width}]")
        return affine(inputs, params["kernel"], params["bias"])

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

    Raises:
      ValueError: as from `dense`.
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


def gaussian(
    size: int, kernel_init: Initializer | None = None, initial_log_stddev: Scalar = 0.0, state_dependent: bool = False
) -> Network:
    """A linear layer for means, beside logarithms of deviations.

    Args:
      size: A, the number of means.
      kernel_init: that of the means, and of the deviations where they depend on the inputs.
      initial_log_stddev: where the logarithms of the deviations begin.
      state_dependent: whether the deviations depend on the inputs, by a linear layer too.

    Returns:
      A Network with outputs `[..., 2 * A]`: the means, then the logarithms.
    """
    means = deviations = dense(size, kernel_init)

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        initial = tf.fill([size], tf.cast(initial_log_stddev, tf.float32))
        if not state_dependent:
            return {"mean": means.init(key, spec), "log_stddev": initial}
        mean_key, deviation_key = tf.unstack(random.split(key))
        log_stddev = {**deviations.init(deviation_key, spec), "bias": initial}
        return {"mean": means.init(mean_key, spec), "log_stddev": log_stddev}

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        mean, log_stddev = means.apply(params["mean"], inputs), params["log_stddev"]
        if state_dependent:
            return tf.concat([mean, deviations.apply(log_stddev, inputs)], axis=-1)
        return tf.concat([mean, tf.broadcast_to(log_stddev, sizes_of(mean))], axis=-1)

    return Network(init, apply)


def noisy_features(size: int, kernel_init: Initializer | None = None, initial_log_stddev: Scalar = 0.0) -> Network:
    """A linear layer for means, whose deviations are those of noise on its inputs, as in gSDE.

    Raffin, Kober and Stulp (2022), "Smooth exploration for robotic reinforcement learning", equations 8 and 9. No
    gradient of the deviations flows into the inputs.

    Args:
      size: A, the number of means.
      kernel_init: that of the means.
      initial_log_stddev: where the logarithms of the deviations begin, for inputs whose squares are 1 on average.

    Returns:
      A Network from `[..., F]` to `[..., 2 * A + F * A]`: the means, the logarithms of the deviations, and what a
      draw for each input and mean is multiplied with.
    """
    means = dense(size, kernel_init)

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        features = spec.shape[0]
        initial = tf.cast(initial_log_stddev, tf.float32) - 0.5 * math.log(features)
        return {"mean": means.init(key, spec), "log_stddev": tf.fill([features, size], initial)}

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        each = tf.stop_gradient(inputs)[..., tf.newaxis] * tf.exp(params["log_stddev"])
        log_stddev = 0.5 * tf.math.log(tf.reduce_sum(tf.square(each), axis=-2) + 1e-6)
        each = tf.reshape(each, [*sizes_of(inputs)[:-1], each.shape[-2] * size])
        return tf.concat([means.apply(params["mean"], inputs), log_stddev, each], axis=-1)

    return Network(init, apply)


def policy_layer(
    space: gymnasium.Space,
    kernel_init: Initializer | None = None,
    initial_stddev: Scalar = 1.0,
    state_dependent_stddev: bool = False,
) -> Network:
    """The last layer of a policy: what `policies.policy_head` of that action space takes.

    Args:
      space: of the actions.
      kernel_init: of the layer.
      initial_stddev: of a Box's actions at the start, in half-widths of the Box.
      state_dependent_stddev: whether it depends on the inputs.

    Returns:
      A linear layer, and for a Box `gaussian`.
    """
    head = policies.policy_head(space)
    if isinstance(space, spaces.Box):
        log_stddev = tf.math.log(tf.cast(initial_stddev, tf.float32))
        return gaussian(head.num_outputs // 2, kernel_init, log_stddev, state_dependent_stddev)
    return dense(head.num_outputs, kernel_init)


def sequential(**networks: Network) -> Network:
    """Networks one after the other: the outputs of each are the inputs of the next."""

    def init(key: random.Key, spec: Nest) -> Nest:
        params = {}
        keys = tf.unstack(random.split(key, len(networks)), num=len(networks))
        for (name, network), part in zip(networks.items(), keys, strict=True):
            params[name] = network.init(part, spec)
            spec = output_spec(network, params[name], spec)
        return params

    def apply(params: Nest, inputs: Nest) -> Nest:
        for name, network in networks.items():
            inputs = network.apply(params[name], inputs)
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
