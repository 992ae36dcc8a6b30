import functools

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import transforms
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

rng = np.random.default_rng(0)
X = np.array([-30.0, -2.5, -0.4, 0.3, 1.7, 12.0], np.float32)
UNIT = np.array([0.1, 0.45, 0.9], np.float32)
PROBS = rng.dirichlet(np.ones(6), size=3).astype(np.float32)

# The function, its arguments, and what it computes in float64.
CASES = {
    "identity": (transforms.identity, X, lambda x: x),
    "signed_hyperbolic": (
        transforms.signed_hyperbolic,
        X,
        lambda x: np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x,
    ),
    "signed_parabolic": (
        transforms.signed_parabolic,
        X,
        lambda x: np.sign(x) * (((np.sqrt(1 + 4e-3 * (1e-3 + 1 + np.abs(x))) - 1) / 2e-3) ** 2 - 1),
    ),
    "signed_logp1": (transforms.signed_logp1, X, lambda x: np.sign(x) * np.log(np.abs(x) + 1)),
    "signed_expm1": (transforms.signed_expm1, X / 10, lambda x: np.sign(x) * (np.exp(np.abs(x)) - 1)),
    "hyperbolic_arcsin": (transforms.hyperbolic_arcsin, X, np.arcsinh),
    "hyperbolic_sin": (transforms.hyperbolic_sin, X / 10, np.sinh),
    "sigmoid": (transforms.sigmoid, X, lambda x: 1 / (1 + np.exp(-x))),
    "logit": (transforms.logit, UNIT, lambda x: np.log(x / (1 - x))),
    "power": (
        functools.partial(transforms.power, p=0.3),
        X,
        lambda x: np.sign(x) * ((np.abs(x) / np.sqrt(0.3) + 1) ** 0.3 - 1) / np.sqrt(0.3),
    ),
    "transform_to_2hot": (
        functools.partial(transforms.transform_to_2hot, min_value=-5.0, max_value=20.0, num_bins=6),
        X,
        lambda x: two_hot(np.clip(x, -5, 20), np.linspace(-5, 20, 6)),
    ),
    "transform_from_2hot": (
        functools.partial(transforms.transform_from_2hot, min_value=-5.0, max_value=20.0, num_bins=6),
        PROBS,
        lambda probs: probs @ np.linspace(-5, 20, 6),
    ),
}
PAIRS = {
    "identity": transforms.IDENTITY_PAIR,
    "signed_hyperbolic": transforms.SIGNED_HYPERBOLIC_PAIR,
    "signed_logp1": transforms.SIGNED_LOGP1_PAIR,
    "hyperbolic_sin": transforms.HYPERBOLIC_SIN_PAIR,
    "power": transforms.TransformPair(lambda x: transforms.power(x, 0.3), lambda x: transforms.power(x, 1 / 0.3)),
    "twohot": transforms.twohot_pair(-40.0, 40.0, 11),
    "muzero": transforms.muzero_pair(-10.0, 10.0, 21, transforms.SIGNED_HYPERBOLIC_PAIR),
    "unbiased": transforms.unbiased_transform_pair(-10.0, 10.0, 21, transforms.SIGNED_HYPERBOLIC_PAIR),
    "composed": transforms.compose(transforms.SIGNED_LOGP1_PAIR, transforms.SIGNED_HYPERBOLIC_PAIR),
}


def two_hot(x, bins):
    result = np.zeros((len(x), len(bins)))
    for row, value in enumerate(x):
        upper = max(np.searchsorted(bins, value), 1)
        result[row, upper - 1] = (bins[upper] - value) / (bins[upper] - bins[upper - 1])
        result[row, upper] = 1 - result[row, upper - 1]
    return result


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    function, x, definition = CASES[name]
    x = x.astype(np.float64)
    np.testing.assert_allclose(function(x), definition(x), rtol=1e-9, atol=1e-12)


def test_modes_agree():
    def all_of_them(*args):
        return [function(x) for (function, _, _), x in zip(CASES.values(), args, strict=True)]

    assert_modes_agree(all_of_them, *[x for _, x, _ in CASES.values()], rtol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, x, _ = CASES[name]
    assert_gradients(function, (x,), [0])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, x, _ = CASES[name]
    assert_bfloat16(function, x)


@pytest.mark.parametrize("name", ["signed_hyperbolic", "signed_parabolic", "signed_logp1", "signed_expm1", "power"])
def test_the_gradient_at_zero_is_the_true_one(name):
    assert_gradients(CASES[name][0], (np.zeros(1),), [0], tolerance=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_the_inverse_brings_back(name):
    pair = PAIRS[name]
    np.testing.assert_allclose(pair.apply_inv(pair.apply(X)), X, rtol=2e-5, atol=1e-6)


def test_float32_keeps_small_and_large_values():
    x = np.float32([1e-6, 1e-3, 1e3, 1e6])
    for pair in (transforms.SIGNED_HYPERBOLIC_PAIR, transforms.SIGNED_LOGP1_PAIR, transforms.HYPERBOLIC_SIN_PAIR):
        np.testing.assert_allclose(pair.apply_inv(pair.apply(x)), x, rtol=1e-5)


def test_discount_pair():
    gamma = np.float64([0.0, 0.9, 0.999])
    horizon = transforms.DISCOUNT_TRANSFORM_PAIR.apply(gamma)
    np.testing.assert_allclose(horizon, -np.log(1 - gamma), atol=1e-15)
    np.testing.assert_allclose(transforms.DISCOUNT_TRANSFORM_PAIR.apply_inv(horizon), gamma, rtol=1e-12, atol=1e-15)


def test_two_hot_weights_are_a_distribution_with_two_neighbours():
    weights = transforms.transform_to_2hot(rng.normal(size=100) * 10, -20.0, 20.0, 17).numpy()
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(-1), 1)
    assert np.all((weights > 0).sum(-1) <= 2)
    exact = transforms.transform_to_2hot([-20.0, 0.0, 20.0, 99.0], -20.0, 20.0, 5)
    np.testing.assert_array_equal(exact, np.eye(5)[[0, 2, 4, 4]])


def test_the_unbiased_pair_averages_values():
    values = tf.constant([-7.0, 50.0])
    for name, is_mean in (("unbiased", True), ("muzero", False)):
        mixture = tf.reduce_mean(PAIRS[name].apply(values), axis=0)
        assert np.isclose(PAIRS[name].apply_inv(mixture), 21.5, rtol=1e-4) == is_mean


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"num_bins is 1", transforms.transform_to_2hot, X, 0.0, 1.0, 1)
    assert_refuses(r"min_value is 1.0 and max_value 0.0", transforms.transform_to_2hot, X, 1.0, 0.0, 3)
    assert_refuses(r"bins holds 1 after 1", transforms.two_hot, X, [0.0, 1.0, 1.0])
    for pair in (transforms.muzero_pair, transforms.unbiased_transform_pair):
        assert_refuses(r"min_value is 1 and max_value 1, expected min", pair, 1, 1, 3, transforms.IDENTITY_PAIR)
        assert_refuses(r"num_bins is 2.5, expected an integer", pair, 0, 1, 2.5, transforms.IDENTITY_PAIR)
    assert_refuses(r"probs has shape \(3, 6\).*5\]", transforms.transform_from_2hot, PROBS, 0.0, 1.0, 5)
    assert_refuses(r"logit: x holds 2", transforms.logit, [0.5, 2.0])
    assert_refuses(r"power: p holds -1", transforms.power, X, -1.0)
