"""Statistics over few runs, against hand-worked numbers and SciPy's."""

import numpy as np
import pytest
import scipy.stats

from rl_fn.media import statistics

RNG = np.random.default_rng(0)


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert statistics.of(statistics.iqm, [np.array([0.0, 1.0, 2.0, 100.0])]) == 1.5
    assert statistics.of(statistics.iqm, [np.array([0.0, 1.0, 5.0])]) == 2.0  # too few to leave one out
    scores = [RNG.normal(size=7), RNG.normal(size=6)]  # of two environments, taken together
    expected = scipy.stats.trim_mean(np.concatenate(scores), 0.25)
    np.testing.assert_allclose(statistics.of(statistics.iqm, scores), expected)


def test_the_interquartile_mean_with_a_run_that_came_to_no_number_is_none():
    assert np.isnan(statistics.of(statistics.iqm, [np.array([1.0, 2.0, 3.0, 4.0, np.nan])]))


def test_points_of_a_curve_have_values_of_their_own():
    curves = RNG.normal(size=(5, 3))
    found = statistics.of(statistics.iqm, [curves])
    np.testing.assert_allclose(found, scipy.stats.trim_mean(curves, 0.25, axis=0))
    low, high = statistics.interval(statistics.iqm, [curves])
    assert low.shape == (3,)
    assert np.all((low < found) & (found < high))


def test_the_interval_is_scipys_percentile_bootstrap():
    values = RNG.exponential(size=30)
    low, high = statistics.interval(statistics.mean, [values], resamples=20_000)
    theirs = scipy.stats.bootstrap([values], np.mean, n_resamples=20_000, method="percentile", random_state=1)
    np.testing.assert_allclose([low, high], theirs.confidence_interval, rtol=0.01)


def test_runs_are_drawn_in_each_environment_alone():
    scores = [np.array([0.0, 0.0, 0.0]), np.array([10.0, 10.0, 10.0])]
    assert statistics.interval(statistics.mean, scores) == (5.0, 5.0)  # drawn from all six it would vary
    assert statistics.interval(statistics.mean, scores, seed=1) == (5.0, 5.0)


def test_the_same_seed_gives_the_same_interval():
    values = [RNG.normal(size=9)]
    assert statistics.interval(statistics.iqm, values) == statistics.interval(statistics.iqm, values)
    assert statistics.interval(statistics.iqm, values) != statistics.interval(statistics.iqm, values, seed=1)


@pytest.mark.parametrize(("after", "expected"), [([3.0, 4.0], 1.0), ([1.0, 2.0], 0.5), ([0.0, 1.5], 0.25)])
def test_the_probability_of_improvement_counts_pairs(after, expected):
    before = np.array([1.0, 2.0])
    assert statistics.of(statistics.probability_of_improvement, [before, np.array(after)]) == expected


def test_the_probability_of_improvement_is_mann_whitneys_statistic_over_environments():
    scores = [RNG.normal(size=size) for size in (5, 6, 7, 8)]
    pairs = [(scores[0], scores[2]), (scores[1], scores[3])]
    each = [scipy.stats.mannwhitneyu(new, old).statistic / (len(new) * len(old)) for old, new in pairs]
    np.testing.assert_allclose(statistics.of(statistics.probability_of_improvement, scores), np.mean(each))


def test_a_profile_is_the_share_of_runs_above_each_threshold():
    profile = statistics.profile(np.array([0.0, 1.0, 2.0]))
    found = statistics.of(profile, [np.array([0.5, 1.5]), np.array([0.5, 0.5, 0.5, 2.5])])
    np.testing.assert_allclose(found, [1.0, (0.5 + 0.25) / 2, (0.0 + 0.25) / 2])
