"""Temporal-difference errors over time-major sequences: multi-step target minus prediction.

Index t counts steps, as in `rl_fn.returns`: row t of `q_tm1` and `a_tm1` belongs to the state step t starts
from, row t of `r_t`, `discount_t`, `q_t` and `v_t` to the state it leads to, the true successor also where
an episode is truncated. `discount_t` is gamma, and 0 where the task terminated. `truncated_t` marks the
steps after which the next row belongs to another episode although the task did not terminate.
Targets get no gradient unless `stop_target_gradients` is false.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, batched_index
from rl_fn._src.signature import signature
from rl_fn.returns import lambda_returns, off_policy_returns_from_q_and_v


@signature(
    v_tm1="float T ...",
    r_t="float T ...",
    discount_t="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def td_lambda(
    v_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The TD(lambda) errors, the lambda-return minus v_tm1.

    Sutton (1988), "Learning to predict by the methods of temporal differences"; Sutton and Barto (2018),
    section 12.1.

    Args:
      v_tm1: `[T, ...]` state values.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1]; 0 is `td_learning`.
      truncated_t: `bool[T, ...]`.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    return as_target(lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t), stop_target_gradients) - v_tm1


@signature(
    q_tm1="float T ... A",
    a_tm1="int T ... in [0, A)",
    r_t="float T ...",
    discount_t="float T ...",
    q_t="float T ... A",
    a_t="int T ... in [0, A)",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def sarsa_lambda(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    a_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The SARSA(lambda) errors, the lambda-return over q_t(a_t) minus q_tm1(a_tm1).

    Rummery and Niranjan (1994), "On-line Q-learning using connectionist systems"; Sutton and Barto
    (2018), section 12.7.

    Args:
      q_tm1: `[T, ..., A]` action values.
      a_tm1: `int[T, ...]` actions taken.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      q_t: `[T, ..., A]` action values of the successors.
      a_t: `int[T, ...]` actions taken in the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1]; 0 is `sarsa`.
      truncated_t: `bool[T, ...]`.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    target = lambda_returns(r_t, discount_t, batched_index(q_t, a_t), lambda_, truncated_t)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float T ... A",
    a_tm1="int T ... in [0, A)",
    r_t="float T ...",
    discount_t="float T ...",
    q_t="float T ... A",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
    a_t="int T ... in [0, A)",
)
def q_lambda(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    a_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Q(lambda) errors, the lambda-return over max_a q_t(a) minus q_tm1(a_tm1).

    Peng's (Peng and Williams, 1996, "Incremental multi-step Q-learning") without `a_t`. With it, Watkins'
    (Watkins, 1989, "Learning from delayed rewards"; Sutton and Barto, 2018, section 12.10): the return
    bootstraps where the action taken next is not one of the highest value, since what follows it
    says nothing of the greedy policy.

    Args:
      q_tm1: `[T, ..., A]` action values.
      a_tm1: `int[T, ...]` actions taken.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      q_t: `[T, ..., A]` action values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1]; 0 is `q_learning`.
      truncated_t: `bool[T, ...]`.
      a_t: `int[T, ...]` actions taken in the successors, for Watkins' form; the last row has no effect.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    v_t = tf.reduce_max(q_t, axis=-1)
    if a_t is not None:
        lambda_ = tf.where(batched_index(q_t, a_t) >= v_t, lambda_, tf.zeros_like(lambda_))
    target = lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float T ... A",
    q_t="float T ... A",
    a_tm1="int T ... in [0, A)",
    a_t="int T ... in [0, A)",
    r_t="float T ...",
    discount_t="float T ...",
    pi_t="float T ... A in [0, inf)",
    mu_t="float T ... in [0, inf)",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def retrace(
    q_tm1: tf.Tensor,
    q_t: tf.Tensor,
    a_tm1: tf.Tensor,
    a_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    pi_t: tf.Tensor,
    mu_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Retrace errors of discrete actions, G_t - q_tm1(a_tm1).

    G_t = r_t + discount_t (sum_a pi_t(a) q_t(a) + c_t (G_{t+1} - q_t(a_t))) with
    c_t = lambda min(1, pi_t(a_t) / mu_t); Munos et al. (2016), "Safe and efficient off-policy reinforcement
    learning", equations 3 and 4. The last step bootstraps from the expectation.

    Args:
      q_tm1: `[T, ..., A]` action values.
      q_t: `[T, ..., A]` action values of the successors.
      a_tm1: `int[T, ...]` actions taken.
      a_t: `int[T, ...]` actions taken in the successors; the last row has no effect.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      pi_t: `[T, ..., A]` probabilities of the target policy in the successors.
      mu_t: `[T, ...]` probability with which `a_t` was taken; the last row has no effect.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    pi_a_t = batched_index(pi_t, a_t)
    # Divided only where the ratio is below one, so mu is positive there. A probability of the behaviour
    # that has underflowed to zero gives one, the limit.
    clipped = pi_a_t < mu_t
    ratio = pi_a_t / tf.where(clipped, mu_t, tf.ones_like(mu_t))
    c_t = lambda_ * tf.where(clipped, ratio, tf.sign(pi_a_t))
    v_t = tf.reduce_sum(pi_t * q_t, axis=-1)
    target = off_policy_returns_from_q_and_v(batched_index(q_t, a_t), v_t, r_t, discount_t, c_t, truncated_t)
    return as_target(target, stop_target_gradients) - batched_index(q_tm1, a_tm1)


@signature(
    q_tm1="float T ...",
    q_t="float T ...",
    v_t="float T ...",
    r_t="float T ...",
    discount_t="float T ...",
    log_rhos="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def retrace_continuous(
    q_tm1: tf.Tensor,
    q_t: tf.Tensor,
    v_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    log_rhos: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Retrace errors of any actions, from the values of those taken: G_t - q_tm1.

    G_t = r_t + discount_t (v_t + c_t (G_{t+1} - q_t)) with c_t = lambda min(1, rho_t); Munos et al. (2016),
    "Safe and efficient off-policy reinforcement learning", equations 3 and 4. The last step bootstraps
    from `v_t`.

    Args:
      q_tm1: `[T, ...]` values of the actions taken.
      q_t: `[T, ...]` values of the actions taken in the successors; the last row has no effect.
      v_t: `[T, ...]` values of the successors under the target policy.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      log_rhos: `[T, ...]` log of the target policy's probability (or density) of the action taken in the
        successor over that of the behaviour; the last row has no effect.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`.
      stop_target_gradients: whether the targets are constants to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    c_t = lambda_ * tf.exp(tf.minimum(log_rhos, 0))
    return (
        as_target(off_policy_returns_from_q_and_v(q_t, v_t, r_t, discount_t, c_t, truncated_t), stop_target_gradients)
        - q_tm1
    )
