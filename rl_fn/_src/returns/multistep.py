"""Returns and advantages of the policy that collected the experience."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.returns.boundaries import cuts, trace, without_padding
from rl_fn._src.returns.recurrence import solve_backwards
from rl_fn._src.scan import scan
from rl_fn._src.shapes import sizes_of
from rl_fn._src.signature import signature


@signature(
    r_t="float T ...", discount_t="float T ...", v_t="float | T ...", truncated_t="bool T ...", mask_t="bool T ..."
)
def discounted_returns(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Discounted sums of rewards up to the end of the episode or of the sequence, where `v_t` is added.

    G_t = r_t + discount_t * G_{t+1}; Sutton and Barto (2018), equation 3.9.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors, used at the last step and where truncated; or a scalar.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.

    Returns:
      `[T, ...]` returns.
    """
    return _lambda_returns(r_t, discount_t, v_t, tf.ones([], r_t.dtype), truncated_t, mask_t)


@signature(
    r_t="float T ...",
    discount_t="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def lambda_returns(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor = 1.0,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Lambda-returns: G_t = r_t + discount_t * ((1 - lambda) v_t + lambda G_{t+1}).

    Sutton and Barto (2018), equation 12.18. The last step bootstraps from its `v_t`.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.

    Returns:
      `[T, ...]` returns.
    """
    return _lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t, mask_t)


@signature(
    r_t="float T ...",
    discount_t="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def n_step_returns(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    n: int,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    lambda_: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Returns over n steps: G_t = r_t + d_t (r_{t+1} + d_{t+1} (... + d_{t+n-1} v_{t+n-1})).

    Sutton and Barto (2018), equation 7.1, with the product of the discounts. Near the end of the
    sequence the horizon is shorter: those steps bootstrap from the last `v_t`. With a lambda below 1
    each step mixes: G_t = r_t + d_t ((1 - lambda) v_t + lambda G_{t+1}), n times over.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors.
      n: the number of rewards, at least 1.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      lambda_: a scalar or `[T, ...]`, in [0, 1].

    Returns:
      `[T, ...]` returns.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n_step_returns: n is {n!r}, expected an integer from 1")
    r_t, discount_t, v_t = without_padding(mask_t, r_t, discount_t, v_t)
    weight = trace(lambda_, cuts(r_t, truncated_t, mask_t))

    def one_more(following: tf.Tensor) -> tf.Tensor:
        mixed = tf.math.multiply_no_nan(v_t, 1 - weight) + tf.math.multiply_no_nan(following, weight)
        return r_t + tf.math.multiply_no_nan(mixed, discount_t)

    def from_next(returns: tf.Tensor) -> tf.Tensor:
        # Row t looks at the return over one reward less that starts at t + 1.
        return tf.concat([returns[1:], returns[:1]], axis=0)

    returns, length = one_more(v_t), sizes_of(r_t)[0]
    if isinstance(length, int):
        for _ in range(min(n, length) - 1):
            returns = one_more(from_next(returns))
    else:
        more = tf.maximum(tf.minimum(min(n, tf.int32.max), length) - 1, 0)
        returns, _ = scan(lambda returns, _: (one_more(from_next(returns)), None), returns, length=more)
    return without_padding(mask_t, returns)[0]


@signature(
    r_t="float T ...",
    discount_t="float T ...",
    v_tm1="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def generalized_advantage_estimation(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_tm1: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Advantages A_t = delta_t + discount_t lambda A_{t+1}, with delta_t = r_t + discount_t v_t - v_tm1.

    Schulman et al. (2016), "High-dimensional continuous control using generalized advantage
    estimation", equation 16.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_tm1: `[T, ...]` values of the states the steps start from.
      v_t: `[T, ...]` values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.

    Returns:
      `[T, ...]` advantages.
    """
    inputs = without_padding(mask_t, r_t, discount_t, v_tm1, v_t, lambda_)

    def terms(r, discount, v, v_next, lambda_, cut):
        return r + tf.math.multiply_no_nan(v_next, discount) - v, discount * trace(lambda_, cut)

    return without_padding(mask_t, solve_backwards(terms, *inputs, cuts(r_t, truncated_t, mask_t)))[0]


def _lambda_returns(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: tf.Tensor,
    truncated_t: tf.Tensor | None,
    mask_t: tf.Tensor | None,
) -> tf.Tensor:
    inputs = without_padding(mask_t, r_t, discount_t, v_t, lambda_)

    def terms(r, discount, v, lambda_, cut):
        # Where nothing follows, all of the weight is on the bootstrap.
        weight = trace(lambda_, cut)
        return r + tf.math.multiply_no_nan(v, discount * (1 - weight)), discount * weight

    return without_padding(mask_t, solve_backwards(terms, *inputs, cuts(r_t, truncated_t, mask_t)))[0]
