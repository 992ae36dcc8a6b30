"""The definitions of value losses for one example, in plain loops, and a way to apply them to batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    function: Callable[..., Any]
    definition: Callable[..., Any]  # of one example
    args: tuple
    axes: Sequence[int | None] | int  # where each argument has its batch axis; None where it has none
    with_gradient: Sequence[int]


def by_example(definition: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None] | int) -> np.ndarray:
    """Applies a definition to each example of a batch; the results are stacked along the batch axis."""
    axes = [axes] * len(args) if isinstance(axes, int) else axes
    args = [np.asarray(arg, np.float64) if np.asarray(arg).dtype.kind == "f" else np.asarray(arg) for arg in args]
    size = next(arg.shape[axis] for arg, axis in zip(args, axes, strict=True) if axis is not None)
    rows = [
        definition(*[arg if axis is None else arg.take(b, axis) for arg, axis in zip(args, axes, strict=True)])
        for b in range(size)
    ]
    return np.stack(rows, max(axis for axis in axes if axis is not None))


def td_learning(v_tm1, r_t, discount_t, v_t):
    return r_t + discount_t * v_t - v_tm1


def q_learning(q_tm1, a_tm1, r_t, discount_t, q_t):
    return r_t + discount_t * max(q_t) - q_tm1[a_tm1]


def double_q_learning(q_tm1, a_tm1, r_t, discount_t, q_t_value, q_t_selector):
    return r_t + discount_t * q_t_value[np.argmax(q_t_selector)] - q_tm1[a_tm1]


def sarsa(q_tm1, a_tm1, r_t, discount_t, q_t, a_t):
    return r_t + discount_t * q_t[a_t] - q_tm1[a_tm1]


def expected_sarsa(q_tm1, a_tm1, r_t, discount_t, q_t, probs_a_t):
    return r_t + discount_t * sum(p * q for p, q in zip(probs_a_t, q_t, strict=True)) - q_tm1[a_tm1]


def persistent_q_learning(q_tm1, a_tm1, r_t, discount_t, q_t, scale):
    return r_t + discount_t * ((1 - scale) * max(q_t) + scale * q_t[a_tm1]) - q_tm1[a_tm1]


def munchausen_q_learning(q_tm1, a_tm1, r_t, discount_t, q_t, q_tm1_target, alpha, temperature, clip_min):
    bonus = min(max(temperature * log_softmax(q_tm1_target / temperature)[a_tm1], clip_min), 0)
    log_policy = log_softmax(q_t / temperature)
    # An action of probability zero adds nothing, whatever its value.
    soft_value = sum(
        math.exp(log_p) * (q - temperature * log_p) for log_p, q in zip(log_policy, q_t, strict=True) if log_p > -700
    )
    return r_t + alpha * bonus + discount_t * soft_value - q_tm1[a_tm1]


def qv_learning(q_tm1, a_tm1, r_t, discount_t, v_t):
    return r_t + discount_t * v_t - q_tm1[a_tm1]


def qv_max(v_tm1, r_t, discount_t, q_t):
    return r_t + discount_t * max(q_t) - v_tm1


def td_lambda(v_tm1, r_t, discount_t, v_t, lambda_, truncated_t):
    result, following = np.zeros_like(r_t), v_t[-1]
    for t in reversed(range(len(r_t))):
        rest = (1 - lambda_[t]) * v_t[t] + lambda_[t] * following
        following = r_t[t] + discount_t[t] * (v_t[t] if truncated_t[t] else rest)
        result[t] = following - v_tm1[t]
    return result


def sarsa_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, a_t, lambda_, truncated_t):
    steps = range(len(r_t))
    v_tm1, v_t = np.array([q_tm1[t, a_tm1[t]] for t in steps]), np.array([q_t[t, a_t[t]] for t in steps])
    return td_lambda(v_tm1, r_t, discount_t, v_t, lambda_, truncated_t)


def q_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, lambda_, truncated_t):
    steps = range(len(r_t))
    v_tm1, v_t = np.array([q_tm1[t, a_tm1[t]] for t in steps]), np.array([max(q_t[t]) for t in steps])
    return td_lambda(v_tm1, r_t, discount_t, v_t, lambda_, truncated_t)


def watkins_q_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, lambda_, truncated_t, a_t):
    greedy = np.array([q_t[t, a_t[t]] == max(q_t[t]) for t in range(len(r_t))])
    return q_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, np.where(greedy, lambda_, 0), truncated_t)


def retrace(q_tm1, q_t, a_tm1, a_t, r_t, discount_t, pi_t, mu_t, lambda_, truncated_t):
    result, following = np.zeros_like(r_t), None
    for t in reversed(range(len(r_t))):
        rest = sum(p * q for p, q in zip(pi_t[t], q_t[t], strict=True))
        if following is not None and not truncated_t[t]:
            pi, mu = pi_t[t, a_t[t]], mu_t[t]
            rest += lambda_[t] * (pi / mu if pi < mu else float(pi > 0)) * (following - q_t[t, a_t[t]])
        following = r_t[t] + discount_t[t] * rest
        result[t] = following - q_tm1[t, a_tm1[t]]
    return result


def retrace_continuous(q_tm1, q_t, v_t, r_t, discount_t, log_rhos, lambda_, truncated_t):
    result, following = np.zeros_like(r_t), None
    for t in reversed(range(len(r_t))):
        rest = v_t[t]
        if following is not None and not truncated_t[t]:
            rest += lambda_[t] * min(1, math.exp(min(log_rhos[t], 700))) * (following - q_t[t])
        following = r_t[t] + discount_t[t] * rest
        result[t] = following - q_tm1[t]
    return result


def categorical_l2_project(z_p, probs, z_q):
    result = np.zeros_like(z_q)
    for z, p in zip(z_p, probs, strict=True):
        z = min(max(z, z_q[0]), z_q[-1])
        upper = next(i for i, atom in enumerate(z_q) if z <= atom)
        if z == z_q[upper]:
            result[upper] += p
            continue
        width = z_q[upper] - z_q[upper - 1]
        result[upper - 1] += p * (z_q[upper] - z) / width
        result[upper] += p * (z - z_q[upper - 1]) / width
    return result


def categorical_td_learning(v_atoms_tm1, v_logits_tm1, r_t, discount_t, v_atoms_t, v_logits_t):
    target = categorical_l2_project(r_t + discount_t * v_atoms_t, softmax(v_logits_t), v_atoms_tm1)
    return cross_entropy(target, v_logits_tm1)


def categorical_q_learning(q_atoms_tm1, q_logits_tm1, a_tm1, r_t, discount_t, q_atoms_t, q_logits_t):
    selector = [sum(softmax(logits) * q_atoms_t) for logits in q_logits_t]
    return categorical_double_q_learning(
        q_atoms_tm1, q_logits_tm1, a_tm1, r_t, discount_t, q_atoms_t, q_logits_t, selector
    )


def categorical_double_q_learning(q_atoms_tm1, q_logits_tm1, a_tm1, r_t, discount_t, q_atoms_t, q_logits_t, selector):
    logits_t = q_logits_t[np.argmax(selector)]
    return categorical_td_learning(q_atoms_tm1, q_logits_tm1[a_tm1], r_t, discount_t, q_atoms_t, logits_t)


def quantile_regression_loss(dist_src, tau_src, dist_target, kappa, divide=False):
    total = 0.0
    for source, tau in zip(dist_src, tau_src, strict=True):
        for target in dist_target:
            error = target - source
            if kappa == 0:
                loss = abs(error)
            else:
                loss = 0.5 * error**2 if abs(error) <= kappa else kappa * (abs(error) - 0.5 * kappa)
                loss = loss / kappa if divide else loss
            total += (1 - tau if error < 0 else tau) * loss / len(dist_target)
    return total


def quantile_q_learning(dist_q_tm1, tau, a_tm1, r_t, discount_t, selector, dist_q_t, kappa):
    best = np.argmax(selector.mean(0))
    return quantile_regression_loss(dist_q_tm1[:, a_tm1], tau, r_t + discount_t * dist_q_t[:, best], kappa)


def quantile_expected_sarsa(dist_q_tm1, tau, a_tm1, r_t, discount_t, dist_q_t, probs_a_t, kappa):
    return sum(
        p * quantile_regression_loss(dist_q_tm1[:, a_tm1], tau, r_t + discount_t * dist_q_t[:, a], kappa)
        for a, p in enumerate(probs_a_t)
    )


def hl_gauss_targets(value, edges, sigma):
    cumulative = [0.5 + 0.5 * math.erf((edge - value) / (sigma * math.sqrt(2))) for edge in edges]
    return np.diff(cumulative) / (cumulative[-1] - cumulative[0])


def hl_gauss_loss(logits, value, edges, sigma):
    return cross_entropy(hl_gauss_targets(min(max(value, edges[0]), edges[-1]), edges, sigma), logits)


def huber_loss(error, delta):
    return 0.5 * error**2 if abs(error) <= delta else delta * (abs(error) - 0.5 * delta)


def expectile_loss(prediction, target, expectile):
    error = target - prediction
    return abs(expectile - (error < 0)) * error**2


def likelihood(p, target):
    return p**target * (1 - p) ** (1 - target)


def log_loss(p, target):
    parts = [weight * math.log(x) if x else -math.inf for weight, x in ((target, p), (1 - target, 1 - p)) if weight]
    return -sum(parts)


def softmax(logits):
    weights = np.exp(logits - np.max(logits))
    return weights / weights.sum()


def log_softmax(logits):
    shifted = logits - np.max(logits)
    return shifted - np.log(np.exp(shifted).sum())


def cross_entropy(probs, logits):
    return -sum(p * log_q for p, log_q in zip(probs, log_softmax(logits), strict=True) if p > 0)
