"""Returns of transformed values: h(G), where the values given are h(v).

van Hasselt et al. (2019), "General non-linear Bellman equations"; Pohlen et al. (2018), "Observe and
look further: achieving consistent performance on Atari". Values come in transformed, are brought back,
accumulate to a return, and the return is transformed. Rewards are given as they are.

`pair` is an `rl_fn.transforms.TransformPair`. Make it once: a new one for each call is a new trace.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.returns.multistep import lambda_returns, n_step_returns
from rl_fn._src.returns.off_policy import chosen, off_policy_returns_from_action_values
from rl_fn._src.signature import signature
from rl_fn.transforms import IDENTITY_PAIR, TransformPair

_SEQUENCE = {
    "r_t": "float T ...",
    "discount_t": "float T ...",
    "truncated_t": "bool T ...",
    "mask_t": "bool T ...",
}
_LAMBDA = "float | T ... in [0, 1]"


@signature(v_t="float T ...", lambda_=_LAMBDA, **_SEQUENCE)
def transformed_lambda_returns(
    pair: TransformPair,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor = 1.0,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Transformed `lambda_returns`; arguments as there, `v_t` and the result transformed."""
    return pair.apply(lambda_returns(r_t, discount_t, pair.apply_inv(v_t), lambda_, truncated_t, mask_t))


@signature(v_t="float T ...", lambda_=_LAMBDA, **_SEQUENCE)
def transformed_n_step_returns(
    pair: TransformPair,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    n: int,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    lambda_: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Transformed `n_step_returns`; arguments as there, `v_t` and the result transformed."""
    return pair.apply(n_step_returns(r_t, discount_t, pair.apply_inv(v_t), n, truncated_t, mask_t, lambda_))


@signature(
    q_t="float T ... A",
    a_t="int T ... in [0, A)",
    c_t="float T ...",
    pi_t="float T ... A",
    **_SEQUENCE,
)
def transformed_off_policy_returns_from_action_values(
    pair: TransformPair,
    q_t: tf.Tensor,
    a_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    c_t: tf.Tensor,
    pi_t: tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Transformed `off_policy_returns_from_action_values`; arguments as there, `q_t` and the result transformed."""
    q_t = pair.apply_inv(q_t)
    return pair.apply(off_policy_returns_from_action_values(q_t, a_t, r_t, discount_t, c_t, pi_t, truncated_t, mask_t))


@signature(q_tm1="float T ... A", a_tm1="int T ... in [0, A)", q_t="float T ... A", lambda_=_LAMBDA, **_SEQUENCE)
def transformed_q_lambda(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    pair: TransformPair = IDENTITY_PAIR,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Q(lambda) error of transformed action values, h(G_t) - q_tm1(a_tm1).

    G_t is the lambda-return of the inverse of max_a q_t(a): Peng's Q(lambda) with a constant lambda,
    Watkins' with lambda 0 where the action taken next was not greedy. van Hasselt et al. (2019).

    Args:
      q_tm1: `[T, ..., A]` transformed action values.
      a_tm1: `int[T, ...]` actions taken.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      q_t: `[T, ..., A]` transformed action values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      pair: the transformation and its inverse.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    v_t = tf.reduce_max(q_t, axis=-1)
    target = transformed_lambda_returns(pair, r_t, discount_t, v_t, lambda_, truncated_t, mask_t)
    return _error(target, q_tm1, a_tm1, mask_t, stop_target_gradients)


@signature(
    q_tm1="float T ... A",
    q_t="float T ... A",
    a_tm1="int T ... in [0, A)",
    a_t="int T ... in [0, A)",
    pi_t="float T ... A",
    mu_t="float T ...",
    lambda_=_LAMBDA,
    **_SEQUENCE,
)
def transformed_retrace(
    q_tm1: tf.Tensor,
    q_t: tf.Tensor,
    a_tm1: tf.Tensor,
    a_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    pi_t: tf.Tensor,
    mu_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    pair: TransformPair = IDENTITY_PAIR,
    eps: float = 1e-8,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The Retrace error of transformed action values, h(G_t) - q_tm1(a_tm1).

    Munos et al. (2016), "Safe and efficient off-policy reinforcement learning", with the transformation of
    Kapturowski et al. (2019), "Recurrent experience replay in distributed reinforcement learning". The trace
    weight is lambda min(1, pi_t(a_t) / (mu_t + eps)).

    Args:
      q_tm1: `[T, ..., A]` transformed action values.
      q_t: `[T, ..., A]` transformed action values of the successors.
      a_tm1: `int[T, ...]` actions taken.
      a_t: `int[T, ...]` actions taken in the successors.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      pi_t: `[T, ..., A]` probabilities of the target policy in the successors.
      mu_t: `[T, ...]` probabilities with which `a_t` was taken.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      pair: the transformation and its inverse.
      eps: keeps the ratio finite.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    c_t = tf.minimum(chosen(pi_t, a_t) / (mu_t + eps), 1.0) * lambda_
    target = transformed_off_policy_returns_from_action_values(
        pair, q_t, a_t, r_t, discount_t, c_t, pi_t, truncated_t, mask_t
    )
    return _error(target, q_tm1, a_tm1, mask_t, stop_target_gradients)


@signature(
    q_tm1="float T ... A",
    a_tm1="int T ... in [0, A)",
    target_q_t="float T ... A",
    a_t="int T ... in [0, A)",
    **_SEQUENCE,
)
def transformed_n_step_q_learning(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    target_q_t: tf.Tensor,
    a_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    n: int,
    pair: TransformPair = IDENTITY_PAIR,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The n-step Q-learning error of transformed action values, h(G_t) - q_tm1(a_tm1).

    Kapturowski et al. (2019), "Recurrent experience replay in distributed reinforcement learning".

    Args:
      q_tm1: `[T, ..., A]` transformed action values.
      a_tm1: `int[T, ...]` actions taken.
      target_q_t: `[T, ..., A]` transformed action values of the successors.
      a_t: `int[T, ...]` actions whose values are bootstrapped from: the greedy ones of `target_q_t`, or
        of the online network for double Q-learning.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      n: the number of rewards, at least 1.
      pair: the transformation and its inverse.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    v_t = chosen(target_q_t, a_t)
    target = transformed_n_step_returns(pair, r_t, discount_t, v_t, n, truncated_t, mask_t)
    return _error(target, q_tm1, a_tm1, mask_t, stop_target_gradients)


def _error(target: tf.Tensor, q_tm1: tf.Tensor, a_tm1: tf.Tensor, mask_t: tf.Tensor | None, stop: bool) -> tf.Tensor:
    error = (tf.stop_gradient(target) if stop else target) - chosen(q_tm1, a_tm1)
    return error if mask_t is None else tf.where(mask_t, error, tf.zeros_like(error))
