"""Multi-step returns and advantages over time-major sequences.

Index t counts steps: `r_t` is the reward of step t, `v_tm1` the value of the state it starts from, and
`v_t` and `discount_t` belong to the state it leads to, the true successor also where an episode is
truncated. `discount_t` is gamma, and 0 where the task terminated. `truncated_t` marks the steps after
which the next row belongs to another episode although the task did not terminate: the return
bootstraps from `v_t` there and nothing of the next row enters.

All functions are batched: `[T]`, `[T, B]` or more axes.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn.signature import signature


@signature(r_t="float T ...", discount_t="float T ...", v_t="float | T ...", truncated_t="bool T ...")
def discounted_returns(
    r_t: tf.Tensor, discount_t: tf.Tensor, v_t: tf.Tensor, truncated_t: tf.Tensor | None = None
) -> tf.Tensor:
    """Discounted sums of rewards up to the end of the episode or of the sequence, where `v_t` is added.

    G_t = r_t + discount_t * G_{t+1}; Sutton and Barto (2018), equation 3.9.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors, used at the last step and where truncated; or a scalar.
      truncated_t: `bool[T, ...]`.

    Returns:
      `[T, ...]` returns.
    """
    return _lambda_returns(r_t, discount_t, v_t, tf.ones([], r_t.dtype), truncated_t)


@signature(
    r_t="float T ...",
    discount_t="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def lambda_returns(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor = 1.0,
    truncated_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Lambda-returns: G_t = r_t + discount_t * ((1 - lambda) v_t + lambda G_{t+1}).

    Sutton and Barto (2018), equation 12.18. The last step bootstraps from its `v_t`.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`.

    Returns:
      `[T, ...]` returns.
    """
    return _lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t)


@signature(r_t="float T ...", discount_t="float T ...", v_t="float T ...", truncated_t="bool T ...")
def n_step_returns(
    r_t: tf.Tensor, discount_t: tf.Tensor, v_t: tf.Tensor, n: int, truncated_t: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns over n steps: G_t = r_t + d_t (r_{t+1} + d_{t+1} (... + d_{t+n-1} v_{t+n-1})).

    Sutton and Barto (2018), equation 7.1, with the product of the discounts. Near the end of the
    sequence the horizon is shorter: those steps bootstrap from the last `v_t`.

    Args:
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      v_t: `[T, ...]` values of the successors.
      n: the number of rewards, at least 1.
      truncated_t: `bool[T, ...]`.

    Returns:
      `[T, ...]` returns.
    """
    if n < 1:
        raise ValueError(f"n_step_returns: n is {n}, expected at least 1")
    if truncated_t is None:
        truncated_t = tf.zeros_like(r_t, tf.bool)
    returns = v_t
    for step in range(min(n, r_t.shape[0])):
        # Row t looks at the return over one reward less that starts at t + 1; the last row has none.
        following = tf.concat([returns[1:], v_t[-1:]], axis=0) if step else v_t
        returns = r_t + discount_t * tf.where(truncated_t, v_t, following)
    return returns


@signature(
    r_t="float T ...",
    discount_t="float T ...",
    v_tm1="float T ...",
    v_t="float T ...",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
)
def generalized_advantage_estimation(
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_tm1: tf.Tensor,
    v_t: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
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
      truncated_t: `bool[T, ...]`.

    Returns:
      `[T, ...]` advantages.
    """
    errors = r_t + discount_t * v_t - v_tm1
    return _reverse_recurrence(errors, discount_t * _trace(lambda_, errors, truncated_t))


def _lambda_returns(
    r_t: tf.Tensor, discount_t: tf.Tensor, v_t: tf.Tensor, lambda_: tf.Tensor, truncated_t: tf.Tensor | None
) -> tf.Tensor:
    trace = _trace(lambda_, r_t, truncated_t)
    # The last row has no successor in the sequence: all of its weight is on the bootstrap.
    trace = tf.concat([trace[:-1], tf.zeros_like(trace[-1:])], axis=0)
    return _reverse_recurrence(r_t + discount_t * (1 - trace) * v_t, discount_t * trace)


def _trace(lambda_: tf.Tensor, like: tf.Tensor, truncated_t: tf.Tensor | None) -> tf.Tensor:
    trace = lambda_ * tf.ones_like(like)
    return trace if truncated_t is None else tf.where(truncated_t, tf.zeros_like(trace), trace)


def _reverse_recurrence(x: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    """Solves y_t = x_t + decay_t y_{t+1}, with y_T = 0, along the first axis.

    By recursive doubling (Kogge and Stone, 1973): after round k a row holds the sum over 2**k steps.
    log2(T) rounds of whole-sequence arithmetic need no loop, so the result can be differentiated and
    vectorised wherever multiplication can.
    """
    decay = decay + tf.zeros_like(x)
    distance, length = 1, x.shape[0]
    while distance < length:
        ahead = lambda rows, d=distance: tf.concat([rows[d:], tf.zeros_like(rows[:d])], axis=0)
        x, decay = x + decay * ahead(x), decay * ahead(decay)
        distance *= 2
    return x
