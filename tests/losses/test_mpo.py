import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, stats

from rl_fn import losses
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, together

rng = np.random.default_rng(3)
B, A, S = 5, 3, 6
LOG_PROB, Q = (rng.normal(size=(B, S)).astype(np.float32) for _ in range(2))
TAKEN_LOG_PROB, ADV = (rng.normal(size=B).astype(np.float32) for _ in range(2))
KL, IMPORTANCE = (rng.random(B).astype(np.float32) for _ in range(2))
KL_PER_DIMENSION = rng.random((B, A)).astype(np.float32)
VALID = np.array([True, True, False, True, True])
MEAN_OLD, MEAN = (rng.normal(size=(B, A)).astype(np.float32) for _ in range(2))
STDDEV_OLD, STDDEV = (0.5 + rng.random((B, A)).astype(np.float32) for _ in range(2))
TEMPERATURE, ALPHA = np.float32(0.7), np.float32(0.4)
ALPHAS, EPSILONS = np.float32([0.1, 0.5, 2.0]), np.float32([0.1, 0.2, 0.3])


def mpo(log_prob, q, temperature, kl, alpha, kl_per_dimension, alphas, epsilons):
    constraints = [losses.KLConstraint(kl, alpha, 0.1), losses.KLConstraint(kl_per_dimension, alphas, epsilons)]
    return losses.mpo_loss(log_prob, q, temperature, 0.2, constraints)


def mpo_by_definition(log_prob, q, temperature, kl, alpha, kl_per_dimension, alphas, epsilons):
    rows = []
    for b in range(B):
        exponentials = [math.exp(x / temperature) for x in q[b]]
        weights = [x / sum(exponentials) for x in exponentials]
        rows.append(
            losses.MPOLoss(
                -sum(w * x for w, x in zip(weights, log_prob[b], strict=True)),
                temperature * (0.2 + math.log(sum(exponentials) / S)),
                alpha * kl[b] + sum(alphas[a] * kl_per_dimension[b, a] for a in range(A)),
                alpha * (0.1 - kl[b]) + sum(alphas[a] * (epsilons[a] - kl_per_dimension[b, a]) for a in range(A)),
                weights,
            )
        )
    return losses.MPOLoss(*[np.array(part) for part in zip(*rows, strict=True)])


def vmpo(log_prob, adv, temperature, kl, alpha, valid, importance):
    constraints = [losses.KLConstraint(kl, alpha, 0.1)]
    return losses.vmpo_loss(log_prob, adv, temperature, 0.2, constraints, 0.5, valid, importance)


def vmpo_by_definition(log_prob, adv, temperature, kl, alpha, valid, importance):
    best = sorted((b for b in range(B) if valid[b]), key=lambda b: -adv[b])[: int(0.5 * B)]
    scores = {b: importance[b] * math.exp(adv[b] / temperature) for b in best}
    weights = np.array([scores.get(b, 0.0) / sum(scores.values()) for b in range(B)])
    return losses.MPOLoss(
        -log_prob * weights * B,
        temperature * (0.2 + math.log(sum(scores.values()) / len(best))),
        alpha * kl,
        alpha * (0.1 - kl),
        weights,
    )


def gaussian_kl_by_definition(mean_old, stddev_old, mean, stddev):
    means, covariances = np.zeros((2, B, A))
    for b, a in np.ndindex(B, A):
        means[b, a] = (mean[b, a] - mean_old[b, a]) ** 2 / (2 * stddev_old[b, a] ** 2)
        variance_ratio = stddev_old[b, a] ** 2 / stddev[b, a] ** 2
        covariances[b, a] = (variance_ratio - 1 - math.log(variance_ratio)) / 2
    return losses.GaussianKL(means, covariances)


# name: function, arguments, which of them get a gradient, definition
CASES = {
    "mpo_loss": (
        mpo,
        (LOG_PROB, Q, TEMPERATURE, KL, ALPHA, KL_PER_DIMENSION, ALPHAS, EPSILONS),
        [0, 2, 3, 4, 5, 6],
        mpo_by_definition,
    ),
    "vmpo_loss": (
        vmpo,
        (TAKEN_LOG_PROB, ADV, TEMPERATURE, KL, ALPHA, VALID, IMPORTANCE),
        [0, 2, 3, 4],
        vmpo_by_definition,
    ),
    "gaussian_kl": (
        losses.gaussian_kl,
        (MEAN_OLD, STDDEV_OLD, MEAN, STDDEV),
        [2, 3],
        gaussian_kl_by_definition,
    ),
    "kl_penalty": (
        lambda kl, alpha: losses.kl_penalty(kl, alpha, 0.1),
        (KL, ALPHA),
        [0, 1],
        lambda kl, alpha: losses.KLPenalty(alpha * kl, alpha * (0.1 - kl)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_follow_the_definition(name):
    function, args, _, definition = CASES[name]
    args = [arg if arg.dtype == bool else np.asarray(arg, np.float64) for arg in args]
    actual, expected = function(*args), definition(*args)
    assert type(actual) is type(expected)
    for part, a, e in zip(actual._fields, actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-15, err_msg=part)


def test_modes_agree():
    assert_modes_agree(*together(CASES))


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, *_ = CASES[name]
    assert_bfloat16(function, *args)


# Weights and divergences are constants to some parts: each part is compared with the differences of itself alone.
PARTS = {
    "mpo_loss": {"policy_loss": [0], "temperature_loss": [2], "kl_loss": [3, 5], "alpha_loss": [4, 6, 7]},
    "vmpo_loss": {"policy_loss": [0], "temperature_loss": [2], "kl_loss": [3], "alpha_loss": [4]},
    "kl_penalty": {"kl_loss": [0], "alpha_loss": [1]},
    "gaussian_kl": {"mean": [2], "covariance": [3]},
}


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in PARTS.items() for part in parts])
def test_each_part_trains_what_it_should(name, part):
    function, args, *_ = CASES[name]
    assert_gradients(lambda *args: getattr(function(*args), part), args, PARTS[name][part])


def test_weights_get_no_gradient():
    for function, args, *_ in (CASES["mpo_loss"], CASES["vmpo_loss"]):
        tensors = [tf.convert_to_tensor(arg) for arg in args]
        with tf.GradientTape() as tape:
            tape.watch([tensor for tensor in tensors if tensor.dtype.is_floating])
            weights = function(*tensors).weights
        assert not any(np.any(gradient) for gradient in tape.gradient(weights, tensors) if gradient is not None)


def test_the_split_divergence_of_one_change_is_the_whole_divergence():
    zeros = np.zeros((1, A))
    only_mean = losses.gaussian_kl(zeros, zeros + 0.5, zeros + 0.3, zeros + 0.5)
    only_stddev = losses.gaussian_kl(zeros, zeros + 0.5, zeros, zeros + 0.8)
    np.testing.assert_array_equal(only_mean.covariance, zeros)
    np.testing.assert_array_equal(only_stddev.mean, zeros)
    for kl, mean, stddev in [(only_mean.mean, 0.3, 0.5), (only_stddev.covariance, 0.0, 0.8)]:
        x = np.linspace(-8, 8, 20001)
        old = stats.norm(0, 0.5)
        integrand = old.pdf(x) * (old.logpdf(x) - stats.norm(mean, stddev).logpdf(x))
        np.testing.assert_allclose(kl[0, 0], np.trapezoid(integrand, x), rtol=1e-9)


def test_the_best_temperature_meets_the_bound():
    q = rng.normal(size=(1, 200))
    loss = lambda t: float(losses.mpo_weights(q, tf.constant(t, tf.float64), 0.1).temperature_loss[0])
    best = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    weights = losses.mpo_weights(q, best, 0.1).weights.numpy()[0]
    np.testing.assert_allclose(np.sum(weights * np.log(weights * 200)), 0.1, rtol=1e-4)


def test_vmpo_takes_the_best_of_all_axes_and_every_tie():
    adv = np.array([[1.0, 3.0], [2.0, 2.0], [0.0, -1.0]])
    weights = losses.vmpo_weights(adv, 1.0, 0.1, top_fraction=1 / 3).weights.numpy()
    expected = np.array([[0, math.exp(3)], [math.exp(2), math.exp(2)], [0, 0]])
    np.testing.assert_allclose(weights, expected / expected.sum())
    assert np.count_nonzero(losses.vmpo_weights(adv, 1.0, 0.1, 1.0).weights) == 6


@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1.0, 1e30])
def test_vmpo_is_finite_at_any_temperature(temperature):
    result = losses.vmpo_weights(np.float32([1.0, 50.0, -1e30]), temperature, 0.1)
    np.testing.assert_allclose(result.weights, [0, 1, 0])
    np.testing.assert_allclose(result.temperature_loss, temperature * 0.1 + 50, rtol=1e-6)


def test_vmpo_without_a_valid_example_has_no_weight():
    result = losses.vmpo_weights(ADV, 0.5, 0.1, 0.5, np.zeros(B, bool))
    np.testing.assert_array_equal(result.weights, np.zeros(B))
    np.testing.assert_allclose(result.temperature_loss, 0.05)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"mpo_loss: temperature holds 0", losses.mpo_loss, LOG_PROB, Q, 0.0, 0.1, [])
    assert_refuses(r"mpo_loss: q_t has shape \(5, 5\).*S = 6", losses.mpo_loss, LOG_PROB, Q[:, :5], 1.0, 0.1, [])
    bad = [losses.KLConstraint(KL[:3], 1.0, 0.1)]
    assert_refuses(r"mpo_loss: kl_constraints\[0\].kl has shape \(3,\)", losses.mpo_loss, LOG_PROB, Q, 1.0, 0.1, bad)
    assert_refuses(r"vmpo_loss: kl_constraints\[0\].kl", losses.vmpo_loss, TAKEN_LOG_PROB, ADV, 1.0, 0.1, bad)
    assert_refuses(r"top_fraction is 0.1, expected", losses.vmpo_weights, ADV, 1.0, 0.1, 0.1)
    assert_refuses(r"top_fraction is 1.5, expected", losses.vmpo_weights, ADV, 1.0, 0.1, 1.5)
    assert_refuses(r"mpo_weights: epsilon holds -1", losses.mpo_weights, Q, 1.0, -1.0)
    assert_refuses(r"kl_penalty: alpha holds -1", losses.kl_penalty, KL, -1.0, 0.1)
    assert_refuses(r"gaussian_kl: stddev has shape \(5, 2\)", losses.gaussian_kl, MEAN, STDDEV, MEAN, STDDEV[:, :2])


def test_refusals_do_not_depend_on_what_was_called_before():
    constraint = [losses.KLConstraint(tf.ones([1]), tf.constant(1.0), tf.constant(1.0))]
    loss = lambda size: losses.mpo_loss(tf.zeros([size, 7]), tf.zeros([size, 7]), 1.0, 0.1, constraint)
    assert loss(1).kl_loss.shape == [1]
    with pytest.raises(ValueError, match=r"kl_constraints\[0\].kl has shape \(1,\), expected \(4,\)"):
        loss(4)
    weights = lambda size: losses.vmpo_weights(tf.zeros([size]), 1.0, 0.1).weights.shape
    assert [weights(4), weights(5)] == [[4], [5]]
    for size in (0, 1):
        with pytest.raises(ValueError, match=f"top_fraction is 0.5, .* at least one of {size} examples"):
            weights(size)


def test_a_part_that_binary_numbers_make_smaller_is_counted_in_full():
    weights = losses.vmpo_weights(tf.range(100.0), 1e6, 0.1, top_fraction=0.29).weights
    assert np.count_nonzero(weights) == 29
