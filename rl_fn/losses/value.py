"""Temporal-difference errors of state and action values: target minus prediction.

Subscripts name the time step: `q_tm1` and `a_tm1` belong to the state a transition starts from, `r_t`,
`discount_t` and `q_t` to the one it leads to. `discount_t` is gamma, and 0 where the task terminated.
Targets get no gradient unless `stop_target_gradients` is false.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn.losses.elementwise import batched_index
from rl_fn.signature import signature


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
    return _target(r_t + discount_t * v_t, stop_target_gradients) - v_tm1


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
    return _target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


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
    return _target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


def _target(target: tf.Tensor, stop: bool) -> tf.Tensor:
    return tf.stop_gradient(target) if stop else target
