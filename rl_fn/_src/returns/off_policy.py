"""Returns of a target policy from experience of another, and importance-sampling ratios.

The ratio of a step is pi(a) / mu(a), the probability of the action taken under the target policy over
that under the policy which took it.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from rl_fn._src.returns.boundaries import cuts, trace, without_padding
from rl_fn._src.returns.recurrence import solve_backwards
from rl_fn._src.shapes import broadcast_sizes, sizes_of
from rl_fn._src.signature import signature


@signature(log_prob_t="float ...", behaviour_log_prob_t="float ...")
def importance_sampling_ratios(log_prob_t: tf.Tensor, behaviour_log_prob_t: tf.Tensor) -> tf.Tensor:
    """Ratios pi(a_t) / mu(a_t) from log-probabilities of the actions taken.

    Args:
      log_prob_t: `[...]` under the target policy.
      behaviour_log_prob_t: `[...]` under the policy that acted.

    Returns:
      `[...]` ratios.
    """
    return tf.exp(log_prob_t - behaviour_log_prob_t)


@signature(pi_logits_t="float ... A", mu_logits_t="float ... A", a_t="int ... in [0, A)")
def categorical_importance_sampling_ratios(pi_logits_t: tf.Tensor, mu_logits_t: tf.Tensor, a_t: tf.Tensor) -> tf.Tensor:
    """Ratios softmax(pi_logits)[a_t] / softmax(mu_logits)[a_t].

    Args:
      pi_logits_t: `[..., A]` unnormalised log-probabilities of the target policy.
      mu_logits_t: `[..., A]` those of the policy that acted.
      a_t: `int[...]` actions taken.

    Returns:
      `[...]` ratios.
    """
    log_pi, log_mu = tf.nn.log_softmax(pi_logits_t), tf.nn.log_softmax(mu_logits_t)
    return tf.exp(chosen(log_pi, a_t) - chosen(log_mu, a_t))


@signature(
    q_t="float T ...",
    v_t="float T ...",
    r_t="float T ...",
    discount_t="float T ...",
    c_t="float T ...",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def off_policy_returns_from_q_and_v(
    q_t: tf.Tensor,
    v_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    c_t: tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns G_t = r_t + discount_t (v_t - c_t q_t + c_t G_{t+1}).

    Munos et al. (2016), "Safe and efficient off-policy reinforcement learning", equation 3. The choice
    of `c_t` makes the algorithm: importance sampling pi / mu; Q(lambda) of Harutyunyan et al. lambda;
    tree backup lambda pi; Retrace lambda min(1, pi / mu).

    Args:
      q_t: `[T, ...]` values of the actions taken in the successors; not used where nothing follows.
      v_t: `[T, ...]` values of the successors under the target policy.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      c_t: `[T, ...]` trace weights of the actions taken in the successors; not used where nothing follows.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.

    Returns:
      `[T, ...]` returns.
    """
    inputs = without_padding(mask_t, r_t, discount_t, v_t, q_t, c_t)

    def terms(r, discount, v, q, c, cut):
        weight = trace(c, cut)
        return r + discount * (v - tf.math.multiply_no_nan(q, weight)), discount * weight

    return without_padding(mask_t, solve_backwards(terms, *inputs, cuts(r_t, truncated_t, mask_t)))[0]


@signature(
    q_t="float T ... A",
    a_t="int T ... in [0, A)",
    r_t="float T ...",
    discount_t="float T ...",
    c_t="float T ...",
    pi_t="float T ... A",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def off_policy_returns_from_action_values(
    q_t: tf.Tensor,
    a_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    c_t: tf.Tensor,
    pi_t: tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns G_t = r_t + discount_t (E_pi[q_t] - c_t q_t(a_t) + c_t G_{t+1}).

    `off_policy_returns_from_q_and_v` with v_t = sum_a pi_t(a) q_t(a); the choices of `c_t` stand there.

    Args:
      q_t: `[T, ..., A]` action values of the successors.
      a_t: `int[T, ...]` actions taken in the successors.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      c_t: `[T, ...]` trace weights of the actions taken in the successors; not used where nothing follows.
      pi_t: `[T, ..., A]` probabilities of the target policy in the successors.
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.

    Returns:
      `[T, ...]` returns.
    """
    q_t, pi_t = without_padding(mask_t, q_t, pi_t)
    v_t = tf.reduce_sum(pi_t * q_t, axis=-1)
    return off_policy_returns_from_q_and_v(chosen(q_t, a_t), v_t, r_t, discount_t, c_t, truncated_t, mask_t)


@signature(
    v_tm1="float T ...",
    v_t="float T ...",
    r_t="float T ...",
    discount_t="float T ...",
    rho_tm1="float T ... in [0, inf]",
    lambda_="float | T ... in [0, 1]",
    truncated_t="bool T ...",
    mask_t="bool T ...",
)
def importance_corrected_td_errors(
    v_tm1: tf.Tensor,
    v_t: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    rho_tm1: tf.Tensor,
    lambda_: float | tf.Tensor,
    truncated_t: tf.Tensor | None = None,
    mask_t: tf.Tensor | None = None,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """Multi-step errors with a ratio per decision, rho_t D_t, D_t = delta_t + discount_t lambda rho_{t+1} D_{t+1}.

    delta_t = r_t + discount_t v_t - v_tm1. Sutton et al. (2014), "A new Q(lambda) with interim forward
    view and Monte Carlo equivalence".

    Args:
      v_tm1: `[T, ...]` values of the states the steps start from.
      v_t: `[T, ...]` values of the successors.
      r_t: `[T, ...]` rewards.
      discount_t: `[T, ...]` discounts.
      rho_tm1: `[T, ...]` ratios of the actions taken.
      lambda_: a scalar or `[T, ...]`, in [0, 1].
      truncated_t: `bool[T, ...]`, true where the episode was cut after this step.
      mask_t: `bool[T, ...]`, false where a row is padding.
      stop_target_gradients: whether the target, error plus `v_tm1`, is a constant to the gradient.

    Returns:
      `[T, ...]` errors.
    """
    rho_tm1, v_tm1 = without_padding(mask_t, rho_tm1, v_tm1)
    rho_t = tf.concat([rho_tm1[1:], tf.ones_like(rho_tm1[:1])], axis=0)
    inputs = without_padding(mask_t, r_t, discount_t, v_tm1, v_t, rho_t, lambda_)

    def terms(r, discount, v, v_next, rho_next, lambda_, cut):
        return r + discount * v_next - v, discount * trace(lambda_ * rho_next, cut)

    errors = rho_tm1 * solve_backwards(terms, *inputs, cuts(r_t, truncated_t, mask_t))
    if stop_target_gradients:
        errors = tf.stop_gradient(errors + v_tm1) - v_tm1
    return without_padding(mask_t, errors)[0]


def chosen(values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """The entries `values[..., indices]` of the last axis; batch axes broadcast.

    Forwards this is a gather and backwards a mask: a sum over masked entries is several times slower
    than a gather, and the scatter that a gather has as its gradient slower than a mask.
    """
    *before, num_entries = sizes_of(values)
    batch = broadcast_sizes(before, sizes_of(indices))
    # Nothing is broadcast where it is known that there is nothing to do.
    values = values if values.shape[:-1].as_list() == batch else tf.broadcast_to(values, [*batch, num_entries])
    indices = indices if indices.shape.as_list() == batch else tf.broadcast_to(indices, batch)

    @tf.custom_gradient
    def gather(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(dy: tf.Tensor) -> tf.Tensor:
            taken = tf.one_hot(indices, num_entries, on_value=True, off_value=False, dtype=tf.bool)
            return tf.where(taken, dy[..., tf.newaxis], tf.zeros_like(values))

        return tf.gather(values, indices, batch_dims=len(batch)), gradient

    return gather(values)
