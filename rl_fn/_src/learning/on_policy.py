"""Learning from what the policy itself has just experienced."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import networks, returns, struct
from rl_fn._src import shards
from rl_fn._src.learning.critics import successor_values
from rl_fn._src.learning.minibatches import in_sequences
from rl_fn.normalization import RewardNormalizer, RunningMoments
from rl_fn.struct import Nest, Scalar


class OnPolicyPolicy(NamedTuple):
    """All that an agent needs to act that learns from its rollouts."""

    params: Nest
    observations: RunningMoments  # frozen during a rollout and its update


class OnPolicyState(NamedTuple):
    """The state of an agent that learns from its rollouts."""

    learner: Any  # what learning from a rollout changes; its `params` are what acts
    observations: RunningMoments
    rewards: RewardNormalizer

    @property
    def policy(self) -> OnPolicyPolicy:
        """All that acting needs."""
        return OnPolicyPolicy(self.learner.params, self.observations)


class Rollout(NamedTuple):
    """Experience as a network takes it: `[T, B, ...]`, with what was computed when it was collected."""

    inputs: Nest
    next_inputs: Nest  # of the true successors
    raw_action: tf.Tensor  # before it was clipped
    log_prob: tf.Tensor  # of the raw action
    value: tf.Tensor
    outputs: tf.Tensor  # [T, B, P], of the network for the policy's head
    recurrent_state: Nest  # before the step
    is_first: tf.Tensor  # bool[T, B]: whether the recurrent state was reset before this step, but for the first row
    is_last: tf.Tensor  # bool[T, B]: whether the episode ends with this step
    reward: tf.Tensor
    discount: tf.Tensor  # 0 where the task ended


class Sequences(NamedTuple):
    """Parts of a rollout to take gradient steps on: N sequences of L steps."""

    inputs: Nest  # [L, N, ...]
    raw_action: tf.Tensor  # [L, N, ...]: before it was clipped
    log_prob: tf.Tensor  # [L, N]: when the experience was collected, as are value, outputs and recurrent state
    value: tf.Tensor  # [L, N]
    outputs: tf.Tensor  # [L, N, P]
    recurrent_state: Nest  # [1, N, ...]: before the first step
    is_first: tf.Tensor  # bool[L, N]: whether the recurrent state was reset before this step
    advantage: tf.Tensor  # [L, N]


def advantages(network: networks.ActorCritic, params: Nest, rollout: Rollout, lambda_: Scalar) -> tf.Tensor:
    """Generalised advantage estimates `[T, B]` of a rollout, of values when it was collected.

    Values of the next states, too, where the episode goes on. With those of other parameters in their place, as where
    actors are an update behind, what differs between the two would be added up along the episode.

    Args:
      network: policy and value.
      params: of the network, for the values of states that no step was taken from.
      rollout: the experience.
      lambda_: see `returns.generalized_advantage_estimation`.
    """
    steps = rollout.recurrent_state, rollout.inputs, rollout.next_inputs, rollout.is_last, rollout.discount
    v_t = successor_values(network, params, rollout.value, *steps)
    return returns.generalized_advantage_estimation(
        rollout.reward, rollout.discount, rollout.value, v_t, lambda_, rollout.is_last
    )


def sequences_of(rollout: Rollout, advantage: tf.Tensor, length: int) -> Sequences:
    """Cuts a rollout, with the advantages `[T, B]` of its steps, into sequences of a length that divides T."""
    fields = {name: getattr(rollout, name) for name in Sequences._fields if name != "advantage"}
    sequences = in_sequences(Sequences(**fields, advantage=advantage), length)
    return sequences._replace(recurrent_state=struct.at(sequences.recurrent_state, slice(1)))


def normalized(x: tf.Tensor) -> tf.Tensor:
    """Of mean 0 and deviation 1 over all elements, also those of other devices where they share a batch."""
    if not shards.has_rows():
        return (x - tf.reduce_mean(x)) / (tf.math.reduce_std(x) + 1e-8)
    # They exchange moments and meet once: the variance of the whole is the mean of theirs, and that of the means.
    mine = tf.stack([[tf.reduce_mean(x)], [tf.math.reduce_variance(x)]])
    means, variances = tf.unstack(shards.gathered(mine, axis=1))
    mean = tf.reduce_mean(means)
    deviation = tf.sqrt(tf.reduce_mean(variances + (means - mean) ** 2))
    return (x - mean) / (deviation + 1e-8)


def approx_kl(log_ratio: tf.Tensor) -> tf.Tensor:
    """The mean of r - 1 - log r, an unbiased estimate of KL(old, new) that is never negative.

    Schulman (2020), "Approximating KL divergence", the estimator k3.

    Args:
      log_ratio: log r = log pi_new(a) - log pi_old(a) of actions that the old policy drew.

    Returns:
      A scalar.
    """
    return tf.reduce_mean(tf.math.expm1(log_ratio) - log_ratio)


def clip_fraction(log_ratio: tf.Tensor, epsilon: Scalar) -> tf.Tensor:
    """The share of ratios, given by their logarithms, that differ from 1 by more than epsilon."""
    return tf.reduce_mean(tf.cast(tf.abs(tf.exp(log_ratio) - 1) > epsilon, tf.float32))


def explained_variance(value: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The share of the variance of targets that values explain, 1 - Var(target - value) / Var(target).

    1 for perfect values, 0 for constant ones, and less for worse; 0 where the targets are all alike.
    """
    unexplained = tf.math.divide_no_nan(tf.math.reduce_variance(target - value), tf.math.reduce_variance(target))
    return tf.where(tf.math.reduce_variance(target) > 0, 1 - unexplained, 0.0)
