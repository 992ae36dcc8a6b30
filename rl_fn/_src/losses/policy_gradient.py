"""Losses of policies that are improved by their gradient, and of the values beside them."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.losses.elementwise import batched_index
from rl_fn._src.signature import signature


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
    probs = tf.exp(log_probs)
    # Where the probability underflows, its product with the logarithm and the gradient of it are 0.
    return tf.reduce_sum(probs * tf.where(probs > 0, log_probs, tf.zeros_like(log_probs)), axis=-1)


@signature(prob_ratios_t="float ...", adv_t="float ...", epsilon="float in [0, inf]", dual_clip="float in (1, inf]")
def clipped_surrogate_pg_loss(
    prob_ratios_t: tf.Tensor,
    adv_t: tf.Tensor,
    epsilon: float | tf.Tensor = 0.2,
    dual_clip: float | tf.Tensor | None = None,
) -> tf.Tensor:
    """PPO's clipped objective as a loss: -min(ratio adv, clip(ratio, 1 - epsilon, 1 + epsilon) adv).

    Schulman et al. (2017), "Proximal policy optimization algorithms", equation 7. With `dual_clip`
    negative advantages enter as max(the above, dual_clip adv), which bounds the loss of large ratios;
    Ye et al. (2020), "Mastering complex control in MOBA games with deep reinforcement
    learning". The advantage gets no gradient.

    Args:
      prob_ratios_t: `[...]` pi(a_t) / pi_old(a_t).
      adv_t: `[...]` advantages.
      epsilon: the clip range.
      dual_clip: the largest ratio that counts where the advantage is negative, above 1; no bound
        unless given.

    Returns:
      `[...]` losses.
    """
    adv_t = tf.stop_gradient(adv_t)
    # The sign of the advantage decides which bound is active. Said in ratios, an infinite ratio is no
    # trouble where the advantage is zero.
    at_least = tf.maximum(prob_ratios_t, 1 - epsilon)
    if dual_clip is not None:
        at_least = tf.minimum(at_least, dual_clip)
    return -tf.where(adv_t >= 0, tf.minimum(prob_ratios_t, 1 + epsilon), at_least) * adv_t


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
    step = v_t - v_old_t
    own = tf.square(v_t - target_t)
    clipped = tf.stop_gradient(tf.square(v_old_t + tf.clip_by_value(step, -epsilon, epsilon) - target_t))
    # Within the clip range both are the same but for rounding, which must not decide between them.
    return 0.5 * tf.where((tf.abs(step) > epsilon) & (clipped > own), clipped, own)


@signature(prob_ratios_t="float ...", adv_t="float ...", kl_t="float ...", coefficient="float in [0, inf]")
def kl_penalised_surrogate_loss(
    prob_ratios_t: tf.Tensor, adv_t: tf.Tensor, kl_t: tf.Tensor, coefficient: float | tf.Tensor
) -> tf.Tensor:
    """PPO's penalised objective as a loss: -(ratio adv - coefficient KL).

    Schulman et al. (2017), "Proximal policy optimization algorithms", equation 8. The advantage and
    the coefficient get no gradient.

    Args:
      prob_ratios_t: `[...]` pi(a_t) / pi_old(a_t).
      adv_t: `[...]` advantages.
      kl_t: `[...]` divergences KL(pi_old, pi).
      coefficient: the weight of the divergence, see `adaptive_kl_coefficient`.

    Returns:
      `[...]` losses.
    """
    return tf.stop_gradient(coefficient) * kl_t - prob_ratios_t * tf.stop_gradient(adv_t)


@signature(coefficient="float in [0, inf]", kl="float in [0, inf]", target_kl="float in (0, inf]")
def adaptive_kl_coefficient(coefficient: tf.Tensor, kl: tf.Tensor, target_kl: float | tf.Tensor) -> tf.Tensor:
    """The next weight of the divergence: halved below target / 1.5, doubled above 1.5 target, within [1e-6, 1e6].

    Schulman et al. (2017), "Proximal policy optimization algorithms", section 4. From zero or infinity, to which it
    would come in time, there would be no way back.

    Args:
      coefficient: the weight of the last update, a scalar.
      kl: the mean divergence that it led to, a scalar.
      target_kl: the divergence aimed at, a scalar.

    Returns:
      The weight for the next update, a scalar.
    """
    lowered = tf.where(kl < target_kl / 1.5, coefficient / 2, coefficient)
    largest = min(1e6, float(coefficient.dtype.max))
    return tf.clip_by_value(tf.where(kl > target_kl * 1.5, coefficient * 2, lowered), 1e-6, largest)


@signature(log_ratios_t="float ...", adv_t="float ...", alpha="float in (0, inf]", beta="float in (0, inf]")
def discovered_policy_optimisation_loss(
    log_ratios_t: tf.Tensor, adv_t: tf.Tensor, alpha: float | tf.Tensor = 2.0, beta: float | tf.Tensor = 0.6
) -> tf.Tensor:
    """The objective with the discovered drift, as a loss: -(ratio adv - drift(ratio, adv)).

    Lu et al. (2022), "Discovered policy optimisation". The drift is
    relu(x - alpha tanh(x / alpha)) with x = (ratio - 1) adv where the advantage is not negative, and
    relu(y - beta tanh(y / beta)) with y = log(ratio) adv where it is. The advantage gets no gradient.

    Args:
      log_ratios_t: `[...]` log pi(a_t) - log pi_old(a_t).
      adv_t: `[...]` advantages.
      alpha: the scale of the drift for positive advantages.
      beta: the scale of the drift for negative advantages.

    Returns:
      `[...]` losses.
    """
    adv_t = tf.stop_gradient(adv_t)
    # Nothing that is not selected below may be infinite, or its gradient would be NaN. Gains are limited before e^60.
    gain = (tf.exp(tf.minimum(log_ratios_t, 60.0)) - 1) * adv_t
    log_ratios_below = tf.where(adv_t < 0, log_ratios_t, tf.zeros_like(log_ratios_t))
    log_gain = log_ratios_below * adv_t
    # tanh(x) < x where x > 0. At a ratio of 1, where all begins, rounding decides whether x is. So that is asked once:
    # a compiler may compute it anew for each term of a gradient, and come to another answer.
    above, log_above = tf.nn.relu(gain), tf.nn.relu(log_gain)
    limited, log_limited = alpha * tf.tanh(above / alpha), beta * tf.tanh(log_above / beta)
    # above - gain first: the difference of large numbers would hide the rest.
    below = log_above - log_limited - tf.exp(log_ratios_below) * adv_t
    return tf.where(adv_t >= 0, (above - gain) - limited - adv_t, below)


@signature(adv_t="float ...", temperature="float in (0, inf]", max_weight="float in (0, inf]")
def advantage_weights(
    adv_t: tf.Tensor, temperature: float | tf.Tensor = 1.0, max_weight: float | tf.Tensor = 20.0
) -> tf.Tensor:
    """The weights min(exp(adv / temperature), max_weight), without a gradient.

    Peng et al. (2019), "Advantage-weighted regression", where the temperature is called beta; and the
    policy of Kostrikov, Nair and Levine (2021), "Offline reinforcement learning with implicit
    Q-learning", equation 7, where the advantage is q - v, beta is 1 / temperature, and the largest
    weight is 100.

    Args:
      adv_t: `[...]` advantages.
      temperature: the advantage that is worth a factor of e.
      max_weight: the largest weight.

    Returns:
      `[...]` weights.
    """
    return tf.stop_gradient(tf.minimum(tf.exp(adv_t / temperature), max_weight))


@signature(log_prob_t="float ...", adv_t="float ...", temperature="float in (0, inf]", max_weight="float in (0, inf]")
def advantage_weighted_regression_loss(
    log_prob_t: tf.Tensor,
    adv_t: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
    max_weight: float | tf.Tensor = 20.0,
) -> tf.Tensor:
    """Imitation of the better actions: -min(exp(adv / temperature), max_weight) log pi(a_t).

    Peng et al. (2019), "Advantage-weighted regression: simple and scalable off-policy reinforcement
    learning". The advantage gets no gradient. See `advantage_weights`.

    Args:
      log_prob_t: `[...]` log-probabilities of the actions of the data.
      adv_t: `[...]` their advantages.
      temperature: the advantage that is worth a factor of e.
      max_weight: the largest weight.

    Returns:
      `[...]` losses.
    """
    return -log_prob_t * advantage_weights(adv_t, temperature, max_weight)
