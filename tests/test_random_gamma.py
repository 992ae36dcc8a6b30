"""Gamma and Dirichlet draws; that all modes agree on them is tested with the noise that they are used for."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rl_fn import random

NUM = 20_000


@pytest.mark.parametrize("concentration", [0.03, 0.3, 0.9, 1.0, 2.5, 40.0, 1e4])
def test_gamma_draws_follow_the_distribution(concentration):
    # In float64: a tenth of the draws of concentration 0.03 are too small for float32.
    draws = random.gamma(random.key(7), tf.constant(concentration, tf.float64), [NUM]).numpy()
    assert stats.kstest(draws, stats.gamma(concentration).cdf).pvalue > 1e-3


def test_gamma_takes_a_concentration_per_entry():
    concentration = np.float32([[0.5], [3.0]])
    draws = random.gamma(random.key(1), concentration, [2, NUM]).numpy()
    for row, a in zip(draws, concentration[:, 0], strict=True):
        np.testing.assert_allclose([row.mean(), row.var()], [a, a], rtol=0.06)
    assert random.gamma(random.key(1), concentration).shape == (2, 1)


def test_gamma_of_concentration_zero_is_zero():
    np.testing.assert_array_equal(random.gamma(random.key(0), [0.0, 0.0]), [0.0, 0.0])


@pytest.mark.parametrize("concentration", [[0.3, 0.3, 0.3], [0.02, 1.0, 5.0]])
def test_dirichlet_marginals_are_beta_distributions(concentration):
    draws = random.dirichlet(random.key(3), tf.constant(concentration, tf.float64), [NUM, 3]).numpy()
    np.testing.assert_allclose(draws.sum(axis=-1), 1.0, rtol=1e-12)
    for column, a in zip(draws.T, concentration, strict=True):
        assert stats.kstest(column, stats.beta(a, sum(concentration) - a).cdf).pvalue > 1e-3


def test_dirichlet_leaves_out_entries_of_concentration_zero():
    draws = random.dirichlet(random.key(3), [0.5, 0.0, 0.5], [NUM, 3]).numpy()
    assert np.all(draws[:, 1] == 0)
    assert stats.kstest(draws[:, 0], stats.beta(0.5, 0.5).cdf).pvalue > 1e-3


def test_small_concentrations_do_not_underflow():
    draws = random.dirichlet(random.key(5), tf.fill([1000, 50], 1e-3)).numpy()
    np.testing.assert_allclose(draws.sum(axis=-1), 1.0, rtol=1e-5)


def test_bfloat16_logits_do_not_favour_an_action():
    draws = random.categorical(random.key(0), tf.zeros([NUM, 8], tf.bfloat16)).numpy()
    assert stats.chisquare(np.bincount(draws, minlength=8)).pvalue > 1e-3
