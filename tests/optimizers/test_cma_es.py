"""A search without gradients."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import optimizers, random
from rl_fn._src.optimizers.cma_es import roots
from rl_fn._src.scan import scan


def ellipsoid(x):
    """Least, 0, at 1, 1, 1, 1; a thousand times as steep along the last axis as along the first."""
    return tf.reduce_sum(10.0 ** tf.constant([0.0, 1, 2, 3]) * tf.square(x - 1), axis=-1)


def test_roots_are_those_of_the_eigenvalues():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    values = np.float64([1e-3, 0.1, 1, 2, 5, 100])
    root, inverse = tf.function(roots, jit_compile=True)(tf.constant(basis * values @ basis.T))
    np.testing.assert_allclose(root, basis * np.sqrt(values) @ basis.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(inverse, basis / np.sqrt(values) @ basis.T, rtol=1e-6, atol=1e-9)


def test_it_finds_the_least_of_an_ellipsoid_alone_and_among_copies():
    strategy = optimizers.cma_es(10, 0.5)

    def search(key):
        def generation(state, key):
            candidates = strategy.ask(state, key)
            return strategy.tell(state, candidates, ellipsoid(candidates)), None

        return scan(generation, strategy.init(tf.zeros([4])), random.split(key, 150))[0]

    alone = tf.function(search, jit_compile=True)(random.key(0))
    np.testing.assert_allclose(alone.mean, np.ones(4), atol=1e-3)
    assert alone.step_size < 1e-2
    assert int(alone.generation) == 150
    deviations = np.sqrt(np.diag(alone.covariance))
    assert deviations[0] > 8 * deviations[3]  # 32 at the end of learning
    both = tf.function(lambda keys: tf.vectorized_map(search, keys, fallback_to_while_loop=False), jit_compile=True)
    together = both(tf.stack([random.key(0), random.key(1)]))
    np.testing.assert_allclose(together.mean, np.ones([2, 4]), atol=1e-3)


def test_a_first_generation_by_hand():
    # Of four candidates the best two are parents, with weights log 2.5 - log 1 and log 2.5 - log 2, over their sum.
    strategy = optimizers.cma_es(4, 2.0)
    candidates = tf.constant([[9.0, 9.0], [2.0, 0.0], [0.0, 2.0], [9.0, 9.0]])
    state = strategy.tell(strategy.init(tf.zeros([2])), candidates, tf.constant([4.0, 1.0, 2.0, 3.0]))
    weights = np.array([0.9162907, 0.2231436]) / 1.1394343
    np.testing.assert_allclose(state.mean, 2 * weights, rtol=1e-5)
    mass = 1 / np.sum(weights**2)
    rate = (mass + 2) / (mass + 7)
    np.testing.assert_allclose(state.step_path, np.sqrt(rate * (2 - rate) * mass) * weights, rtol=1e-5)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="cma_es: population is 3, expected at least 4"):
        optimizers.cma_es(3, 1.0)
    with pytest.raises(ValueError, match="cma_es: step_size is 0, expected a positive number"):
        optimizers.cma_es(8, 0)
