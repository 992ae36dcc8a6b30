"""Maximum a posteriori policy optimisation, off-policy (MPO) and on-policy (V-MPO).

The dual variables (temperature and KL multipliers) are arguments: they must be positive, so pass a
softplus or a clipped value of the parameter that is trained. The parts of a loss have disjoint
gradients and are meant to be added: the policy's parameters get theirs from `policy_loss` and
`kl_loss`, each dual variable from its own loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.shapes import Size, sizes_of
from rl_fn._src.signature import signature


class KLConstraint(NamedTuple):
    """A bound on a divergence between the old policy and the new one, and its multiplier."""

    kl: tf.Tensor  # [...], or [..., A] with a bound for each dimension of the action
    alpha: tf.Tensor  # positive; [], or [A] beside [..., A]
    epsilon: float | tf.Tensor  # the bound; [], or [A] beside [..., A]


class KLPenalty(NamedTuple):
    """The two parts of a penalty, each of the shape of the divergence."""

    kl_loss: tf.Tensor  # alpha kl: trains the policy
    alpha_loss: tf.Tensor  # alpha (epsilon - kl): trains the multiplier


class MPOWeights(NamedTuple):
    """The result of MPO's E-step."""

    weights: tf.Tensor  # [..., S], sum to 1; no gradient
    temperature_loss: tf.Tensor  # [...]: trains the temperature


class VMPOWeights(NamedTuple):
    """The result of V-MPO's E-step."""

    weights: tf.Tensor  # [...], sum to 1 over all examples; no gradient
    temperature_loss: tf.Tensor  # []: trains the temperature


class MPOLoss(NamedTuple):
    """The parts of an MPO or V-MPO loss; the loss is their sum."""

    policy_loss: tf.Tensor  # [...]
    temperature_loss: tf.Tensor  # [...]; [] for V-MPO, which has one for all examples
    kl_loss: tf.Tensor  # [...]
    alpha_loss: tf.Tensor  # [...]
    weights: tf.Tensor  # [..., S]; [...] for V-MPO


class GaussianKL(NamedTuple):
    """A divergence between diagonal Gaussians in two parts, per dimension."""

    mean: tf.Tensor  # [..., A]: to the Gaussian of the new mean and the old standard deviation
    covariance: tf.Tensor  # [..., A]: to the Gaussian of the old mean and the new standard deviation


@signature(kl_t="float ...", alpha="float ... in [0, inf]", epsilon="float ... in [0, inf]")
def kl_penalty(kl_t: tf.Tensor, alpha: tf.Tensor, epsilon: float | tf.Tensor) -> KLPenalty:
    """A KL constraint by Lagrangian relaxation: alpha kl, and alpha (epsilon - kl) for the multiplier.

    Abdolmaleki et al. (2018), "Maximum a posteriori policy optimisation", equation 13. The multiplier
    grows while the divergence is above its bound.

    Args:
      kl_t: `[...]` divergences from the old policy to the new one.
      alpha: `[...]` the multiplier, positive.
      epsilon: `[...]` the bound.

    Returns:
      A `KLPenalty`.
    """
    return KLPenalty(tf.stop_gradient(alpha) * kl_t, alpha * (epsilon - tf.stop_gradient(kl_t)))


@signature(mean_old="float ... A", stddev_old="float ... A", mean="float ... A", stddev="float ... A")
def gaussian_kl(mean_old: tf.Tensor, stddev_old: tf.Tensor, mean: tf.Tensor, stddev: tf.Tensor) -> GaussianKL:
    """The divergence from an old diagonal Gaussian to a new one, apart for mean and covariance.

    Abdolmaleki et al. (2018), "Relative entropy regularized policy iteration", section 4. Bounding
    the two apart keeps the variance from collapsing. The old parameters get no gradient.

    Args:
      mean_old: `[..., A]`.
      stddev_old: `[..., A]`, positive.
      mean: `[..., A]`.
      stddev: `[..., A]`, positive.

    Returns:
      A `GaussianKL`.
    """
    mean_old, stddev_old = tf.stop_gradient(mean_old), tf.stop_gradient(stddev_old)
    ratio = stddev_old / stddev
    return GaussianKL(
        0.5 * tf.square((mean - mean_old) / stddev_old),
        0.5 * (tf.square(ratio) - 1) - tf.math.log(ratio),
    )


@signature(q_t="float ... S", temperature="float in (0, inf]", epsilon="float in [0, inf]")
def mpo_weights(q_t: tf.Tensor, temperature: tf.Tensor, epsilon: float | tf.Tensor) -> MPOWeights:
    """MPO's E-step: the weights softmax(q / temperature) of the samples, and the temperature's loss.

    The loss is the dual of the bound epsilon on the divergence of the reweighted samples from the
    policy, temperature (epsilon + log mean exp(q / temperature)); Abdolmaleki et al. (2018), "Maximum
    a posteriori policy optimisation", equations 8 and 9.

    Args:
      q_t: `[..., S]` values of actions that the old policy drew; no gradient.
      temperature: positive scalar.
      epsilon: the bound, a scalar.

    Returns:
      `MPOWeights`.
    """
    q_t = tf.stop_gradient(q_t)
    # Differences from the best are taken before the division, so that no temperature overflows.
    best = tf.reduce_max(q_t, axis=-1)
    scaled = (q_t - best[..., tf.newaxis]) / temperature
    log_mean = tf.math.log(tf.reduce_mean(tf.exp(scaled), axis=-1))
    return MPOWeights(tf.stop_gradient(tf.nn.softmax(scaled)), temperature * (epsilon + log_mean) + best)


def _check_mpo(
    log_prob_t: tf.Tensor,
    q_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: tf.Tensor,
    kl_constraints: Sequence[KLConstraint],
) -> None:
    del temperature, epsilon
    shape = tf.broadcast_static_shape(log_prob_t.shape[:-1], q_t.shape[:-1])
    _check_constraints("mpo_loss", kl_constraints, shape)


@signature(
    _check_mpo,
    log_prob_t="float ... S",
    q_t="float ... S",
    temperature="float in (0, inf]",
    epsilon="float in [0, inf]",
)
def mpo_loss(
    log_prob_t: tf.Tensor,
    q_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: float | tf.Tensor,
    kl_constraints: Sequence[KLConstraint],
) -> MPOLoss:
    """The policy improvement of MPO: a fit to the reweighted samples under bounds on the divergence.

    Abdolmaleki et al. (2018), "Maximum a posteriori policy optimisation". Where mean and covariance
    are bounded apart (see `gaussian_kl`), `log_prob_t` is the sum of the log-probabilities under the
    new mean with the old standard deviation and under the old mean with the new one.

    Args:
      log_prob_t: `[..., S]` log-probabilities, under the policy that is trained, of S actions that the
        old policy drew.
      q_t: `[..., S]` values of these actions; no gradient.
      temperature: positive scalar.
      epsilon: the bound of the E-step, a scalar.
      kl_constraints: the bounds of the M-step; divergences `[...]`, or `[..., A]`, whose parts are summed.

    Returns:
      An `MPOLoss`.
    """
    weights, temperature_loss = mpo_weights(q_t, temperature, epsilon)
    policy_loss = -tf.reduce_sum(weights * log_prob_t, axis=-1)
    kl_loss, alpha_loss = _penalties(kl_constraints, policy_loss)
    return MPOLoss(policy_loss, temperature_loss, kl_loss, alpha_loss, weights)


def _num_best(num_examples: Size, top_fraction: float) -> Size:
    """How many are a part of so many examples, which in binary may be a little less than it is called."""
    if isinstance(num_examples, int):
        return int(top_fraction * num_examples + 1e-6)
    return tf.maximum(tf.cast(top_fraction * tf.cast(num_examples, tf.float64) + 1e-6, tf.int32), 1)


def _check_weights(
    adv_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: tf.Tensor,
    top_fraction: float,
    valid_t: tf.Tensor | None,
    importance_t: tf.Tensor | None,
) -> None:
    del temperature, epsilon, valid_t, importance_t
    _check_fraction("vmpo_weights", adv_t, top_fraction)


def _check_fraction(function: str, adv_t: tf.Tensor, top_fraction: float) -> None:
    num_examples = math.prod(sizes_of(adv_t))
    if not (isinstance(top_fraction, float | int) and 0 < top_fraction <= 1) or (
        isinstance(num_examples, int) and _num_best(num_examples, top_fraction) == 0
    ):
        raise ValueError(
            f"{function}: top_fraction is {top_fraction}, expected in (0, 1] and at least one of {num_examples} "
            "examples"
        )


@signature(
    _check_weights,
    adv_t="float ...",
    temperature="float in (0, inf]",
    epsilon="float in [0, inf]",
    valid_t="bool ...",
    importance_t="float ... in [0, inf]",
)
def vmpo_weights(
    adv_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: float | tf.Tensor,
    top_fraction: float = 0.5,
    valid_t: tf.Tensor | None = None,
    importance_t: tf.Tensor | None = None,
) -> VMPOWeights:
    """V-MPO's E-step: weights proportional to exp(adv / temperature) among the best advantages.

    Song et al. (2020), "V-MPO: on-policy maximum a posteriori policy optimization for discrete and
    continuous control", equations 3 and 4. All examples are compared with each other, whatever their
    axes. Advantages that equal the last of the best are all taken.

    Args:
      adv_t: `[...]` advantages; no gradient.
      temperature: positive scalar.
      epsilon: the bound, a scalar.
      top_fraction: the part of the examples to use, in (0, 1].
      valid_t: `bool[...]`, false for examples to leave out, such as those that cross episodes.
      importance_t: `[...]` importance weights; no gradient.

    Returns:
      `VMPOWeights`.
    """
    adv_t = tf.stop_gradient(adv_t)
    num_best = _num_best(math.prod(sizes_of(adv_t)), top_fraction)
    used = tf.ones_like(adv_t, tf.bool) if valid_t is None else valid_t & tf.ones_like(adv_t, tf.bool)
    lowest = tf.fill(sizes_of(adv_t), adv_t.dtype.min)
    candidates = tf.where(used, adv_t, lowest)
    used &= candidates >= tf.sort(tf.reshape(candidates, [-1]))[-num_best]
    num_used = tf.reduce_sum(tf.cast(used, adv_t.dtype))

    best = tf.reduce_max(tf.where(used, adv_t, lowest))
    weights = tf.where(used, tf.exp(tf.where(used, adv_t - best, tf.zeros_like(adv_t)) / temperature), 0)
    if importance_t is not None:
        weights *= tf.stop_gradient(importance_t)
    total = tf.reduce_sum(weights)
    empty = total <= 0
    log_mean = tf.math.log(tf.where(empty, tf.ones_like(total), total / tf.maximum(num_used, 1)))
    temperature_loss = temperature * (epsilon + log_mean) + tf.where(empty, tf.zeros_like(best), best)
    weights = tf.math.divide_no_nan(weights, total)
    return VMPOWeights(tf.stop_gradient(weights), temperature_loss)


def _check_vmpo(
    log_prob_t: tf.Tensor,
    adv_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: tf.Tensor,
    kl_constraints: Sequence[KLConstraint],
    top_fraction: float,
    valid_t: tf.Tensor | None,
    importance_t: tf.Tensor | None,
) -> None:
    del temperature, epsilon, valid_t, importance_t
    _check_fraction("vmpo_loss", adv_t, top_fraction)
    _check_constraints("vmpo_loss", kl_constraints, tf.broadcast_static_shape(log_prob_t.shape, adv_t.shape))


@signature(
    _check_vmpo,
    log_prob_t="float ...",
    adv_t="float ...",
    temperature="float in (0, inf]",
    epsilon="float in [0, inf]",
    valid_t="bool ...",
    importance_t="float ... in [0, inf]",
)
def vmpo_loss(
    log_prob_t: tf.Tensor,
    adv_t: tf.Tensor,
    temperature: tf.Tensor,
    epsilon: float | tf.Tensor,
    kl_constraints: Sequence[KLConstraint],
    top_fraction: float = 0.5,
    valid_t: tf.Tensor | None = None,
    importance_t: tf.Tensor | None = None,
) -> MPOLoss:
    """The policy improvement of V-MPO: imitation of the best actions under bounds on the divergence.

    Song et al. (2020), "V-MPO: on-policy maximum a posteriori policy optimization for discrete and
    continuous control". The policy loss is scaled by the number of examples, so that its mean is the
    weighted sum of the paper.

    Args:
      log_prob_t: `[...]` log-probabilities of the actions taken.
      adv_t: `[...]` their advantages; no gradient.
      temperature: positive scalar.
      epsilon: the bound of the E-step, a scalar.
      kl_constraints: the bounds of the M-step; divergences `[...]`, or `[..., A]`, whose parts are summed.
      top_fraction: the part of the examples to use, in (0, 1].
      valid_t: `bool[...]`, false for examples to leave out, such as those that cross episodes.
      importance_t: `[...]` importance weights; no gradient.

    Returns:
      An `MPOLoss`; its temperature loss is a scalar.
    """
    weights, temperature_loss = vmpo_weights(adv_t, temperature, epsilon, top_fraction, valid_t, importance_t)
    policy_loss = -log_prob_t * weights * tf.cast(math.prod(sizes_of(adv_t)), adv_t.dtype)
    kl_loss, alpha_loss = _penalties(kl_constraints, policy_loss)
    return MPOLoss(policy_loss, temperature_loss, kl_loss, alpha_loss, weights)


def _check_constraints(function: str, constraints: Sequence[KLConstraint], shape: tf.TensorShape) -> None:
    for index, constraint in enumerate(constraints):
        given = tf.convert_to_tensor(constraint.kl).shape
        per_dimension = given.rank == shape.rank + 1
        if not (given[:-1] if per_dimension else given).is_compatible_with(shape):
            raise ValueError(
                f"{function}: kl_constraints[{index}].kl has shape {tuple(given)}, expected {tuple(shape)}, with or "
                "without one more axis"
            )


def _penalties(constraints: Sequence[KLConstraint], policy_loss: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    kl_loss = alpha_loss = tf.zeros_like(policy_loss)
    for constraint in constraints:
        kl = tf.convert_to_tensor(constraint.kl)
        per_dimension = kl.shape.rank == policy_loss.shape.rank + 1
        bounds = constraint.alpha, constraint.epsilon
        if not per_dimension:
            penalty = kl_penalty(kl, *bounds)
            kl_loss, alpha_loss = kl_loss + penalty.kl_loss, alpha_loss + penalty.alpha_loss
            continue
        penalty = kl_penalty(kl, *(_of_each_dimension(bound, kl) for bound in bounds))
        kl_loss += tf.reduce_sum(penalty.kl_loss, axis=-1)
        alpha_loss += tf.reduce_sum(penalty.alpha_loss, axis=-1)
    return kl_loss, alpha_loss


def _of_each_dimension(bound: float | tf.Tensor, kl: tf.Tensor) -> tf.Tensor:
    """A bound `[A]` with the axes that it lacks beside divergences `[..., A]`."""
    bound = tf.convert_to_tensor(bound, dtype_hint=kl.dtype)
    return tf.reshape(bound, [*[1] * (kl.shape.rank - 1), -1]) if bound.shape.rank == 1 else bound
