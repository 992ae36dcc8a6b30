"""Losses of policies that are improved by their gradient, and of the values beside them."""

from __future__ import annotations

import tensorflow as tf

from rl_fn.losses.elementwise import batched_index
from rl_fn.signature import signature


@signature(logits_t="float ... A", a_t="int ... in [0, A)", adv_t="float ...")
def policy_gradient_loss(logits_t: tf.Tensor, a_t: tf.Tensor, adv_t: tf.Tensor) -> tf.Tensor:
    """The policy-gradient loss, -log pi(a_t) adv_t; the advantage gets no gradient.

    Williams (1992), "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning".

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities.
      a_t: `int[...]` actions taken.
      adv_t: `[...]` advantages or returns.

    Returns:
      `[...]` losses.
    """
    return -batched_index(tf.nn.log_softmax(logits_t), a_t) * tf.stop_gradient(adv_t)


@signature(logits_t="float ... A")
def entropy_loss(logits_t: tf.Tensor) -> tf.Tensor:
    """The negative entropy of softmax(logits), in nats; -inf logits have probability zero.

    Williams and Peng (1991), "Function optimization using connectionist reinforcement learning
    algorithms".

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities.

    Returns:
      `[...]`, between -log A and 0.
    """
    log_probs = tf.nn.log_softmax(logits_t)
    possible = log_probs > log_probs.dtype.min
    return tf.reduce_sum(tf.exp(log_probs) * tf.where(possible, log_probs, tf.zeros_like(log_probs)), axis=-1)


@signature(prob_ratios_t="float ...", adv_t="float ...", epsilon="float in [0, inf]")
def clipped_surrogate_pg_loss(
    prob_ratios_t: tf.Tensor, adv_t: tf.Tensor, epsilon: float | tf.Tensor = 0.2
) -> tf.Tensor:
    """PPO's clipped objective as a loss: -min(ratio adv, clip(ratio, 1 - epsilon, 1 + epsilon) adv).

    Schulman et al. (2017), "Proximal policy optimization algorithms", equation 7. The advantage gets
    no gradient.

    Args:
      prob_ratios_t: `[...]` pi(a_t) / pi_old(a_t).
      adv_t: `[...]` advantages.
      epsilon: the clip range.

    Returns:
      `[...]` losses.
    """
    adv_t = tf.stop_gradient(adv_t)
    clipped = tf.clip_by_value(prob_ratios_t, 1 - epsilon, 1 + epsilon)
    return -tf.minimum(prob_ratios_t * adv_t, clipped * adv_t)


@signature(v_t="float ...", v_old_t="float ...", target_t="float ...", epsilon="float in [0, inf]")
def clipped_value_loss(
    v_t: tf.Tensor, v_old_t: tf.Tensor, target_t: tf.Tensor, epsilon: float | tf.Tensor = 0.2
) -> tf.Tensor:
    """0.5 max((v - target)**2, (v_old + clip(v - v_old, -epsilon, epsilon) - target)**2).

    The value loss of PPO's first implementation; Engstrom et al. (2020), "Implementation matters in
    deep policy gradients", section 3. Old values and targets get no gradient.

    Args:
      v_t: `[...]` values.
      v_old_t: `[...]` values when the experience was collected.
      target_t: `[...]` returns to regress on.
      epsilon: the clip range.

    Returns:
      `[...]` losses.
    """
    v_old_t, target_t = tf.stop_gradient(v_old_t), tf.stop_gradient(target_t)
    v_clipped = v_old_t + tf.clip_by_value(v_t - v_old_t, -epsilon, epsilon)
    return 0.5 * tf.maximum(tf.square(v_t - target_t), tf.square(v_clipped - target_t))
