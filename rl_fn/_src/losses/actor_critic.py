"""Losses of off-policy actor-critic methods: SAC, TD3, IQL and CQL.

Ensembles of critics have an axis of their own: `N` for those that are trained, `M` for those that
give the target, of which the smallest value counts. Errors are target minus prediction; targets get
no gradient unless `stop_target_gradients` is false.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src.losses.elementwise import as_target, batched_index
from rl_fn._src.losses.policy_gradient import entropy_loss
from rl_fn._src.returns.off_policy import chosen
from rl_fn._src.shapes import check_order, sizes_of
from rl_fn._src.signature import signature


@signature(log_prob_t="float ...", q_t="float ...", alpha="float ... in [0, inf]")
def sac_actor_loss(log_prob_t: tf.Tensor, q_t: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """The policy loss of soft actor-critic, alpha log pi(a_t) - q_t, for a reparameterised action.

    Haarnoja et al. (2018), "Soft actor-critic algorithms and applications", equation 9.

    Args:
      log_prob_t: `[...]` log-probabilities of actions drawn from the policy, with their gradient.
      q_t: `[...]` values of these actions, the least of the critics, with the gradient of the action.
      alpha: `[...]` the entropy temperature; no gradient.

    Returns:
      `[...]` losses.
    """
    return tf.stop_gradient(alpha) * log_prob_t - q_t


@signature(
    q_tm1="float ... N",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... M",
    log_prob_t="float ...",
    alpha="float ... in [0, inf]",
)
def sac_critic_error(
    q_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    log_prob_t: tf.Tensor,
    alpha: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The errors of soft critics, r_t + discount_t (min_m q_t - alpha log pi(a_t)) - q_tm1.

    Haarnoja et al. (2018), "Soft actor-critic algorithms and applications", equation 5.

    Args:
      q_tm1: `[..., N]` values of the actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., M]` target values of actions drawn from the policy in the successors.
      log_prob_t: `[...]` log-probabilities of these actions.
      alpha: `[...]` the entropy temperature.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[..., N]` errors.
    """
    v_t = tf.reduce_min(q_t, axis=-1) - alpha * log_prob_t
    return as_target(r_t + discount_t * v_t, stop_target_gradients)[..., tf.newaxis] - q_tm1


@signature(alpha="float ... in [0, inf]", log_prob_t="float ...", target_entropy="float ...")
def sac_temperature_loss(alpha: tf.Tensor, log_prob_t: tf.Tensor, target_entropy: float | tf.Tensor) -> tf.Tensor:
    """The loss of the entropy temperature, -alpha (log pi(a_t) + target_entropy).

    Haarnoja et al. (2018), "Soft actor-critic algorithms and applications", equation 18.

    Args:
      alpha: `[...]` the entropy temperature, the exponential of a free parameter.
      log_prob_t: `[...]` log-probabilities of actions drawn from the policy; no gradient.
      target_entropy: `[...]` the entropy aimed at, in nats.

    Returns:
      `[...]` losses.
    """
    return -alpha * tf.stop_gradient(log_prob_t + target_entropy)


@signature(logits_t="float ... A", q_t="float ... N A", alpha="float ... in [0, inf]")
def categorical_sac_actor_loss(logits_t: tf.Tensor, q_t: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """The policy loss of discrete soft actor-critic, sum_a pi(a) (alpha log pi(a) - min_n q_n(a)).

    Christodoulou (2019), "Soft actor-critic for discrete action settings", equation 12.

    Args:
      logits_t: `[..., A]` unnormalised log-probabilities; -inf where an action is impossible.
      q_t: `[..., N, A]` action values of the critics; no gradient.
      alpha: `[...]` the entropy temperature; no gradient.

    Returns:
      `[...]` losses.
    """
    return -_soft_value(logits_t, tf.stop_gradient(q_t), tf.stop_gradient(alpha))


@signature(
    q_tm1="float ... N A",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_t="float ... M A",
    logits_t="float ... A",
    alpha="float ... in [0, inf]",
)
def categorical_sac_critic_error(
    q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    logits_t: tf.Tensor,
    alpha: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The errors of discrete soft critics; the target takes the expectation over the next action.

    r_t + discount_t sum_a pi(a) (min_m q_t(a) - alpha log pi(a)) - q_tm1(a_tm1); Christodoulou (2019),
    "Soft actor-critic for discrete action settings", equation 10.

    Args:
      q_tm1: `[..., N, A]` action values.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., M, A]` target action values of the successors.
      logits_t: `[..., A]` unnormalised log-probabilities in the successors; -inf where impossible.
      alpha: `[...]` the entropy temperature.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[..., N]` errors.
    """
    target = as_target(r_t + discount_t * _soft_value(logits_t, q_t, alpha), stop_target_gradients)
    return target[..., tf.newaxis] - chosen(q_tm1, a_tm1[..., tf.newaxis])


@signature(alpha="float ... in [0, inf]", logits_t="float ... A", target_entropy="float ...")
def categorical_sac_temperature_loss(
    alpha: tf.Tensor, logits_t: tf.Tensor, target_entropy: float | tf.Tensor
) -> tf.Tensor:
    """The loss of the entropy temperature, alpha (H(pi) - target_entropy).

    Christodoulou (2019), "Soft actor-critic for discrete action settings", equation 11.

    Args:
      alpha: `[...]` the entropy temperature, the exponential of a free parameter.
      logits_t: `[..., A]` unnormalised log-probabilities; -inf where impossible; no gradient.
      target_entropy: `[...]` the entropy aimed at, in nats.

    Returns:
      `[...]` losses.
    """
    return -alpha * tf.stop_gradient(entropy_loss(logits_t) + target_entropy)


@signature(
    lambda key, a_t, low, high, *_: check_order("target_policy_smoothing", low=low, high=high),
    key="key 2",
    a_t="float ... A",
    low="float | A",
    high="float | A",
    stddev="float | A in [0, inf]",
    noise_clip="float | A in [0, inf]",
)
def target_policy_smoothing(
    key: random.Key,
    a_t: tf.Tensor,
    low: float | tf.Tensor,
    high: float | tf.Tensor,
    stddev: float | tf.Tensor = 0.2,
    noise_clip: float | tf.Tensor = 0.5,
) -> tf.Tensor:
    """The target action with noise, clip(a_t + clip(stddev N(0, 1), -noise_clip, noise_clip), low, high).

    Fujimoto, van Hoof and Meger (2018), "Addressing function approximation error in actor-critic
    methods", section 5.3 and algorithm 1.

    Args:
      key: `uint32[2]`.
      a_t: `[..., A]` actions of the target policy.
      low: the smallest action, a scalar or `[A]`.
      high: the largest action.
      stddev: of the noise before it is clipped, in the units of the action.
      noise_clip: the largest noise, in the units of the action.

    Returns:
      `[..., A]` actions.
    """
    noise = stddev * random.normal(key, sizes_of(a_t), a_t.dtype)
    noise = tf.maximum(tf.minimum(noise, noise_clip), -noise_clip)
    return tf.maximum(tf.minimum(a_t + noise, high), low)


@signature(q_tm1="float ... N", r_t="float ...", discount_t="float ...", q_t="float ... M")
def clipped_double_q_learning(
    q_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The errors of TD3's critics, r_t + discount_t min_m q_t - q_tm1.

    Fujimoto, van Hoof and Meger (2018), "Addressing function approximation error in actor-critic
    methods", equation 10.

    Args:
      q_tm1: `[..., N]` values of the actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_t: `[..., M]` target values of the smoothed target actions in the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[..., N]` errors.
    """
    target = r_t + discount_t * tf.reduce_min(q_t, axis=-1)
    return as_target(target, stop_target_gradients)[..., tf.newaxis] - q_tm1


@signature(v_t="float ...", q_t="float ...", expectile="float ... in (0, 1)")
def expectile_value_loss(v_t: tf.Tensor, q_t: tf.Tensor, expectile: float | tf.Tensor = 0.7) -> tf.Tensor:
    """IQL's value loss, |expectile - 1(u < 0)| u**2 with u = q_t - v_t.

    Kostrikov, Nair and Levine (2021), "Offline reinforcement learning with implicit Q-learning",
    equation 5. Its policy is trained by `advantage_weighted_regression_loss` on q_t - v_t.

    Args:
      v_t: `[...]` state values.
      q_t: `[...]` target values of the actions of the data; no gradient.
      expectile: `[...]` in (0, 1): a half gives the mean, more the upper expectiles.

    Returns:
      `[...]` losses.
    """
    error = tf.stop_gradient(q_t) - v_t
    return tf.where(error < 0, 1 - expectile, expectile) * tf.square(error)


@signature(q_tm1="float ... A", a_tm1="int ... in [0, A)")
def cql_loss(q_tm1: tf.Tensor, a_tm1: tf.Tensor) -> tf.Tensor:
    """The regulariser of conservative Q-learning, CQL(H): log sum_a exp(q(a)) - q(a_tm1).

    Kumar et al. (2020), "Conservative Q-learning for offline reinforcement learning", equation 4.

    Args:
      q_tm1: `[..., A]` action values; -inf where an action is impossible.
      a_tm1: `int[...]` actions of the data.

    Returns:
      `[...]` losses, not negative.
    """
    return tf.reduce_logsumexp(q_tm1, axis=-1) - batched_index(q_tm1, a_tm1)


@signature(q_sampled="float ... S", log_prob_sampled="float ... S", q_tm1="float ...")
def sampled_cql_loss(q_sampled: tf.Tensor, log_prob_sampled: tf.Tensor, q_tm1: tf.Tensor) -> tf.Tensor:
    """CQL(H) for continuous actions, log mean_s exp(q_s - log mu(a_s)) - q(a_tm1).

    The logarithm of the integral of exp(q) is estimated by importance sampling; Kumar et al. (2020),
    "Conservative Q-learning for offline reinforcement learning", appendix F.

    Args:
      q_sampled: `[..., S]` values of sampled actions, such as uniform ones beside the policy's.
      log_prob_sampled: `[..., S]` their log-densities under what they were drawn from; no gradient.
      q_tm1: `[...]` values of the actions of the data.

    Returns:
      `[...]` losses.
    """
    weighted = q_sampled - tf.stop_gradient(log_prob_sampled)
    num_samples = tf.cast(sizes_of(weighted)[-1], weighted.dtype)
    return tf.reduce_logsumexp(weighted, axis=-1) - tf.math.log(num_samples) - q_tm1


def _soft_value(logits: tf.Tensor, q: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    expected = tf.reduce_sum(tf.nn.softmax(logits) * tf.reduce_min(q, axis=-2), axis=-1)
    return expected - alpha * entropy_loss(logits)
