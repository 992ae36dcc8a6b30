"""V-trace: state values and advantages of a policy from slightly older experience."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.returns.boundaries import cuts, trace, without_padding
from rl_fn._src.returns.recurrence import solve_backwards
from rl_fn._src.signature import signature


class VTraceOutput(NamedTuple):
    """What V-trace says about each step, `[T, ...]` each."""

    errors: tf.Tensor  # target minus v_tm1: half its square is the value loss
    targets: tf.Tensor  # the V-trace targets of v_tm1
    q_estimates: tf.Tensor  # r_t + discount_t times the target of the successor
    advantages: tf.Tensor  # clipped ratio times (q_estimates - v_tm1), for the policy gradient


_SPECS = {
    "v_tm1": "float T ...",
    "v_t": "float T ...",
    "r_t": "float T ...",
    "discount_t": "float T ...",
    "rho_tm1": "float T ... in [0, inf]",
    "lambda_": "float | T ... in [0, 1]",
    "clip_rho_threshold": "float in (0, inf]",
    "clip_pg_rho_threshold": "float in (0, inf]",
    "truncated_t": "bool T ...",
    "mask_t": "bool T ...",
}


@signature(**_SPECS)
def vtrace(
    v_tm1: tf.Tensor,
    v_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    rho_tm1: tf.Tensor,
    lambda_: float | tf.Tensor = 1.0,
    clip_rho_threshold: float | tf.Tensor = 1.0,
    clip_pg_rho_threshold: float | tf.Tensor = 1.0,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> VTraceOutput:
    """V-trace errors, targets and advantages.

    Espeholt et al. (2018), "IMPALA: scalable distributed deep-RL with importance weighted actor-learner
    architectures", section 4.1: errors_t = rho_t delta_t + discount_t c_t errors_{t+1}, with
    delta_t = r_t + discount_t v_t - v_tm1, rho_t clipped at `clip_rho_threshold`, and
    c_t = lambda min(1, rho_t). The advantage is min(`clip_pg_rho_threshold`, rho_t) times
    (r_t + discount_t (v_t + lambda errors_{t+1}) - v_tm1): inside an episode the bracket holds the
    successor's target; where the episode was cut it is `v_t`, and nothing of the next episode enters.

    Ratios get no gradient. Targets, estimates and advantages get none either, unless
    `stop_target_gradients` is false.

    Args:
      v_tm1: `[T, ...]` values of the states the steps start from.
      v_t: `[T, ...]` values of the successors.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      rho_tm1: `[T, ...]` ratios pi(a) / mu(a) of the actions taken.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      clip_rho_threshold: the largest ratio in the errors.
      clip_pg_rho_threshold: the largest ratio in the advantages.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether everything but -v_tm1 in the errors is a constant to the gradient.

    Returns:
      A `VTraceOutput`: `errors`, `targets`, `q_estimates` and `advantages`, `[T, ...]` each.
    """
    return _vtrace(
        lambda rho, threshold: tf.minimum(rho, threshold),
        (v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_),
        (clip_rho_threshold, clip_pg_rho_threshold),
        truncated_t,
        mask_t,
        stop_target_gradients,
    )


@signature(alpha_="float in [0, 1]", **_SPECS)
def leaky_vtrace(
    v_tm1: tf.Tensor,
    v_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    rho_tm1: tf.Tensor,
    alpha_: float | tf.Tensor = 1.0,
    lambda_: float | tf.Tensor = 1.0,
    clip_rho_threshold: float | tf.Tensor = 1.0,
    clip_pg_rho_threshold: float | tf.Tensor = 1.0,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> VTraceOutput:
    """V-trace with ratios alpha min(threshold, rho) + (1 - alpha) rho.

    Zahavy et al. (2020), "A self-tuning actor-critic algorithm", section 3. With alpha 1 it is `vtrace`,
    with alpha 0 importance sampling without clips.

    Args:
      v_tm1: `[T, ...]` values of the states the steps start from.
      v_t: `[T, ...]` values of the successors.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      rho_tm1: `[T, ...]` ratios pi(a) / mu(a) of the actions taken.
      alpha_: how much of each ratio is clipped, a scalar in [0, 1].
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      clip_rho_threshold: the largest ratio in the clipped part of the errors.
      clip_pg_rho_threshold: the largest ratio in the clipped part of the advantages.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether everything but -v_tm1 in the errors is a constant to the gradient.

    Returns:
      A `VTraceOutput`: `errors`, `targets`, `q_estimates` and `advantages`, `[T, ...]` each.
    """

    def leak(rho: tf.Tensor, threshold: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        return alpha * tf.minimum(rho, threshold) + tf.math.multiply_no_nan(rho, 1 - alpha)

    return _vtrace(
        leak,
        (v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_),
        (clip_rho_threshold, clip_pg_rho_threshold),
        truncated_t,
        mask_t,
        stop_target_gradients,
        alpha_,
    )


def _vtrace(clip, sequences, thresholds, truncated_t, mask_t, stop_target_gradients, *alpha) -> VTraceOutput:
    v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_ = without_padding(mask_t, *sequences)
    rho_tm1 = tf.stop_gradient(rho_tm1)
    threshold, pg_threshold = thresholds
    cut = cuts(r_t, truncated_t, mask_t)

    def terms(v, v_next, r, discount, rho, lambda_, threshold, cut, *alpha):
        error = clip(rho, threshold, *alpha) * (r + discount * v_next - v)
        return error, discount * trace(lambda_ * clip(rho, tf.ones_like(threshold), *alpha), cut)

    errors = solve_backwards(terms, v_tm1, v_t, r_t, discount_t, rho_tm1, lambda_, threshold, cut, *alpha)
    following = tf.concat([errors[1:], tf.zeros_like(errors[:1])], axis=0)
    following = tf.math.multiply_no_nan(following, trace(lambda_ + tf.zeros_like(errors), cut))
    q_estimates = r_t + discount_t * (v_t + following)
    advantages = clip(rho_tm1, pg_threshold, *alpha) * (q_estimates - v_tm1)
    targets = errors + v_tm1
    if stop_target_gradients:
        targets, q_estimates, advantages = (tf.stop_gradient(x) for x in (targets, q_estimates, advantages))
        errors = targets - v_tm1
    return VTraceOutput(*without_padding(mask_t, errors, targets, q_estimates, advantages))
