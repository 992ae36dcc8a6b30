"""A world model with categorical latents: the recurrent state-space model of Hafner et al. (2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Initializer, Network, layer_norm, lecun_normal
from rl_fn._src.networks.feedforward import dense, mlp
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import product
from rl_fn.struct import Nest, Scalar


def silu(x: tf.Tensor) -> tf.Tensor:
    """x sigmoid(x) (Elfwing, Uchibe and Doya, 2018); the function of that name in TensorFlow has no gradient twice."""
    return x * tf.sigmoid(x)


normed_silu = layer_norm(silu)


def zero_init(key: random.Key, shape: Sequence[int]) -> tf.Tensor:
    """Kernels of zeros: what a head predicts at the start is what its bias says."""
    del key
    return tf.zeros(shape)


def normed_mlp(width: int, num_layers: int, outputs: int, final_kernel_init: Initializer | None = None) -> Network:
    """Hidden layers of one width, each with layer norm and SiLU, and a linear layer at the end."""
    return mlp([width] * num_layers + [outputs], normed_silu, final_kernel_init=final_kernel_init)


def mix_uniform(logits: tf.Tensor, share: Scalar) -> tf.Tensor:
    """Logarithms of `(1 - share) softmax(logits) + share / K`, along the last axis.

    Hafner et al. (2023), "Mastering diverse domains through world models", unimix: no probability is ever zero, and
    no divergence infinite.
    """
    return tf.math.log((1 - share) * tf.nn.softmax(logits) + share / logits.shape[-1])


def straight_through(logits: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """One-hot draws from softmax(logits), with the gradient of the probabilities.

    Bengio, Leonard and Courville (2013), "Estimating or propagating gradients through stochastic neurons for
    conditional computation".

    Args:
      logits: `[..., K]`.
      noise: `[...]`, uniform in [0, 1): the draw is the class in whose share of the interval it lies.

    Returns:
      `[..., K]`.
    """
    probs = tf.nn.softmax(logits)
    below = tf.cumsum(probs, axis=-1, exclusive=True)
    # Counted by the lower ends, of which the first is zero, so that one class is drawn however the sums are rounded.
    index = tf.reduce_sum(tf.cast(below <= noise[..., tf.newaxis], tf.int32), axis=-1) - 1
    return probs + tf.stop_gradient(tf.one_hot(index, logits.shape[-1], dtype=logits.dtype) - probs)


class ModelSize(NamedTuple):
    """How large the networks are.

    From 12m on as in the table of Hafner et al. (2023), where millions of parameters are counted with convolutions.
    """

    units: int  # of the deterministic state
    blocks: int  # in its recurrence
    width: int  # of all other layers
    classes: int  # of each of the 32 latents
    depth: int  # the filters of the first convolution


MODEL_SIZES = {
    "0.1m": ModelSize(64, 2, 32, 4, 2),
    "0.5m": ModelSize(256, 4, 64, 4, 4),
    "1m": ModelSize(640, 8, 80, 4, 4),
    "4m": ModelSize(1536, 8, 160, 8, 8),
    "12m": ModelSize(2048, 8, 256, 16, 16),
    "25m": ModelSize(3072, 8, 384, 24, 24),
    "50m": ModelSize(4096, 8, 512, 32, 32),
    "100m": ModelSize(6144, 8, 768, 48, 48),
    "200m": ModelSize(8192, 8, 1024, 64, 64),
}


class Latent(NamedTuple):
    """What a world model knows of a moment."""

    deter: tf.Tensor  # [..., D]: all that was before
    stoch: tf.Tensor  # [..., L, K]: one-hot, what could not be known before

    @property
    def features(self) -> tf.Tensor:
        """Both as one vector, `[..., D + L * K]`."""
        *batch, latents, classes = sizes_of(self.stoch)
        return tf.concat([self.deter, tf.reshape(self.stoch, [*batch, latents * classes])], axis=-1)


class RSSM(NamedTuple):
    """A recurrent state-space model. Where an episode begins, `deter` is zeros."""

    num_features: int  # of a Latent
    num_latents: int  # L
    # (key, size of actions, size of embeddings) -> params
    init: Callable[[random.Key, int, int], Nest]
    # batch_size -> deter [B, D]
    initial_state: Callable[[int], tf.Tensor]
    # (params, latent, action [..., A]) -> deter [..., D] of the next moment
    advance: Callable[[Nest, Latent, tf.Tensor], tf.Tensor]
    # (params, deter) -> logits [..., L, K] of what may be seen
    prior: Callable[[Nest, tf.Tensor], tf.Tensor]
    # (params, deter, embedding [..., E]) -> logits [..., L, K] of what is seen
    posterior: Callable[[Nest, tf.Tensor, tf.Tensor], tf.Tensor]


def rssm(
    units: int, blocks: int = 8, hidden: int = 64, *, latents: int = 32, classes: int = 4, unimix: Scalar = 0.01
) -> RSSM:
    """A recurrent state-space model with a gated recurrent unit in blocks.

    Hafner et al. (2023), "Mastering diverse domains through world models", equation 3, with the block-diagonal
    recurrent weights of its later version: each block sees itself and a summary of the whole.

    Args:
      units: D, the size of the deterministic state, a multiple of `blocks`.
      blocks: into which the recurrent weights are divided.
      hidden: the width of the layers around it.
      latents: L, the number of categorical variables.
      classes: K, of each of them.
      unimix: the share of the uniform distribution in each.

    Raises:
      ValueError: if the blocks do not divide the units.
    """
    if units % blocks:
        raise ValueError(f"rssm: units is {units}, expected a multiple of blocks = {blocks}")
    summary = dense(hidden)
    mixed, gates = block_dense(units, blocks), block_dense(3 * units, blocks)
    prior_net, posterior_net = (normed_mlp(hidden, layers, latents * classes) for layers in (2, 1))

    def init(key: random.Key, num_actions: int, embedding: int) -> Nest:
        keys = iter(tf.unstack(random.split(key, 7), num=7))
        size = lambda *axes: tf.TensorSpec(axes)
        return {
            "from_deter": summary.init(next(keys), size(units)),
            "from_stoch": summary.init(next(keys), size(latents * classes)),
            "from_action": summary.init(next(keys), size(num_actions)),
            "mixed": mixed.init(next(keys), size(units + 3 * hidden * blocks)),
            "gates": gates.init(next(keys), size(units)),
            "prior": prior_net.init(next(keys), size(units)),
            "posterior": posterior_net.init(next(keys), size(units + embedding)),
        }

    def advance(params: Nest, latent: Latent, action: tf.Tensor) -> tf.Tensor:
        deter = latent.deter
        *batch, _ = sizes_of(deter)
        stoch = latent.features[..., units:]
        parts = {"from_deter": deter, "from_stoch": stoch, "from_action": action}
        seen = normed_silu(tf.stack([summary.apply(params[name], part) for name, part in parts.items()], axis=-2))
        # Every block sees its own part of the state, and all of the summary.
        own = tf.reshape(deter, [*batch, blocks, units // blocks])
        seen = tf.reshape(seen, [*batch, 1, 3 * hidden])
        everywhere = tf.broadcast_to(seen, [*batch, blocks, 3 * hidden])
        inputs = tf.reshape(tf.concat([own, everywhere], axis=-1), [*batch, units + 3 * hidden * blocks])
        layer = normed_silu(mixed.apply(params["mixed"], inputs))
        by_block = tf.reshape(gates.apply(params["gates"], layer), [*batch, blocks, 3, units // blocks])
        reset, candidate, update = (tf.reshape(by_block[..., i, :], [*batch, units]) for i in range(3))
        update = tf.sigmoid(update - 1.0)  # begins by keeping more than it takes
        return update * tf.tanh(tf.sigmoid(reset) * candidate) + (1 - update) * deter

    def to_logits(outputs: tf.Tensor) -> tf.Tensor:
        return mix_uniform(tf.reshape(outputs, [*sizes_of(outputs)[:-1], latents, classes]), unimix)

    def prior(params: Nest, deter: tf.Tensor) -> tf.Tensor:
        return to_logits(prior_net.apply(params["prior"], deter))

    def posterior(params: Nest, deter: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        return to_logits(posterior_net.apply(params["posterior"], tf.concat([deter, embedding], axis=-1)))

    zeros = lambda batch_size: tf.zeros([batch_size, units])
    return RSSM(units + latents * classes, latents, init, zeros, advance, prior, posterior)


def block_dense(features: int, blocks: int) -> Network:
    """A linear layer whose kernel is block-diagonal: `[..., in] -> [..., features]`, `blocks` dividing both.

    Kernels are `[blocks, in / blocks, features / blocks]`.
    """
    kernel_init = lecun_normal()

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        keys = tf.unstack(random.split(key, blocks), num=blocks)
        shape = [spec.shape[0] // blocks, features // blocks]
        return {"kernel": tf.stack([kernel_init(part, shape) for part in keys]), "bias": tf.zeros([features])}

    def apply(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        *batch, width = sizes_of(inputs)
        # As one product of matrices per block; the axes of the batch become one.
        rows = tf.transpose(tf.reshape(inputs, [-1, blocks, width // blocks]), [1, 0, 2])
        outputs = tf.transpose(product(rows, params["kernel"]), [1, 0, 2])
        return tf.reshape(outputs, [*batch, features]) + params["bias"]

    return Network(init, apply)
