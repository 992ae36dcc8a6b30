"""A recurrent network that predicts what follows a latent and an action: the mixture-density LSTM of world models."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.feedforward import dense
from rl_fn._src.networks.recurrent import lstm
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Nest, Scalar

_SMALLEST, _LARGEST = -5.0, 2.0  # log-deviations: a latent that does not move must not weigh without a bound
_RARE = -5.0  # the logit of an end to begin with: ends that M is not sure of would shorten dreams


class Mixture(NamedTuple):
    """A mixture of K Gaussians for each dimension of a latent, independent of the others."""

    logits: tf.Tensor  # [..., Z, K]
    mean: tf.Tensor  # [..., Z, K]
    log_deviation: tf.Tensor  # [..., Z, K]

    def sample(self, key: random.Key, temperature: Scalar = 1.0, leading: int = 0) -> tf.Tensor:
        """A latent `[..., Z]`: Ha and Schmidhuber (2018), "World models", section 4 and appendix A.2.

        Args:
          key: `uint32[2]`.
          temperature: divides the logits and multiplies the variances; above 1 dreams are less certain.
          leading: how many of the first axes share the same random numbers.
        """
        draw_key, noise_key = tf.unstack(random.split(key))
        shape = sizes_of(self.logits)[leading:]
        noisy = self.logits / temperature + random.gumbel(draw_key, shape)
        chosen = tf.one_hot(tf.argmax(noisy, axis=-1), shape[-1], dtype=self.mean.dtype)
        mean = tf.reduce_sum(chosen * self.mean, axis=-1)
        deviation = tf.reduce_sum(chosen * tf.exp(self.log_deviation), axis=-1)
        return mean + deviation * tf.sqrt(tf.cast(temperature, mean.dtype)) * random.normal(noise_key, shape[:-1])


class Prediction(NamedTuple):
    """What follows a latent and an action."""

    latent: Mixture  # the next one
    reward: tf.Tensor  # [...]
    end_logit: tf.Tensor  # [...]: of the probability that the episode terminates


class MixtureDensityMemory(NamedTuple):
    """A recurrent model of an environment's latents."""

    init: Callable[[random.Key], Nest]
    # batch_size -> recurrent_state
    initial_state: Callable[[int], Nest]
    # (params, recurrent_state, latent [..., Z], action [..., A]) -> (Prediction, recurrent_state)
    step: Callable[[Nest, Nest, tf.Tensor, tf.Tensor], tuple[Prediction, Nest]]
    # (params, recurrent_state [B, units], latents [T, B, Z], actions [T, B, A], is_first bool[T, B])
    #   -> (Prediction [T, B, ...], recurrent_state)
    unroll: Callable[..., tuple[Prediction, Nest]]


def mixture_density_memory(
    latent_size: int, action_size: int, units: int, num_components: int = 5
) -> MixtureDensityMemory:
    """An LSTM whose outputs are a mixture of Gaussians over the next latent, a reward and the logit of an end.

    Bishop (1994), "Mixture density networks"; Ha and Schmidhuber (2018), "World models", appendix A.2. The means are
    predicted as what they differ from the latent at hand.

    Args:
      latent_size: Z.
      action_size: A, the numbers that an action is given as.
      units: of the LSTM.
      num_components: K.
    """
    memory, head = lstm(units), dense(3 * latent_size * num_components + 2)

    def init(key: random.Key) -> Nest:
        memory_key, head_key = tf.unstack(random.split(key))
        memory_params = memory.init(memory_key, tf.TensorSpec([latent_size + action_size]))
        head_params = head.init(head_key, tf.TensorSpec([units]))
        bias = head_params["bias"] + _RARE * tf.one_hot(head_params["bias"].shape[0] - 1, head_params["bias"].shape[0])
        return {"memory": memory_params, "head": {**head_params, "bias": bias}}

    def predict(params: Nest, hidden: tf.Tensor, latent: tf.Tensor) -> Prediction:
        outputs = head.apply(params["head"], hidden)
        parts = tf.reshape(outputs[..., :-2], [*sizes_of(latent)[:-1], 3, latent_size, num_components])
        logits, change, log_deviation = tf.unstack(parts, axis=-3)
        middle, half = (_LARGEST + _SMALLEST) / 2, (_LARGEST - _SMALLEST) / 2
        mixture = Mixture(logits, latent[..., tf.newaxis] + change, middle + half * tf.tanh(log_deviation / half))
        return Prediction(mixture, outputs[..., -2], outputs[..., -1])

    def step(params: Nest, state: Nest, latent: tf.Tensor, action: tf.Tensor) -> tuple[Prediction, Nest]:
        hidden, state = memory.step(params["memory"], state, tf.concat([latent, action], axis=-1))
        return predict(params, hidden, latent), state

    def unroll(
        params: Nest, state: Nest, latents: tf.Tensor, actions: tf.Tensor, is_first: tf.Tensor
    ) -> tuple[Prediction, Nest]:
        inputs = tf.concat([latents, actions], axis=-1)
        hidden, state = memory.unroll(params["memory"], state, inputs, is_first)
        return predict(params, hidden, latents), state

    return MixtureDensityMemory(init, memory.initial_state, step, unroll)
