import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random
from rl_fn._src.replay import sum_tree
from rl_fn._src.scan import scan
from tests.replay.support import assert_frequencies, compiled

SIZES = [1, 2, 7, 8, 9, 64, 65, 600]


def tree_of(weights):
    weights = tf.cast(weights, tf.float32)
    size = weights.shape[0]
    return sum_tree.update(sum_tree.init(size), tf.range(size), weights)


def draw(tree, seed, num):
    leaves, probabilities = compiled(lambda key: sum_tree.sample(tree, key, num))(random.key(seed))
    return np.asarray(leaves), np.asarray(probabilities)


def sparse_weights(size, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.0, size) * (rng.random(size) < 0.6)
    weights[rng.integers(size)] = 1.0
    return weights.astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_every_level_sums_the_one_below(size):
    weights = sparse_weights(size)
    tree = tree_of(weights)
    np.testing.assert_array_equal(tree[0][:size], weights)
    for level, above in zip(tree, (*tree[1:], None), strict=True):
        assert level.shape[0] % 8 == 0
        sums = np.reshape(level, [-1, 8]).sum(-1)
        if above is None:
            assert len(sums) == 1
        else:
            np.testing.assert_allclose(above[: len(sums)], sums, rtol=1e-6)
            assert not np.any(above[len(sums) :])


@pytest.mark.parametrize("size", SIZES)
def test_leaves_are_drawn_in_proportion_to_their_weights(size):
    weights = sparse_weights(size)
    leaves, probabilities = draw(tree_of(weights), 0, 50_000)
    assert_frequencies(leaves, weights)
    np.testing.assert_allclose(probabilities, (weights / weights.sum())[leaves], rtol=1e-5)


def test_a_batch_is_stratified():
    # With 1,000 draws from 10 equal leaves, each comes 100 times, give or take the two at its edges.
    counts = np.bincount(draw(tree_of(np.ones(10)), 0, 1000)[0], minlength=10)
    assert np.abs(counts - 100).max() <= 2


def test_single_draws_are_in_proportion_too():
    weights = sparse_weights(20)
    tree = tree_of(weights)
    step = lambda key, _: (random.fold_in(key, 0), sum_tree.sample(tree, key, 1)[0])
    _, leaves = compiled(lambda key: scan(step, key, tf.range(5_000)))(random.key(0))
    assert_frequencies(leaves, weights)


def test_leaves_finer_than_the_bits_of_one_draw_are_drawn_evenly():
    # Behind a leaf of weight 1, a draw of 24 bits reaches only every fourth of the leaves of weight 2**-26.
    tree = tree_of(np.concatenate([[1.0], np.full(2**17, 2.0**-26)]))

    def step(counts, key):
        leaves, _ = sum_tree.sample(tree, key, 4096)
        kinds = tf.where(leaves > 0, leaves % 4, 4)
        return counts + tf.reduce_sum(tf.one_hot(kinds, 4, dtype=tf.int32), axis=0), None

    counts, _ = compiled(lambda keys: scan(step, tf.zeros([4], tf.int32), keys))(random.split(random.key(0), 500))
    assert_frequencies(np.repeat(np.arange(4), counts), np.ones(4))


@pytest.mark.parametrize("size", [5, 9, 100, 600])
def test_a_zero_leaf_is_never_drawn_whatever_the_magnitudes(size):
    rng = np.random.default_rng(size)
    look = compiled(lambda weights, key: sum_tree.sample(tree_of(weights), key, 20_000)[0])
    for seed in range(5):
        weights = (10.0 ** rng.uniform(-30, 25, size) * (rng.random(size) < 0.3)).astype(np.float32)
        weights[rng.integers(size)] = 1e-37
        assert (weights[look(weights, random.key(seed))] > 0).all()


def test_a_target_beyond_the_end_falls_to_the_last_positive_leaf():
    children = tf.constant([[0.1, 0.0, 0.3, 0.0, 0.2, 0.0, 0.0, 0.0]] * 6)
    targets = tf.constant([0.0, 0.1, 0.39999, 0.5999999, 0.6000001, 7.0])
    child, _ = sum_tree._choose(children, targets)
    np.testing.assert_array_equal(child, [0, 2, 2, 4, 4, 4])


def test_ten_million_updates_leave_the_root_exact():
    num_leaves, batch = 5_000, 1_000

    def step(tree, key):
        draws = random.uniform(key, [batch + 1])
        leaves = (tf.cast(draws[batch] * num_leaves, tf.int32) + 7 * tf.range(batch)) % num_leaves
        weights = draws[:batch] ** 8 * 1e6
        return sum_tree.update(tree, leaves, tf.where(weights < 1.0, 0.0, weights)), None

    tree, _ = compiled(lambda keys: scan(step, sum_tree.init(num_leaves), keys))(random.split(random.key(0), 10_000))
    exact = np.asarray(tree[0], np.float64).sum()
    np.testing.assert_allclose(np.asarray(tree[-1], np.float64).sum(), exact, rtol=1e-6)
    leaves, _ = draw(tree, 1, 100_000)
    assert (np.asarray(tree[0])[leaves] > 0).all()
