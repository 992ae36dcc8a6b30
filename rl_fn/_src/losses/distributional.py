"""Losses of value distributions: categories on fixed atoms, or quantiles.

A categorical distribution is a row of atoms `[..., K]`, in increasing order and usually shared (`[K]`), and
logits over them; with actions, logits are `[..., A, K]`. A distribution given by quantiles is a row of
values `[..., N]` at fractions tau; with actions, values are `[..., N, A]`. The fractions may be fixed
(QR-DQN: the midpoints (i + 0.5) / N) or drawn for each example (IQN): the functions are the same.
Targets get no gradient unless `stop_target_gradients` is false.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.losses.elementwise import as_target, cross_entropy
from rl_fn._src.returns.off_policy import chosen
from rl_fn._src.shapes import sizes_of
from rl_fn._src.signature import signature


@signature(z_p="float ... P", probs="float ... P in [0, inf)", z_q="float ... Q increasing")
def categorical_l2_project(z_p: tf.Tensor, probs: tf.Tensor, z_q: tf.Tensor) -> tf.Tensor:
    """Moves the probabilities of one support onto another: each atom's to its two neighbours there.

    Bellemare, Dabney and Munos (2017), "A distributional perspective on reinforcement learning",
    algorithm 1, for any target support. The result is the nearest in the Cramer distance (Rowland et al.,
    2018). Atoms outside the new support go to its nearest end.

    Args:
      z_p: `[..., P]` atoms, in any order.
      probs: `[..., P]` their probabilities.
      z_q: `[..., Q]` new atoms, strictly increasing.

    Returns:
      `[..., Q]` probabilities of the new atoms.
    """
    slope = 1 / (z_q[..., 1:] - z_q[..., :-1])
    flat = tf.zeros_like(z_q[..., :1])
    rising, falling = (tf.concat(parts, axis=-1)[..., tf.newaxis, :] for parts in ((flat, slope), (slope, flat)))
    distance = tf.clip_by_value(z_p, z_q[..., :1], z_q[..., -1:])[..., tf.newaxis] - z_q[..., tf.newaxis, :]
    # A hat over each new atom, from the one before it to the one behind it; XLA sums fastest as a product.
    weights = tf.maximum(1 + tf.minimum(distance * rising, -distance * falling), 0)
    return tf.squeeze(tf.matmul(probs[..., tf.newaxis, :], weights), axis=-2)


@signature(
    v_atoms_tm1="float ... K increasing",
    v_logits_tm1="float ... K",
    r_t="float ...",
    discount_t="float ...",
    v_atoms_t="float ... J",
    v_logits_t="float ... J",
)
def categorical_td_learning(
    v_atoms_tm1: tf.Tensor,
    v_logits_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    v_atoms_t: tf.Tensor,
    v_logits_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The cross-entropy of the projected distribution of r_t + discount_t v_t and softmax(v_logits_tm1).

    Bellemare, Dabney and Munos (2017), "A distributional perspective on reinforcement learning",
    algorithm 1, for state values. It is the KL divergence plus the entropy of the target.

    Args:
      v_atoms_tm1: `[..., K]` atoms.
      v_logits_tm1: `[..., K]` logits.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      v_atoms_t: `[..., J]` atoms of the successors.
      v_logits_t: `[..., J]` logits of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` losses, in nats.
    """
    target = _projected_target(v_atoms_tm1, r_t, discount_t, v_atoms_t, v_logits_t)
    return cross_entropy(as_target(target, stop_target_gradients), v_logits_tm1)


@signature(
    q_atoms_tm1="float ... K increasing",
    q_logits_tm1="float ... A K",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_atoms_t="float ... J",
    q_logits_t="float ... A J",
)
def categorical_q_learning(
    q_atoms_tm1: tf.Tensor,
    q_logits_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_atoms_t: tf.Tensor,
    q_logits_t: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The loss of C51: as `categorical_td_learning`, for the action taken and the best one after it.

    Bellemare, Dabney and Munos (2017), "A distributional perspective on reinforcement learning",
    algorithm 1. The best action is that of the highest mean.

    Args:
      q_atoms_tm1: `[..., K]` atoms.
      q_logits_tm1: `[..., A, K]` logits.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_atoms_t: `[..., J]` atoms of the successors.
      q_logits_t: `[..., A, J]` logits of the successors.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` cross-entropies, in nats.
    """
    q_t = tf.reduce_sum(tf.nn.softmax(q_logits_t) * q_atoms_t[..., tf.newaxis, :], axis=-1)
    return categorical_double_q_learning(
        q_atoms_tm1, q_logits_tm1, a_tm1, r_t, discount_t, q_atoms_t, q_logits_t, q_t, stop_target_gradients
    )


@signature(
    q_atoms_tm1="float ... K increasing",
    q_logits_tm1="float ... A K",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    q_atoms_t="float ... J",
    q_logits_t="float ... A J",
    q_t_selector="float ... A",
)
def categorical_double_q_learning(
    q_atoms_tm1: tf.Tensor,
    q_logits_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    q_atoms_t: tf.Tensor,
    q_logits_t: tf.Tensor,
    q_t_selector: tf.Tensor,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The loss of C51 with double Q-learning: `q_t_selector` chooses the next action.

    Bellemare, Dabney and Munos (2017), "A distributional perspective on reinforcement learning", with
    van Hasselt, Guez and Silver (2016), "Deep reinforcement learning with double Q-learning".

    Args:
      q_atoms_tm1: `[..., K]` atoms.
      q_logits_tm1: `[..., A, K]` logits.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      q_atoms_t: `[..., J]` atoms of the successors.
      q_logits_t: `[..., A, J]` logits of the successors.
      q_t_selector: `[..., A]` action values of the successors; never any gradient.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` cross-entropies, in nats.
    """
    best = tf.argmax(q_t_selector, axis=-1, output_type=tf.int32)
    target = _projected_target(q_atoms_tm1, r_t, discount_t, q_atoms_t, _of_action(q_logits_t, best))
    return cross_entropy(as_target(target, stop_target_gradients), _of_action(q_logits_tm1, a_tm1))


@signature(
    dist_src="float ... N",
    tau_src="float ... N in [0, 1]",
    dist_target="float ... M",
    huber_param="float in [0, inf)",
)
def quantile_regression_loss(
    dist_src: tf.Tensor,
    tau_src: tf.Tensor,
    dist_target: tf.Tensor,
    huber_param: float | tf.Tensor = 0.0,
    divide_by_huber_param: bool = False,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The quantile regression loss of each source quantile to all target samples.

    sum_i mean_j |tau_i - 1{u < 0}| L(u) with u = target_j - source_i; L(u) is |u|, or the Huber loss of
    parameter kappa as it stands (Dabney et al., 2018, "Distributional reinforcement learning with quantile
    regression", equation 10) or divided by kappa (Dabney et al., 2018, "Implicit quantile networks for
    distributional reinforcement learning", equation 3). Both are the same at kappa = 1.

    Args:
      dist_src: `[..., N]` quantile values.
      tau_src: `[..., N]` their fractions, fixed or drawn for each example.
      dist_target: `[..., M]` samples or quantile values of the target.
      huber_param: a scalar kappa; 0 for |u|.
      divide_by_huber_param: whether the Huber loss is divided by kappa.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` losses: the sum over source quantiles of the mean over target samples.
    """
    target = as_target(dist_target, stop_target_gradients)
    return _quantile_regression(dist_src, tau_src, target, huber_param, divide_by_huber_param)


@signature(
    dist_q_tm1="float ... N A",
    tau_q_tm1="float ... N in [0, 1]",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    dist_q_t_selector="float ... L A",
    dist_q_t="float ... M A",
    huber_param="float in [0, inf)",
)
def quantile_q_learning(
    dist_q_tm1: tf.Tensor,
    tau_q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    dist_q_t_selector: tf.Tensor,
    dist_q_t: tf.Tensor,
    huber_param: float | tf.Tensor = 0.0,
    divide_by_huber_param: bool = False,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """The loss of QR-DQN and IQN: quantile regression to r_t + discount_t times the best next action's quantiles.

    Dabney et al. (2018), "Distributional reinforcement learning with quantile regression", algorithm 1;
    Dabney et al. (2018), "Implicit quantile networks for distributional reinforcement learning". The best
    action is that of the highest mean in `dist_q_t_selector`: `dist_q_t` itself, other fractions of the same
    network (IQN), or another network (double Q-learning). N, M and L may differ.

    Args:
      dist_q_tm1: `[..., N, A]` quantile values.
      tau_q_tm1: `[..., N]` their fractions, fixed or drawn for each example.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      dist_q_t_selector: `[..., L, A]` quantile values of the successors, which choose the action; never any
        gradient.
      dist_q_t: `[..., M, A]` quantile values of the successors, which make the target.
      huber_param: a scalar kappa; 0 for no Huber loss.
      divide_by_huber_param: as in `quantile_regression_loss`.
      stop_target_gradients: whether the target is a constant to the gradient.

    Returns:
      `[...]` losses.
    """
    best = tf.argmax(tf.reduce_mean(dist_q_t_selector, axis=-2), axis=-1, output_type=tf.int32)
    dist_target = r_t[..., tf.newaxis] + discount_t[..., tf.newaxis] * _quantiles_of_action(dist_q_t, best)
    target = as_target(dist_target, stop_target_gradients)
    source = _quantiles_of_action(dist_q_tm1, a_tm1)
    return _quantile_regression(source, tau_q_tm1, target, huber_param, divide_by_huber_param)


@signature(
    dist_q_tm1="float ... N A",
    tau_q_tm1="float ... N in [0, 1]",
    a_tm1="int ... in [0, A)",
    r_t="float ...",
    discount_t="float ...",
    dist_q_t="float ... M A",
    probs_a_t="float ... A in [0, inf)",
    huber_param="float in [0, inf)",
)
def quantile_expected_sarsa(
    dist_q_tm1: tf.Tensor,
    tau_q_tm1: tf.Tensor,
    a_tm1: tf.Tensor,
    r_t: tf.Tensor,
    discount_t: tf.Tensor,
    dist_q_t: tf.Tensor,
    probs_a_t: tf.Tensor,
    huber_param: float | tf.Tensor = 0.0,
    divide_by_huber_param: bool = False,
    stop_target_gradients: bool = True,
) -> tf.Tensor:
    """Quantile regression to the mixture of all next actions: sum_a pi(a) loss(r_t + discount_t quantiles(a)).

    Expected SARSA (van Seijen et al., 2009) with the loss of Dabney et al. (2018), "Distributional
    reinforcement learning with quantile regression".

    Args:
      dist_q_tm1: `[..., N, A]` quantile values.
      tau_q_tm1: `[..., N]` their fractions, fixed or drawn for each example.
      a_tm1: `int[...]` actions taken.
      r_t: `[...]` rewards.
      discount_t: `[...]` discounts.
      dist_q_t: `[..., M, A]` quantile values of the successors.
      probs_a_t: `[..., A]` probabilities pi(a) of the policy in the successors.
      huber_param: a scalar kappa; 0 for no Huber loss.
      divide_by_huber_param: as in `quantile_regression_loss`.
      stop_target_gradients: whether the targets and their probabilities are constants to the gradient.

    Returns:
      `[...]` losses.
    """
    add_axes = lambda x: x[..., tf.newaxis, tf.newaxis]
    targets = add_axes(r_t) + add_axes(discount_t) * tf.linalg.matrix_transpose(dist_q_t)
    per_action = _quantile_regression(
        _quantiles_of_action(dist_q_tm1, a_tm1)[..., tf.newaxis, :],
        tau_q_tm1[..., tf.newaxis, :],
        as_target(targets, stop_target_gradients),
        huber_param,
        divide_by_huber_param,
    )
    return tf.reduce_sum(as_target(probs_a_t, stop_target_gradients) * per_action, axis=-1)


def _quantile_regression(
    source: tf.Tensor, tau: tf.Tensor, target: tf.Tensor, huber_param: tf.Tensor, divide_by_huber_param: bool
) -> tf.Tensor:
    zeros = tf.zeros_like(source[..., :1]) + tf.zeros_like(target[..., :1])
    num = sizes_of(target)[-1]
    share = tf.ones([num], target.dtype) / tf.cast(num, target.dtype)
    mean = lambda pairs: tf.linalg.matvec(pairs, share)  # as a product, because so XLA sums fastest on CPUs

    # A derived gradient takes the weights of examples into the sums over pairs, and more than twice as long.
    @tf.custom_gradient
    def loss(source: tf.Tensor, tau: tf.Tensor, target: tf.Tensor, kappa: tf.Tensor) -> tuple:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            pairs, upstream = _Pairs.of(source, tau, target, kappa, divide_by_huber_param), upstream[..., tf.newaxis]
            slope = pairs.weight * pairs.slope
            of_tau = mean(tf.where(pairs.is_negative, -pairs.size, pairs.size))
            of_target = tf.reduce_sum(slope, axis=-2) * share
            of_kappa = tf.reduce_sum(upstream * mean(pairs.weight * pairs.by_kappa))
            return -upstream * mean(slope), upstream * of_tau, upstream * of_target, of_kappa

        pairs = _Pairs.of(source, tau, target, kappa, divide_by_huber_param)
        return tf.reduce_sum(mean(pairs.weight * pairs.size), axis=-1), gradient

    return loss(source + zeros, tau + zeros, target + zeros, huber_param)


class _Pairs(NamedTuple):
    """What each source quantile loses to each target sample; all `[..., N, M]`."""

    is_negative: tf.Tensor  # whether the target is less
    weight: tf.Tensor
    size: tf.Tensor  # of the loss without its weight, and the derivatives of that by the error and by kappa
    slope: tf.Tensor
    by_kappa: tf.Tensor

    @classmethod
    def of(
        cls, source: tf.Tensor, tau: tf.Tensor, target: tf.Tensor, kappa: tf.Tensor, divide_by_kappa: bool
    ) -> _Pairs:
        error, tau = target[..., tf.newaxis, :] - source[..., tf.newaxis], tau[..., tf.newaxis]
        clipped = tf.clip_by_value(error, -kappa, kappa)
        size, slope, by_kappa = clipped * (error - 0.5 * clipped), clipped, tf.abs(error - clipped)
        if divide_by_kappa:
            scale = tf.where(kappa > 0, kappa, tf.ones_like(kappa))
            size, slope = size / scale, slope / scale
            by_kappa = (by_kappa - size) / scale
        huber, absolute = (size, slope, by_kappa), (tf.abs(error), tf.sign(error), tf.zeros_like(error))
        is_negative = error < 0
        return cls(
            is_negative,
            tf.where(is_negative, 1 - tau, tau),
            *(tf.where(kappa > 0, *either) for either in zip(huber, absolute, strict=True)),
        )


def _projected_target(
    atoms_tm1: tf.Tensor, r_t: tf.Tensor, discount_t: tf.Tensor, atoms_t: tf.Tensor, logits_t: tf.Tensor
) -> tf.Tensor:
    target_atoms = r_t[..., tf.newaxis] + discount_t[..., tf.newaxis] * atoms_t
    return categorical_l2_project(target_atoms, tf.nn.softmax(logits_t), atoms_tm1)


def _of_action(values: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
    """Picks `[..., K]` from `[..., A, K]`."""
    return chosen(tf.linalg.matrix_transpose(values), actions[..., tf.newaxis])


def _quantiles_of_action(values: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
    """Picks `[..., N]` from `[..., N, A]`."""
    return chosen(values, actions[..., tf.newaxis])
