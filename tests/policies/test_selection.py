import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rl_fn import policies, random
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, together

NUM = 20_000
KEY = random.key(11)
Q = np.float32([1.0, 3.0, -0.5, 3.0, 2.0])
LEGAL = np.array([True, False, True, True, True])
EPSILON, TEMPERATURE = np.float32(0.3), np.float32(0.8)

# name: action from (key, q, legal), probabilities from (q, legal)
SELECTIONS = {
    "greedy": (policies.greedy, policies.greedy_probs),
    "epsilon_greedy": (
        lambda key, q, legal: policies.epsilon_greedy(key, q, EPSILON, legal),
        lambda q, legal: policies.epsilon_greedy_probs(q, EPSILON, legal),
    ),
    "boltzmann": (
        lambda key, q, legal: policies.boltzmann(key, q, TEMPERATURE, legal),
        lambda q, legal: policies.boltzmann_probs(q, TEMPERATURE, legal),
    ),
    "gumbel_softmax": (
        lambda key, q, legal: tf.argmax(policies.gumbel_softmax(key, q, 0.5, legal), axis=-1),
        lambda q, legal: policies.boltzmann_probs(q, 1.0, legal),
    ),
    "straight_through": (
        lambda key, q, legal: tf.argmax(policies.gumbel_softmax(key, q, 0.5, legal, straight_through=True), axis=-1),
        lambda q, legal: policies.boltzmann_probs(q, 1.0, legal),
    ),
    "categorical": (
        lambda key, q, legal: policies.sample(key, policies.categorical(q, legal)),
        lambda q, legal: policies.boltzmann_probs(q, 1.0, legal),
    ),
}


def assert_frequencies(draws, probs):
    """Chi-squared against the probabilities; what has probability zero must not occur."""
    counts, possible = np.bincount(draws, minlength=len(probs)), probs > 0
    assert counts[~possible].sum() == 0
    assert possible.sum() == 1 or stats.chisquare(counts[possible], len(draws) * probs[possible]).pvalue > 1e-3


@pytest.mark.parametrize("legal", [None, LEGAL], ids=["all_legal", "masked"])
@pytest.mark.parametrize("name", SELECTIONS)
def test_frequencies_follow_the_probabilities(name, legal):
    select, probs = SELECTIONS[name]
    expected = probs(Q.astype(np.float64), legal).numpy()
    np.testing.assert_allclose(expected.sum(), 1.0, rtol=1e-12)
    actions = select(KEY, np.tile(Q, (NUM, 1)), legal).numpy()
    assert_frequencies(actions, expected)


def test_probabilities_by_hand():
    np.testing.assert_allclose(policies.greedy_probs(Q), [0, 0.5, 0, 0.5, 0])
    np.testing.assert_allclose(policies.greedy_probs(Q, LEGAL), [0, 0, 0, 1, 0])
    np.testing.assert_allclose(policies.epsilon_greedy_probs(Q, 0.2), [0.04, 0.44, 0.04, 0.44, 0.04], rtol=1e-6)
    np.testing.assert_allclose(policies.epsilon_greedy_probs(Q, 0.2, LEGAL), [0.05, 0, 0.05, 0.85, 0.05], rtol=1e-6)
    weights = [math.exp(q / 0.8) for q in Q]
    np.testing.assert_allclose(policies.boltzmann_probs(Q, 0.8), np.array(weights) / sum(weights), rtol=1e-6)
    weights[1] = 0
    np.testing.assert_allclose(policies.boltzmann_probs(Q, 0.8, LEGAL), np.array(weights) / sum(weights), rtol=1e-6)


def test_modes_agree():
    names = "greedy", "epsilon_greedy", "boltzmann"
    draws = {name: (lambda q, f=SELECTIONS[name][0]: f(KEY, q, LEGAL), (np.tile(Q, (7, 1)),)) for name in names}
    probs = {f"{name}_probs": (lambda q, f=SELECTIONS[name][1]: f(q, LEGAL), (Q,)) for name in names}
    relaxed = {"relaxed": (lambda q: policies.gumbel_softmax(KEY, q, 0.5, LEGAL, straight_through=True), (Q,))}
    assert_modes_agree(*together(draws | probs | relaxed))


def test_bfloat16():
    for name in ("greedy", "epsilon_greedy", "boltzmann"):
        assert_bfloat16(lambda q, f=SELECTIONS[name][1]: f(q, LEGAL), Q)
    assert_bfloat16(lambda q: policies.gumbel_softmax(KEY, q, tf.constant(0.5, q.dtype), LEGAL), Q)


def test_settings_may_differ_in_a_batch():
    q = np.tile(Q, (3, 1))
    probs = policies.epsilon_greedy_probs(q, [0.0, 0.5, 1.0]).numpy()
    np.testing.assert_allclose(probs[:, 0], [0.0, 0.1, 0.2], rtol=1e-6)
    cold_to_hot = policies.boltzmann_probs(q, [1e-6, 1.0, math.inf]).numpy()
    np.testing.assert_allclose(cold_to_hot[0], [0, 0.5, 0, 0.5, 0])
    np.testing.assert_allclose(cold_to_hot[2], np.full(5, 0.2), rtol=1e-6)


def test_extreme_values():
    q = np.float32([-np.inf, 1e38, -1e38, 1e38])
    assert set(np.unique(policies.greedy(KEY, np.tile(q, (100, 1))))) == {1, 3}
    np.testing.assert_allclose(policies.boltzmann_probs(q, 1e-3), [0, 0.5, 0, 0.5])
    only = np.array([True, False, False, False])
    assert policies.greedy(KEY, q, only) == 0
    np.testing.assert_array_equal(policies.greedy_probs(q, only), [1, 0, 0, 0])


def test_straight_through_is_one_hot_with_the_gradient_of_the_relaxation():
    logits = tf.constant(np.tile(Q, (4, 1)), tf.float64)
    weights = np.random.default_rng(0).normal(size=(4, 5))
    results = []
    for straight_through in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            draw = policies.gumbel_softmax(KEY, logits, 0.5, LEGAL, straight_through)
            total = tf.reduce_sum(draw * weights)
        results.append((draw.numpy(), tape.gradient(total, logits).numpy()))
    (relaxed, gradient), (hard, hard_gradient) = results
    np.testing.assert_allclose(hard, np.eye(5)[relaxed.argmax(axis=-1)], atol=1e-12)
    np.testing.assert_allclose(hard_gradient, gradient, rtol=1e-9)
    assert np.all(gradient[:, 1] == 0)
    assert_gradients(lambda x, t: policies.gumbel_softmax(KEY, x, t, LEGAL), (logits, np.float64(0.7)), [0, 1])


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"greedy: legal has shape \(4,\).*A = 5", policies.greedy, KEY, Q, LEGAL[:4])
    assert_refuses(r"greedy_probs: q_values has shape \(\)", policies.greedy_probs, 1.0)
    assert_refuses(r"greedy: key is int", policies.greedy, np.array([0, 1]), Q)
    assert_refuses(r"epsilon holds 1.5", policies.epsilon_greedy, KEY, Q, 1.5)
    assert_refuses(r"epsilon_greedy_probs: epsilon holds -1", policies.epsilon_greedy_probs, Q, -1.0)
    for function in (policies.boltzmann, policies.gumbel_softmax):
        assert_refuses(r"temperature holds 0", function, KEY, Q, 0.0)
    assert_refuses(r"boltzmann_probs: legal is int", policies.boltzmann_probs, Q, 1.0, np.ones(5, int))
