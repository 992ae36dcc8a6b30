"""Losses of policies that are improved with the value of every action, or with its gradient."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, l2_loss
from rl_fn._src.signature import signature


@signature(a_t="float ... A", dqda_t="float ... A", dqda_clipping="float in (0, inf]")
def dpg_loss(
    a_t: tf.Tensor,
    dqda_t: tf.Tensor,
    dqda_clipping: float | tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The deterministic policy gradient as a loss: half the squared distance from a_t to a_t + dq/da.

    Silver et al. (2014), "Deterministic policy gradient algorithms", equation 9. The target gets no
    gradient, so the gradient with respect to the action is -dq/da.

    Args:
      a_t: `[..., A]` actions of the policy.
      dqda_t: `[..., A]` gradients of the action value at those actions.
      dqda_clipping: the largest norm of a gradient; longer ones are shortened to it. No bound unless
        given.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` losses, summed over the components of the action.
    """
    if dqda_clipping is not None:
        dqda_t = _clip_by_norm(dqda_t, dqda_clipping)
    target = as_target(a_t + dqda_t, stop_target_gradients)
    return tf.reduce_sum(l2_loss(target - a_t), axis=-1)


@signature(logits_t="float ... A", q_t="float ... A")
def qpg_loss(logits_t: tf.Tensor, q_t: tf.Tensor, stop_target_gradients: bool = True) -> tf.Tensor:
    """The policy gradient over all actions: -sum_a pi(a) (q(a) - sum_b pi(b) q(b)).

    Srinivasan et al. (2018), "Actor-critic policy optimization in partially observable multiagent
    environments".

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities.
      q_t: `[..., A]` action values; no gradient.
      stop_target_gradients: whether the advantages are constants to the gradient.

    Returns:
      `[...]` losses.
    """
    probs, advantages = _probs_and_advantages(logits_t, tf.stop_gradient(q_t))
    return -tf.reduce_sum(probs * as_target(advantages, stop_target_gradients), axis=-1)


@signature(logits_t="float ... A", q_t="float ... A")
def rm_loss(logits_t: tf.Tensor, q_t: tf.Tensor, stop_target_gradients: bool = True) -> tf.Tensor:
    """The regret-matching policy gradient: -sum_a pi(a) max(q(a) - sum_b pi(b) q(b), 0).

    Srinivasan et al. (2018), "Actor-critic policy optimization in partially observable multiagent
    environments".

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities.
      q_t: `[..., A]` action values; no gradient.
      stop_target_gradients: whether the regrets are constants to the gradient.

    Returns:
      `[...]` losses.
    """
    probs, advantages = _probs_and_advantages(logits_t, tf.stop_gradient(q_t))
    return -tf.reduce_sum(probs * as_target(tf.nn.relu(advantages), stop_target_gradients), axis=-1)


@signature(logits_t="float ... A", q_t="float ... A")
def rpg_loss(logits_t: tf.Tensor, q_t: tf.Tensor, stop_target_gradients: bool = True) -> tf.Tensor:
    """The regret policy gradient: sum_a max(q(a) - sum_b pi(b) q(b), 0).

    Srinivasan et al. (2018), "Actor-critic policy optimization in partially observable multiagent
    environments".

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities.
      q_t: `[..., A]` action values.
      stop_target_gradients: whether the action values are constants to the gradient.

    Returns:
      `[...]` losses.
    """
    _, advantages = _probs_and_advantages(logits_t, as_target(q_t, stop_target_gradients))
    return tf.reduce_sum(tf.nn.relu(advantages), axis=-1)


def _probs_and_advantages(logits_t: tf.Tensor, q_t: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    probs = tf.nn.softmax(logits_t)
    return probs, q_t - tf.reduce_sum(probs * q_t, axis=-1, keepdims=True)


def _clip_by_norm(x: tf.Tensor, largest: tf.Tensor) -> tf.Tensor:
    square = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
    # The square root has no gradient at zero; a vector that short is not clipped.
    too_long = square > tf.square(largest)
    norm = tf.sqrt(tf.where(too_long, square, tf.ones_like(square)))
    return tf.where(too_long, x * (largest / norm), x)
