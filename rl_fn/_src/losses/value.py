"""Temporal-difference errors of state and action values: target minus prediction.

Subscripts name the time step: `q_tm1` and `a_tm1` belong to the state a transition starts from, `r_t`,
`discount_t` and `q_t` to the one it leads to. `discount_t` is gamma, and 0 where the task terminated.
Targets get no gradient unless `stop_target_gradients` is false.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, batched_index
from rl_fn._src.signature import signature


@signature(v_tm1="float ...", r_t="float ...", discount_t="float ...", v_t="float ...")
def td_learning(
    v_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The TD(0) error, r_t + discount_t v_t - v_tm1.

    Sutton (1988), "Learning to predict by the methods of temporal differences".

    Args:
      v_tm1: `[...]` state values.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      v_t: `[...]` values of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    return as_target(r_t + discount_t * v_t, stop_target_gradients) - v_tm1


@signature(q_tm1="float ... A", a_tm1="int ... in [0, A)", r_t="float ...", discount_t="float ...", q_t="float ... A")
def q_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Q-learning error, r_t + discount_t max_a q_t(a) - q_tm1(a_tm1).

    Watkins and Dayan (1992), "Q-learning".

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    target = r_t + discount_t * tf.reduce_max(q_t, axis=-1)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float ... A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t_value="float ... A",
    q_t_selector="float ... A",
)
def double_q_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t_value: tf.Tensor,
    q_t_selector: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The double Q-learning error, r_t + discount_t q_t_value(argmax_a q_t_selector(a)) - q_tm1(a_tm1).

    van Hasselt, Guez and Silver (2016), "Deep reinforcement learning with double Q-learning".

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t_value: `[..., A]` action values of the successors, which value the chosen action.
      q_t_selector: `[..., A]` action values of the successors, which choose it; never any gradient.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    best = tf.argmax(q_t_selector, axis=-1, output_type=tf.int32)
    target = r_t + discount_t * batched_index(q_t_value, best)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float ... A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... A",
    a_t="int ... in [0, A)",
)
def sarsa(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    a_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The SARSA error, r_t + discount_t q_t(a_t) - q_tm1(a_tm1).

    Rummery and Niranjan (1994), "On-line Q-learning using connectionist systems"; Sutton and Barto
    (2018), equation 6.7.

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors.
      a_t: `int[...]` actions taken in the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    target = r_t + discount_t * batched_index(q_t, a_t)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float ... A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... A",
    probs_a_t="float ... A in [0, inf)",
)
def expected_sarsa(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    probs_a_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The expected SARSA error, r_t + discount_t sum_a pi(a) q_t(a) - q_tm1(a_tm1).

    van Seijen, van Hasselt, Whiteson and Wiering (2009), "A theoretical and empirical analysis of
    expected Sarsa".

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors.
      probs_a_t: `[..., A]` probabilities pi(a) of the policy in the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    target = r_t + discount_t * tf.reduce_sum(probs_a_t * q_t, axis=-1)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float ... A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... A",
    action_gap_scale="float in [0, 1]",
)
def persistent_q_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    action_gap_scale: float | tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The error of Q-learning in which the last action may be repeated.

    r_t + discount_t ((1 - scale) max_a q_t(a) + scale q_t(a_tm1)) - q_tm1(a_tm1); Bellemare et al. (2016),
    "Increasing the action gap: new operators for reinforcement learning".

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors.
      action_gap_scale: a scalar in [0, 1]; 0 is Q-learning.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    best, repeated = tf.reduce_max(q_t, axis=-1), batched_index(q_t, a_tm1)
    target = r_t + discount_t * ((1 - action_gap_scale) * best + action_gap_scale * repeated)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float ... A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... A",
    q_tm1_target="float ... A",
    alpha="float in [0, 1]",
    temperature="float in (0, inf)",
    clip_min="float in [-inf, 0]",
)
def munchausen_q_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    q_tm1_target: tf.Tensor,
    alpha: float | tf.Tensor = 0.9,
    temperature: float | tf.Tensor = 0.03,
    clip_min: float | tf.Tensor = -1.0,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Munchausen error: soft Q-learning whose reward holds the policy's own log-probability.

    r_t + alpha clip(temperature log pi_tm1(a_tm1), clip_min, 0)
    + discount_t sum_a pi_t(a) (q_t(a) - temperature log pi_t(a)) - q_tm1(a_tm1), where the policies are
    softmax(q_tm1_target / temperature) and softmax(q_t / temperature); Vieillard, Pietquin and Geist (2020),
    "Munchausen reinforcement learning", equation 2 with the clip of section 4.

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors, from the target network.
      q_tm1_target: `[..., A]` action values of the same states as `q_tm1`, from the target network.
      alpha: a scalar in [0, 1], the weight of the log-probability; 0 is soft Q-learning.
      temperature: a positive scalar, the weight of the entropy.
      clip_min: a scalar, at most 0: the least value of temperature log pi.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    log_policy = batched_index(q_tm1_target, a_tm1) - _soft_value(q_tm1_target, temperature)
    bonus = alpha * tf.clip_by_value(log_policy, clip_min, 0)
    target = r_t + bonus + discount_t * _soft_value(q_t, temperature)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(q_tm1="float ... A", a_tm1="int ... in [0, A)", r_t="float ...", discount_t="float ...", v_t="float ...")
def qv_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The QV-learning error of action values, r_t + discount_t v_t - q_tm1(a_tm1).

    Wiering and van Hasselt (2007), "Two novel on-policy reinforcement learning algorithms based on
    TD(lambda)-methods". The state values are learned beside them, by `td_learning` or `td_lambda`.

    Args:
      q_tm1: `[..., A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      v_t: `[...]` state values of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    return as_target(r_t + discount_t * v_t, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(v_tm1="float ...", r_t="float ...", discount_t="float ...", q_t="float ... A")
def qv_max(
    v_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The QVMAX error of state values, r_t + discount_t max_a q_t(a) - v_tm1.

    Wiering and van Hasselt (2009), "The QV family compared to other reinforcement learning algorithms".
    The action values are learned beside them, by `qv_learning`.

    Args:
      v_tm1: `[...]` state values.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., A]` action values of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` errors.
    """
    return as_target(r_t + discount_t * tf.reduce_max(q_t, axis=-1), stop_target_gradients) - v_tm1


def _soft_value(q_values: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """temperature log sum_a exp(q(a) / temperature), which is sum_a pi(a) (q(a) - temperature log pi(a)).

    The largest value is taken out before the division, so that a small temperature does not overflow.
    """
    best = tf.stop_gradient(tf.reduce_max(q_values, axis=-1, keepdims=True))
    return best[..., 0] + temperature * tf.reduce_logsumexp((q_values - best) / temperature, axis=-1)
