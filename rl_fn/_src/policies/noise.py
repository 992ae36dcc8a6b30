"""Noise for exploration: on actions, on the probabilities at the root of a search, and on parameters."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src.policies.distributions import Distribution, gaussian
from rl_fn._src.shapes import as_sizes, broadcast_sizes, sizes_of
from rl_fn._src.signature import arguments, signature
from rl_fn.struct import Nest


@signature(key="key 2", a_t="float ... A", stddev="float | A in [0, inf]", low="float | A", high="float | A")
def add_gaussian_noise(
    key: random.Key,
    a_t: tf.Tensor,
    stddev: float | tf.Tensor,
    low: float | tf.Tensor | None = None,
    high: float | tf.Tensor | None = None,
) -> tf.Tensor:
    """Adds independent Gaussian noise to actions, and keeps them inside bounds where these are given.

    Args:
      key: `uint32[2]`.
      a_t: `[..., A]` actions.
      stddev: of the noise, a scalar or `[A]`.
      low: the smallest action, a scalar or `[A]`.
      high: the largest action.

    Returns:
      `[..., A]` actions.
    """
    noisy = a_t + stddev * random.normal(key, sizes_of(a_t), a_t.dtype)
    if high is not None:
        noisy = tf.minimum(noisy, high)
    return noisy if low is None else tf.maximum(noisy, low)


@signature(
    key="key 2",
    noise_tm1="float ... A",
    is_first_t="bool ...",
    damping="float | A in [0, 1]",
    stddev="float | A in [0, inf]",
)
def ornstein_uhlenbeck(
    key: random.Key,
    noise_tm1: tf.Tensor,
    is_first_t: tf.Tensor | None = None,
    damping: float | tf.Tensor = 0.15,
    stddev: float | tf.Tensor = 0.2,
) -> tf.Tensor:
    """The next state of an Ornstein-Uhlenbeck process, (1 - damping) noise_tm1 + stddev N(0, 1).

    Uhlenbeck and Ornstein (1930), "On the theory of the Brownian motion", in steps of one; Lillicrap
    et al. (2016), "Continuous control with deep reinforcement learning". The state is the noise to add
    to the action. It starts at zero, and starts again where an episode begins.

    Args:
      key: `uint32[2]`.
      noise_tm1: `[..., A]` the state of the last step.
      is_first_t: `bool[...]`, where an episode begins with this step.
      damping: how fast the process returns to zero, a scalar or `[A]` in [0, 1].
      stddev: of the noise of one step, a scalar or `[A]`.

    Returns:
      `[..., A]` the state of this step.
    """
    if is_first_t is not None:
        noise_tm1 = tf.where(is_first_t[..., tf.newaxis], tf.zeros_like(noise_tm1), noise_tm1)
    return (1 - damping) * noise_tm1 + stddev * random.normal(key, sizes_of(noise_tm1), noise_tm1.dtype)


@signature(
    key="key 2",
    probs="float ... A in [0, 1]",
    concentration="float in (0, inf]",
    fraction="float in [0, 1]",
    legal="bool ... A",
)
def add_dirichlet_noise(
    key: random.Key,
    probs: tf.Tensor,
    concentration: float | tf.Tensor,
    fraction: float | tf.Tensor = 0.25,
    legal: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mixes Dirichlet noise into the probabilities at the root: (1 - fraction) probs + fraction noise.

    Silver et al. (2018), "A general reinforcement learning algorithm that masters chess, shogi, and Go
    through self-play", with a concentration of 0.3, 0.15 and 0.03 for the three.

    Args:
      key: `uint32[2]`.
      probs: `[..., A]` probabilities of the policy, zero for illegal actions.
      concentration: of the symmetric Dirichlet distribution, a positive scalar.
      fraction: the part of the noise, in [0, 1].
      legal: `bool[..., A]`, all true unless given; the noise is over the legal actions.

    Returns:
      `[..., A]` probabilities.
    """
    legal = tf.ones_like(probs, tf.bool) if legal is None else legal
    shape = broadcast_sizes(sizes_of(probs), sizes_of(legal))
    noise = random.dirichlet(key, tf.where(legal, concentration, 0), shape)
    return (1 - fraction) * probs + fraction * noise


@signature(key="key 2", stddev="float F A in [0, inf]")
def state_dependent_noise(key: random.Key, stddev: tf.Tensor, batch_shape: random.Shape = ()) -> tf.Tensor:
    """Draws the matrix of generalised state-dependent exploration (gSDE), N(0, stddev**2) elementwise.

    Raffin, Kober and Stulp (2022), "Smooth exploration for robotic reinforcement learning". The noise
    of an action is `features @ matrix`: smooth in the state for as long as the matrix is kept. The
    caller keeps it, for a number of steps or an episode.

    Args:
      key: `uint32[2]`.
      stddev: `[F, A]`, positive.
      batch_shape: leading axes, for a matrix per environment.

    Returns:
      `[*batch_shape, F, A]`.
    """
    return stddev * random.normal(key, (*as_sizes(batch_shape), *sizes_of(stddev)), stddev.dtype)


@signature(mean="float ... A", features="float ... F", matrix="float ... F A")
def state_dependent_action(mean: tf.Tensor, features: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """The action of gSDE, mean + features @ matrix.

    Args:
      mean: `[..., A]` actions of the policy.
      features: `[..., F]` features of the state, such as the last hidden layer.
      matrix: `[..., F, A]` what `state_dependent_noise` drew.

    Returns:
      `[..., A]` actions.
    """
    return mean + tf.reduce_sum(features[..., tf.newaxis] * matrix, axis=-2)


@arguments(mean="float ... A", features="float ... F", stddev="float F A in [0, inf]", epsilon="float in [0, inf]")
def state_dependent_gaussian(
    mean: tf.Tensor, features: tf.Tensor, stddev: tf.Tensor, epsilon: float | tf.Tensor = 1e-6
) -> Distribution:
    """The exact distribution of the action of gSDE over matrices: variance sum_f features_f**2 stddev_f**2.

    Raffin, Kober and Stulp (2022), "Smooth exploration for robotic reinforcement learning", equation 9.

    Args:
      mean: `[..., A]` actions of the policy.
      features: `[..., F]`; stop their gradient where the noise should not train them.
      stddev: `[F, A]`, positive.
      epsilon: added to the variance, which is zero where all features are.

    Returns:
      An Independent Normal with samples `[..., A]`.
    """
    variance = tf.reduce_sum(tf.square(features[..., tf.newaxis] * stddev), axis=-2)
    return gaussian(mean, tf.sqrt(variance + epsilon))


@signature(key="key 2", stddev="float in [0, inf]")
def perturb(key: random.Key, params: Nest, stddev: float | tf.Tensor) -> Nest:
    """Adds Gaussian noise to parameters.

    Plappert et al. (2018), "Parameter space noise for exploration". Every leaf draws from a key of its own.

    Args:
      key: `uint32[2]`.
      params: a nest of tensors; integers and booleans in it are left as they are.
      stddev: of the noise, a scalar; see `adaptive_noise_stddev`.

    Returns:
      A nest like `params`.
    """

    def noisy(index: int, leaf: tf.Tensor) -> tf.Tensor:
        leaf = tf.convert_to_tensor(leaf)
        if not leaf.dtype.is_floating:
            return leaf
        noise = random.normal(random.fold_in(key, index), sizes_of(leaf), leaf.dtype)
        return leaf + tf.cast(stddev, leaf.dtype) * noise

    leaves = [noisy(index, leaf) for index, leaf in enumerate(tf.nest.flatten(params))]
    return tf.nest.pack_sequence_as(params, leaves)


@signature(
    stddev="float ... in [0, inf]",
    distance="float ... in [0, inf]",
    target_distance="float ... in [0, inf]",
    factor="float in [1, inf]",
)
def adaptive_noise_stddev(
    stddev: tf.Tensor,
    distance: tf.Tensor,
    target_distance: float | tf.Tensor,
    factor: float | tf.Tensor = 1.01,
) -> tf.Tensor:
    """The next scale of parameter noise: larger where the perturbed policy was too close, else smaller.

    Plappert et al. (2018), "Parameter space noise for exploration", equation 5.

    Args:
      stddev: `[...]` the scale.
      distance: `[...]` measured between the policy and the perturbed one: the root mean square of the
        difference of the actions, or a divergence.
      target_distance: `[...]` the distance aimed at.
      factor: of one adaptation.

    Returns:
      `[...]` the next scale.
    """
    return tf.where(distance <= target_distance, stddev * factor, stddev / factor)
