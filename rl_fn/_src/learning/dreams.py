"""What a recurrent model of latents imagines."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import networks, random
from rl_fn._src.scan import scan
from rl_fn.struct import Nest, Scalar


class Dream(NamedTuple):
    """Imagined steps, `[L, ...]`."""

    latent: tf.Tensor  # [L, ..., Z]: what was acted on
    action: tf.Tensor  # [L, ..., A]
    reward: tf.Tensor  # [L, ...]: as the memory predicts it
    end_probability: tf.Tensor  # [L, ...]: that the step ends the episode

    def returns(self, gamma: Scalar = 1.0) -> tf.Tensor:
        """The sums of rewards `[...]`, each weighted by the probability that the episode has lasted so long."""
        goes_on = gamma * (1.0 - self.end_probability)
        weight = tf.math.cumprod(goes_on, axis=0, exclusive=True)
        return tf.reduce_sum(weight * self.reward, axis=0)


def dream(
    memory: networks.MixtureDensityMemory,
    params: Nest,
    latent: tf.Tensor,
    state: Nest,
    control: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    key: random.Key,
    length: int,
    temperature: Scalar = 1.0,
    leading: int = 0,
) -> Dream:
    """Acts in a model: Ha and Schmidhuber (2018), "World models", section 4.

    Args:
      memory: the model.
      params: its parameters.
      latent: `[..., Z]`, where dreams begin.
      state: of the memory there.
      control: from latents and the memory's outputs to actions as the memory takes them, `[..., A]`.
      key: `uint32[2]`.
      length: L.
      temperature: see `Mixture.sample`.
      leading: how many of the first axes dream with the same random numbers.
    """

    def step(carry: tuple, key: random.Key) -> tuple[tuple, Dream]:
        latent, state = carry
        action = control(latent, state[0])
        prediction, state = memory.step(params, state, latent, action)
        following = prediction.latent.sample(key, temperature, leading)
        return (following, state), Dream(latent, action, prediction.reward, tf.sigmoid(prediction.end_logit))

    return scan(step, (latent, state), random.split(key, length))[1]
