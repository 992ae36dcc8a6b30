import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rl_fn import policies, random
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, together

NUM = 20_000
KEY = random.key(8)
rng = np.random.default_rng(5)
ACTION, NOISE = (rng.normal(size=(4, 2)).astype(np.float32) for _ in range(2))
FEATURES = rng.normal(size=(4, 3)).astype(np.float32)
STDDEV = (0.2 + rng.random((3, 2))).astype(np.float32)
FIRST = np.array([True, False, False, True])
PROBS = np.float32([[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.5, 0.0]])
LEGAL = np.array([[True] * 4, [True, False, True, False]])


def gsde(mean, features, stddev):
    matrix = policies.state_dependent_noise(KEY, stddev, [4])
    action = policies.state_dependent_action(mean, features, matrix)
    return action, policies.state_dependent_gaussian(mean, features, stddev).log_prob(
        ACTION.astype(mean.dtype.as_numpy_dtype)
    )


# name: function, arguments, which of them get a gradient
CASES = {
    "add_gaussian_noise": (lambda a, s: policies.add_gaussian_noise(KEY, a, s, -0.8, 0.9),
                           (ACTION, NOISE[0] ** 2), [0, 1]),
    "ornstein_uhlenbeck": (lambda n, d, s: policies.ornstein_uhlenbeck(KEY, n, FIRST, d, s),
                           (NOISE, np.float32(0.2), np.float32(0.3)), [0, 1, 2]),
    "add_dirichlet_noise": (lambda p, c, f: policies.add_dirichlet_noise(KEY, p, c, f, LEGAL),
                            (PROBS, np.float32(0.6), np.float32(0.25)), [0, 2]),
    "gsde": (gsde, (ACTION, FEATURES, STDDEV), [0, 1, 2]),
    "perturb": (lambda x, y, s: policies.perturb(KEY, {"kernel": x, "bias": y}, s), (ACTION, NOISE[0], np.float32(0.1)),
                [0, 1, 2]),
    "adaptive_noise_stddev": (policies.adaptive_noise_stddev, (np.float32([0.1, 0.2]), np.float32([0.3, 0.4]),
                                                               np.float32(0.35)), [0]),
}  # fmt: skip


def test_modes_agree():
    assert_modes_agree(*together(CASES), rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, args, with_gradient = CASES[name]
    args = [np.abs(arg - 0.01) if arg is PROBS else arg for arg in args]  # room for the differences inside [0, 1]
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"add_dirichlet_noise"}))
def test_bfloat16(name):
    function, args, _ = CASES[name]
    if name == "ornstein_uhlenbeck":
        args = args[0], np.float32(0.25), np.float32(0.25)
    assert_bfloat16(lambda *args: tf.nest.flatten(function(*args))[0], *args)


def test_gaussian_noise_has_its_scale_and_stays_inside_the_bounds():
    noisy = policies.add_gaussian_noise(KEY, tf.fill([NUM, 2], 0.5), [0.2, 2.0]).numpy()
    assert stats.kstest(noisy[:, 0], stats.norm(0.5, 0.2).cdf).pvalue > 1e-3
    assert stats.kstest(noisy[:, 1], stats.norm(0.5, 2.0).cdf).pvalue > 1e-3
    bounded = policies.add_gaussian_noise(KEY, tf.fill([NUM, 2], 0.5), 0.2, [0.4, -1.0], 0.7).numpy()
    np.testing.assert_array_equal(bounded.min(axis=0)[0], np.float32(0.4))
    np.testing.assert_array_equal(bounded.max(), np.float32(0.7))


def test_ornstein_uhlenbeck_is_an_autoregression_with_its_stationary_variance():
    damping, stddev = 0.3, 0.5
    noise = tf.zeros([NUM, 1], tf.float64)
    for step in range(30):
        last, noise = noise, policies.ornstein_uhlenbeck(random.fold_in(KEY, step), noise, None, damping, stddev)
    assert (
        stats.kstest(noise.numpy()[:, 0], stats.norm(0, stddev / math.sqrt(1 - (1 - damping) ** 2)).cdf).pvalue > 1e-3
    )
    innovations = (noise - (1 - damping) * last).numpy()[:, 0]
    assert stats.kstest(innovations, stats.norm(0, stddev).cdf).pvalue > 1e-3


def test_ornstein_uhlenbeck_starts_again_with_the_episode():
    with_reset = policies.ornstein_uhlenbeck(KEY, NOISE, FIRST).numpy()
    without = policies.ornstein_uhlenbeck(KEY, NOISE).numpy()
    fresh = policies.ornstein_uhlenbeck(KEY, np.zeros_like(NOISE)).numpy()
    np.testing.assert_array_equal(with_reset, np.where(FIRST[:, None], fresh, without))
    np.testing.assert_allclose(without - fresh, 0.85 * NOISE, rtol=1e-5, atol=1e-6)


def test_dirichlet_noise_mixes_over_the_legal_actions():
    probs = np.tile(PROBS, (NUM // 2, 1, 1)).astype(np.float64)
    mixed = policies.add_dirichlet_noise(KEY, probs, 0.3, 0.25, LEGAL[np.newaxis]).numpy()
    np.testing.assert_allclose(mixed.sum(axis=-1), 1.0)
    assert np.all(mixed[:, 1, [1, 3]] == 0)
    noise = (mixed - 0.75 * probs) / 0.25
    assert stats.kstest(noise[:, 0, 2], stats.beta(0.3, 0.9).cdf).pvalue > 1e-3
    assert stats.kstest(noise[:, 1, 0], stats.beta(0.3, 0.3).cdf).pvalue > 1e-3
    mixed = policies.add_dirichlet_noise(KEY, tf.cast(PROBS, tf.bfloat16), 0.3)
    assert mixed.dtype == tf.bfloat16


def test_state_dependent_actions_follow_their_exact_distribution():
    matrices = policies.state_dependent_noise(KEY, STDDEV.astype(np.float64), [NUM])
    for action, features in zip(ACTION.astype(np.float64), FEATURES.astype(np.float64), strict=True):
        draws = policies.state_dependent_action(action, features, matrices).numpy()
        stddev = np.sqrt([sum((f * s) ** 2 for f, s in zip(features, column, strict=True)) for column in STDDEV.T])
        distribution = policies.state_dependent_gaussian(action, features, STDDEV.astype(np.float64), 0.0)
        for column, mean, scale in zip(draws.T, action, stddev, strict=True):
            assert stats.kstest(column, stats.norm(mean, scale).cdf).pvalue > 1e-3
        expected = stats.norm(action, stddev).logpdf(draws[0]).sum()
        np.testing.assert_allclose(distribution.log_prob(draws[0]), expected, rtol=1e-5)


def test_state_dependent_noise_is_the_same_in_the_same_state():
    matrix = policies.state_dependent_noise(KEY, STDDEV)
    assert matrix.shape == STDDEV.shape
    twice = policies.state_dependent_action(np.zeros((2, 2), np.float32), np.tile(FEATURES[0], (2, 1)), matrix).numpy()
    np.testing.assert_array_equal(twice[0], twice[1])
    np.testing.assert_allclose(twice[0], FEATURES[0] @ matrix.numpy(), rtol=1e-5)
    zero = policies.state_dependent_gaussian([0.0, 0.0], [0.0, 0.0, 0.0], STDDEV)
    np.testing.assert_allclose(zero.stddev(), [1e-3, 1e-3], rtol=1e-5)


def test_perturbed_parameters_differ_by_independent_noise():
    params = {"a": tf.ones([100, 100]), "b": (tf.zeros([100, 100]), tf.constant(7))}
    noisy = policies.perturb(KEY, params, 0.3)
    tf.nest.assert_same_structure(noisy, params)
    a, b = noisy["a"].numpy().ravel() - 1, noisy["b"][0].numpy().ravel()
    assert stats.kstest(a, stats.norm(0, 0.3).cdf).pvalue > 1e-3
    assert stats.kstest(b, stats.norm(0, 0.3).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert noisy["b"][1] == 7


def test_the_scale_of_parameter_noise_adapts():
    scales = policies.adaptive_noise_stddev([0.2, 0.2, 0.2], [0.1, 0.3, 0.2], 0.2, 1.5)
    np.testing.assert_allclose(scales, [0.3, 0.2 / 1.5, 0.3], rtol=1e-6)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"add_gaussian_noise: stddev holds -1", policies.add_gaussian_noise, KEY, ACTION, -1.0)
    assert_refuses(r"damping holds 2", policies.ornstein_uhlenbeck, KEY, NOISE, None, 2.0)
    assert_refuses(r"is_first_t has shape \(3,\).*broadcast", policies.ornstein_uhlenbeck, KEY, NOISE, FIRST[:3])
    assert_refuses(r"concentration holds 0", policies.add_dirichlet_noise, KEY, PROBS, 0.0)
    assert_refuses(r"probs holds 2", policies.add_dirichlet_noise, KEY, PROBS * 0 + 2, 0.3)
    assert_refuses(r"state_dependent_noise: stddev has shape \(3,\)", policies.state_dependent_noise, KEY, STDDEV[:, 0])
    assert_refuses(r"matrix has shape \(2, 2\).*F = 3", policies.state_dependent_action, ACTION, FEATURES, STDDEV[:2])
    assert_refuses(r"state_dependent_gaussian: stddev.*F = 3", policies.state_dependent_gaussian, ACTION, FEATURES,
                   STDDEV[:2])  # fmt: skip
    assert_refuses(r"perturb: stddev holds -1", policies.perturb, KEY, {"w": ACTION}, -1.0)
    assert_refuses(r"factor holds 0.5", policies.adaptive_noise_stddev, 0.1, 0.1, 0.1, 0.5)
