import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from rl_fn import policies, random
from tests.policies.test_selection import assert_frequencies
from tests.support import assert_gradients, assert_modes_agree, assert_refuses, together

NUM = 20_000
KEY = random.key(5)
rng = np.random.default_rng(4)
MEAN, STDDEV = np.float32([[0.3, -1.2], [0.0, 0.8]]), np.float32([[0.5, 1.5], [0.1, 0.7]])
LOW, HIGH = np.float32([-1.0, 0.5]), np.float32([3.0, 2.0])
LOGITS = rng.normal(size=(4, 9)).astype(np.float32)
SIZES = (2, 4, 3)
LEGAL = np.array([True, True, False, True, True, True, True, False, True])

DISTRIBUTIONS = {
    "categorical": (lambda logits: policies.categorical(logits, LEGAL), (LOGITS,)),
    "multi_discrete": (lambda logits: policies.multi_discrete(logits, SIZES, LEGAL), (LOGITS,)),
    "multi_binary": (policies.multi_binary, (LOGITS,)),
    "gaussian": (policies.gaussian, (MEAN, STDDEV)),
    "squashed_gaussian": (policies.squashed_gaussian, (MEAN, STDDEV, LOW, HIGH)),
    "normal": (tfp.distributions.Normal, (MEAN, STDDEV)),
    "multivariate_normal_diag": (tfp.distributions.MultivariateNormalDiag, (MEAN, STDDEV)),
    "bernoulli": (lambda logits: tfp.distributions.Bernoulli(logits=logits), (LOGITS,)),
    "categorical_of_probs": (lambda logits: tfp.distributions.Categorical(probs=tf.nn.softmax(logits)), (LOGITS,)),
}


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_modes_agree():
    def discrete(make):
        def evaluate(*params):
            distribution = make(*params)
            draws = policies.sample(KEY, distribution, [2])
            return draws, policies.mode(distribution), distribution.log_prob(draws), distribution.entropy()

        return evaluate

    def squashed(*params):
        distribution = policies.squashed_gaussian(*params)
        entropy = policies.squashed_entropy(KEY, distribution, 3)
        return policies.squashed_sample(KEY, distribution), policies.mode(distribution), entropy

    clipped = lambda mean, stddev: policies.clipped_gaussian(KEY, mean, stddev, -0.2, 0.4)
    cases = {name: (discrete(DISTRIBUTIONS[name][0]), (LOGITS,)) for name in ("multi_discrete", "multi_binary")}
    cases |= {"squashed": (squashed, (MEAN, STDDEV, LOW, HIGH)), "clipped": (clipped, (MEAN, STDDEV))}
    assert_modes_agree(*together(cases), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_have_the_shapes_and_types_of_the_distribution(name):
    make, args = DISTRIBUTIONS[name]
    distribution = make(*args)
    shape = (*distribution.batch_shape, *distribution.event_shape)
    draws = policies.sample(KEY, distribution, [3, 1])
    assert draws.shape == (3, 1, *shape)
    assert draws.dtype == distribution.dtype
    assert policies.sample(KEY, distribution).shape == policies.mode(distribution).shape == shape


def test_categorical_with_illegal_actions():
    distribution = policies.categorical(LOGITS.astype(np.float64), LEGAL)
    probs = softmax(LOGITS.astype(np.float64)[:, LEGAL])
    other = policies.categorical(LOGITS[::-1].astype(np.float64), LEGAL)
    other_probs = probs[::-1]
    np.testing.assert_allclose(distribution.entropy(), [stats.entropy(p) for p in probs])
    np.testing.assert_allclose(
        distribution.kl_divergence(other), [stats.entropy(p, q) for p, q in zip(probs, other_probs, strict=True)]
    )
    np.testing.assert_allclose(distribution.log_prob([0, 1, 3, 8]), np.log(probs[range(4), [0, 1, 2, 6]]))
    assert np.all(np.isin(policies.sample(KEY, distribution, [500]), np.flatnonzero(LEGAL)))
    assert_gradients(lambda x: policies.categorical(x, LEGAL).entropy(), (LOGITS,), [0])
    kl = lambda x, y: policies.categorical(x, LEGAL).kl_divergence(policies.categorical(y, LEGAL))
    assert_gradients(kl, (LOGITS, LOGITS[::-1]), [0, 1])


def test_multi_discrete_is_independent_choices():
    logits = LOGITS[0].astype(np.float64)
    distribution = policies.multi_discrete(logits, SIZES)
    parts = [softmax(part) for part in np.split(logits, np.cumsum(SIZES)[:-1])]
    draws = policies.sample(KEY, distribution, [NUM]).numpy()
    for column, probs in zip(draws.T, parts, strict=True):
        assert_frequencies(column, probs)
    joint = np.ravel_multi_index(draws.T, SIZES)
    assert_frequencies(joint, np.einsum("i,j,k->ijk", *parts).ravel())
    np.testing.assert_allclose(
        distribution.log_prob(draws[:5]), sum(np.log(p[draws[:5, i]]) for i, p in enumerate(parts))
    )
    np.testing.assert_allclose(distribution.entropy(), sum(stats.entropy(p) for p in parts))
    uniform = policies.multi_discrete(np.zeros(9), SIZES)
    np.testing.assert_allclose(
        distribution.kl_divergence(uniform), sum(np.log(len(p)) - stats.entropy(p) for p in parts)
    )
    assert list(policies.mode(distribution)) == [p.argmax() for p in parts]
    assert_gradients(lambda x: policies.multi_discrete(x, SIZES, LEGAL).log_prob([0, 1, 2]), (LOGITS,), [0])
    masked = policies.sample(KEY, policies.multi_discrete(LOGITS[0], SIZES, LEGAL), [1000]).numpy()
    assert not np.any(masked[:, 1] == 0)
    assert not np.any(masked[:, 2] == 1)


def test_multi_binary_is_independent_coins():
    logits = np.float64([-1.0, 0.0, 2.0])
    distribution = policies.multi_binary(logits)
    draws = policies.sample(KEY, distribution, [NUM]).numpy()
    joint = np.ravel_multi_index(draws.T, (2, 2, 2))
    p = special.expit(logits)
    assert_frequencies(joint, np.array([np.prod(np.where(bits, p, 1 - p)) for bits in np.ndindex(2, 2, 2)]))
    np.testing.assert_allclose(distribution.log_prob(draws[0]), np.log(np.where(draws[0], p, 1 - p)).sum())


def test_gaussian_draws_and_densities():
    mean, stddev = MEAN.astype(np.float64), STDDEV.astype(np.float64)
    distribution = policies.gaussian(mean, stddev)
    draws = policies.sample(KEY, distribution, [NUM]).numpy()
    for index in np.ndindex(2, 2):
        assert stats.kstest(draws[(slice(None), *index)], stats.norm(mean[index], stddev[index]).cdf).pvalue > 1e-3
    np.testing.assert_allclose(distribution.log_prob(draws[0]), stats.norm(mean, stddev).logpdf(draws[0]).sum(axis=-1))
    assert abs(np.corrcoef(draws[:, 0].T)[0, 1]) < 0.03
    assert_gradients(lambda m, s: policies.sample(KEY, policies.gaussian(m, s)), (MEAN, STDDEV), [0, 1])


def test_clipped_gaussian_has_the_log_probability_of_the_unclipped_action():
    mean, stddev = np.tile(MEAN, (50, 1)).astype(np.float64), np.tile(STDDEV, (50, 1)).astype(np.float64)
    drawn = policies.clipped_gaussian(KEY, mean, stddev, [-0.2, -0.5], [0.4, 0.9])
    np.testing.assert_array_equal(drawn.action, np.clip(drawn.unclipped, [-0.2, -0.5], [0.4, 0.9]))
    assert np.mean(drawn.action != drawn.unclipped) > 0.2
    np.testing.assert_allclose(drawn.log_prob, stats.norm(mean, stddev).logpdf(drawn.unclipped).sum(axis=-1))
    low = policies.clipped_gaussian(KEY, tf.cast(MEAN, tf.bfloat16), tf.cast(STDDEV, tf.bfloat16))
    assert {leaf.dtype for leaf in low} == {tf.bfloat16}


def squashed_logpdf(action, mean, stddev, low, high):
    """By change of variables, for actions that are not close to the bounds."""
    unit = 2 * (action - low) / (high - low) - 1
    slope = (1 - unit**2) * (high - low) / 2
    return stats.norm(mean, stddev).logpdf(np.arctanh(unit)) - np.log(slope)


def test_squashed_gaussian_densities_and_bounds():
    mean, stddev, low, high = (x.astype(np.float64) for x in (MEAN, STDDEV, LOW, HIGH))
    distribution = policies.squashed_gaussian(mean, stddev, low, high)
    drawn = policies.squashed_sample(KEY, distribution, [200])
    expected = squashed_logpdf(drawn.action.numpy(), mean, stddev, low, high).sum(axis=-1)
    np.testing.assert_allclose(drawn.log_prob, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(policies.sample(KEY, distribution, [200]), drawn.action)
    np.testing.assert_array_equal(policies.squash(distribution, drawn.pre_tanh), drawn.action)
    middle = (low + high) / 2 + (high - low) / 2 * np.tanh(mean)
    np.testing.assert_allclose(policies.mode(distribution), middle)
    for index in np.ndindex(2, 2):
        cdf = lambda a, i=index: stats.norm(mean[i], stddev[i]).cdf(
            np.arctanh(np.clip(2 * (a - low[i[1]]) / (high[i[1]] - low[i[1]]) - 1, -1, 1))
        )
        assert stats.kstest(drawn.action.numpy()[(slice(None), *index)], cdf).pvalue > 1e-3


def test_squashed_gaussian_is_exact_and_inside_the_bounds_where_tanh_saturates():
    pre_tanh = np.float32([[-300.0], [-20.0], [9.5], [60.0]])
    distribution = policies.squashed_gaussian(np.zeros((4, 1), np.float32), np.full((4, 1), 50, np.float32), 0.1, 0.7)
    action = policies.squash(distribution, pre_tanh).numpy()
    assert np.all((action >= np.float32(0.1)) & (action <= np.float32(0.7)))
    x = pre_tanh.astype(np.float64)
    slope = np.log(4 * 0.3) - 2 * np.abs(x) - 2 * np.log1p(np.exp(-2 * np.abs(x)))
    expected = stats.norm(0, 50).logpdf(x) - slope
    np.testing.assert_allclose(policies.squashed_log_prob(distribution, pre_tanh), expected[:, 0], rtol=1e-5)
    log_prob = lambda x, m, s: policies.squashed_log_prob(policies.squashed_gaussian(m, s, 0.1, 0.7), x)
    assert_gradients(
        log_prob, (np.float64([[-30.0], [2.0], [15.0]]), np.zeros((3, 1)), np.full((3, 1), 9.0)), [0, 1, 2]
    )


@pytest.mark.parametrize(("mean", "stddev"), [(0.0, 0.3), (0.8, 1.0), (-2.0, 2.0)])
def test_squashed_entropy_estimates_the_integral(mean, stddev):
    x = np.linspace(mean - 12 * stddev, mean + 12 * stddev, 40001)
    density = stats.norm(mean, stddev)
    log_slope = np.log(2.0) + 2 * (math.log(2) - x - np.logaddexp(0, -2 * x))
    integral = density.entropy() + np.trapezoid(density.pdf(x) * log_slope, x)
    distribution = policies.squashed_gaussian(np.float64([mean]), np.float64([stddev]), -1.0, 3.0)
    spread = np.sqrt(np.trapezoid(density.pdf(x) * log_slope**2, x))
    estimate = policies.squashed_entropy(KEY, distribution, NUM)
    np.testing.assert_allclose(estimate, integral, atol=4 * spread / math.sqrt(NUM))
    # The same from the log-probabilities of samples.
    by_samples = -np.mean(policies.squashed_sample(KEY, distribution, [NUM]).log_prob)
    np.testing.assert_allclose(by_samples, integral, atol=0.05)


def test_squashed_entropy_and_log_probability_train_the_parameters():
    def evaluate(mean, stddev):
        distribution = policies.squashed_gaussian(mean, stddev, -1.0, 3.0)
        drawn = policies.squashed_sample(KEY, distribution)
        return drawn.action, drawn.log_prob, policies.squashed_entropy(KEY, distribution, 2)

    assert_gradients(evaluate, (MEAN, STDDEV), [0, 1])


def test_the_divergence_of_squashed_gaussians_is_that_of_the_gaussians():
    p = policies.squashed_gaussian(np.float64([0.2]), np.float64([0.5]), -1.0, 2.0)
    q = policies.squashed_gaussian(np.float64([-0.1]), np.float64([0.8]), -1.0, 2.0)
    drawn = policies.squashed_sample(KEY, p, [NUM])
    monte_carlo = drawn.log_prob - policies.squashed_log_prob(q, drawn.pre_tanh)
    exact = p.distribution.kl_divergence(q.distribution)
    np.testing.assert_allclose(np.mean(monte_carlo), exact, atol=4 * np.std(monte_carlo) / math.sqrt(NUM))


@pytest.mark.parametrize("name", ["categorical", "multi_discrete", "multi_binary", "gaussian", "squashed_gaussian"])
def test_bfloat16(name):
    make, args = DISTRIBUTIONS[name]
    distribution = make(*[tf.cast(arg, tf.bfloat16) for arg in args])
    draw = policies.sample(KEY, distribution)
    if name == "squashed_gaussian":
        drawn = policies.squashed_sample(KEY, distribution)
        assert {leaf.dtype for leaf in drawn} == {tf.bfloat16}
        log_prob, draw = policies.squashed_log_prob(make(*args), tf.cast(drawn.pre_tanh, tf.float32)), drawn.pre_tanh
        np.testing.assert_allclose(tf.cast(drawn.log_prob, tf.float32), log_prob, rtol=0.1, atol=0.1)
        return
    exact = make(*args).log_prob(tf.cast(draw, make(*args).dtype))
    assert distribution.log_prob(draw).dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(distribution.log_prob(draw), tf.float32), exact, rtol=0.1, atol=0.1)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"categorical: legal has shape \(8,\).*N = 9|A = 9", policies.categorical, LOGITS, LEGAL[:8])
    assert_refuses(r"multi_discrete: sizes is \[2, 4\].*9 logits", policies.multi_discrete, LOGITS, (2, 4))
    assert_refuses(r"multi_binary: logits has shape \(\)", policies.multi_binary, 0.0)
    assert_refuses(r"gaussian: stddev holds -1", policies.gaussian, MEAN, -STDDEV / STDDEV)
    assert_refuses(r"gaussian: stddev has shape \(2, 1\).*A = 2", policies.gaussian, MEAN, STDDEV[:, :1])
    assert_refuses(r"clipped_gaussian: low has shape \(3,\)", policies.clipped_gaussian, KEY, MEAN, STDDEV, [0.0] * 3)
    assert_refuses(
        r"squashed_gaussian: high has shape \(3,\)", policies.squashed_gaussian, MEAN, STDDEV, 0.0, [1.0] * 3
    )
    poisson = tfp.distributions.Poisson(1.0)
    assert_refuses("sample: distribution is Poisson, expected Categorical", policies.sample, KEY, poisson)
    for call in (
        lambda: policies.squashed_sample(KEY, poisson),
        lambda: policies.squash(poisson, MEAN),
        lambda: policies.squashed_log_prob(poisson, MEAN),
        lambda: policies.squashed_entropy(KEY, poisson),
    ):
        assert_refuses("distribution is Poisson, expected a squashed Gaussian", call)
