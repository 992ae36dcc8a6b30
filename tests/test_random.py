import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from rl_fn import random
from tests.support import assert_modes_agree, assert_refuses

KEY = random.key(2026)
MANY = 10**7

# Draws that go through no logarithm or error function: equal bits in every mode.
EXACT = {
    "split": lambda key: random.split(key, 5),
    "fold_in": lambda key: random.fold_in(key, 9),
    "bits": lambda key: random.bits(key, [3, 7]),
    "uniform": lambda key: random.uniform(key, [50]),
    "uniform_range": lambda key: random.uniform(key, [500], -0.05, 0.07),
    "uniform_float64": lambda key: random.uniform(key, [50], dtype=tf.float64),
    "uniform_bfloat16": lambda key: random.uniform(key, [50], dtype=tf.bfloat16),
    "randint": lambda key: random.randint(key, [50], -3, 1_000_003),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, [50]),
    "coins": lambda key: random.coins(key, [7, 15]),
    "permutation": lambda key: random.permutation(key, 33, [2]),
    "categorical": lambda key: random.categorical(key, tf.zeros([50, 3])),
}
ROUNDED = {
    "normal": lambda key: random.normal(key, [100]),
    "truncated_normal": lambda key: random.truncated_normal(key, [100]),
    "gumbel": lambda key: random.gumbel(key, [100]),
}


def draw(function, key=KEY):
    return tf.function(function, jit_compile=True, autograph=False)(key).numpy()


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    # The known-answer vectors of Random123 (Salmon et al., 2011) for threefry2x32-20.
    [
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(key, counter, expected):
    words = random.threefry_2x32(tf.constant(key, tf.uint32), tuple(tf.constant(c, tf.uint32) for c in counter))
    assert tuple(int(word) for word in words) == expected


@pytest.mark.parametrize("name", EXACT)
def test_equal_bits_in_every_mode(name):
    def function(copy):
        return EXACT[name](random.fold_in(KEY, copy))

    assert_modes_agree(function, np.int32(3), rtol=0, atol=0)


@pytest.mark.parametrize("name", ROUNDED)
def test_nearly_equal_in_every_mode(name):
    def function(copy):
        return ROUNDED[name](random.fold_in(KEY, copy))

    assert_modes_agree(function, np.int32(3), rtol=1e-4, atol=1e-4)


def test_copies_draw_what_each_draws_alone():
    keys = random.split(KEY, 4)
    vectorised = tf.function(
        lambda keys: tf.vectorized_map(lambda key: random.bits(key, [9]), keys, fallback_to_while_loop=False),
        jit_compile=True,
    )(keys)
    for key, bits in zip(keys, vectorised, strict=True):
        np.testing.assert_array_equal(bits, random.bits(key, [9]))
    assert len({tuple(row) for row in vectorised.numpy()}) == 4


def test_seeds_fill_both_words():
    np.testing.assert_array_equal(random.key(0x0123456789ABCDEF), [0x01234567, 0x89ABCDEF])
    np.testing.assert_array_equal(random.key(tf.constant(0x0123456789ABCDEF, tf.int64)), [0x01234567, 0x89ABCDEF])
    assert_refuses("seed is -1", random.key, -1)
    assert_refuses("seed is 18446744073709551616", random.key, 2**64)


def test_uniform_is_uniform():
    draws = draw(lambda key: random.uniform(key, [MANY]))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.bincount((draws * 1000).astype(int), minlength=1000)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert scipy.stats.kstest(draws[:1_000_000], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 4, 2**16])
def test_neighbouring_draws_are_independent(lag):
    draws = draw(lambda key: random.uniform(key, [MANY]))
    pairs = (draws[:-lag] * 16).astype(int) * 16 + (draws[lag:] * 16).astype(int)
    assert scipy.stats.chisquare(np.bincount(pairs, minlength=256)).pvalue > 1e-4


def test_each_bit_is_fair():
    words = draw(lambda key: random.bits(key, [MANY]))
    for bit in range(32):
        ones = np.count_nonzero(words >> bit & 1)
        assert abs(ones - MANY / 2) < 5 * np.sqrt(MANY) / 2, f"bit {bit}"


def test_coins_are_the_bits_of_the_words():
    words = random.bits(KEY, [4]).numpy()
    expected = (words[:, np.newaxis] >> np.arange(32) & 1).reshape(-1)[:105]
    np.testing.assert_array_equal(random.coins(KEY, [7, 15]), expected.reshape(7, 15) == 1)


def test_streams_of_related_keys_are_independent():
    streams = [draw(lambda key: random.uniform(key, [10**6]), random.fold_in(KEY, i)) for i in range(4)]
    for first, second in [(0, 1), (0, 2), (1, 3)]:
        pairs = (streams[first] * 16).astype(int) * 16 + (streams[second] * 16).astype(int)
        assert scipy.stats.chisquare(np.bincount(pairs, minlength=256)).pvalue > 1e-4


def test_no_stream_occurs_twice():
    @tf.function(jit_compile=True)
    def streams(data):
        return tf.vectorized_map(lambda i: random.bits(random.fold_in(KEY, i), [4]), data)

    children = streams(tf.range(10**5)).numpy()
    assert len(np.unique(children[:, :2], axis=0)) == 10**5
    own = random.bits(KEY, [2 * 10**5]).numpy().reshape(-1, 2)
    derived = np.concatenate([children[:, :2], random.split(KEY, 10**5), own])
    assert len(np.unique(derived, axis=0)) == 3 * 10**5


def test_uniform_range_is_half_open():
    draws = draw(lambda key: random.uniform(key, [10**6], 1.0, 1.0 + 1e-6))
    assert draws.min() >= 1
    assert draws.max() < np.float32(1 + 1e-6)


def test_normal_is_normal():
    draws = draw(lambda key: random.normal(key, [10**6]))
    assert scipy.stats.kstest(draws, "norm").pvalue > 1e-4
    assert np.isfinite(draws).all()


@pytest.mark.parametrize("run", [lambda draw: draw, tf.function, lambda draw: tf.function(draw, jit_compile=True)])
def test_normal_draws_are_finite_to_the_last_of_their_bits(run):
    # Two of these draws come from the largest word: 5.42 deviations.
    draws = run(lambda: random.normal(random.key(2), [28_224, 64]))().numpy()
    assert draws.max() == pytest.approx(5.42, abs=0.01)
    assert draws.min() > -5.43
    edge = run(lambda: random.truncated_normal(random.key(2), [28_224, 64], -1.0, 9.0))().numpy()
    assert edge.min() >= -1
    assert 4.5 < edge.max() < 6


@pytest.mark.parametrize("side", [1, -1])
def test_tails_are_drawn_from_where_they_are(side):
    ends = sorted((side * 6.0, side * 9.0))
    draws = side * draw(lambda key: random.truncated_normal(key, [10**5], *ends))
    assert draws.min() >= 6.0
    assert draws.max() <= 9.0
    assert scipy.stats.kstest(draws, scipy.stats.truncnorm(6.0, 9.0).cdf).pvalue > 1e-4
    assert len(np.unique(draws)) > 50_000


def test_ranges_that_are_none_are_refused():
    with pytest.raises(ValueError, match="uniform: low is 2 and high 1, expected low <= high"):
        random.uniform(random.key(0), [3], 2.0, 1.0)
    with pytest.raises(ValueError, match=r"truncated_normal: low is 1.0 and high 1.0, expected low < high"):
        random.truncated_normal(random.key(0), [3], 1.0, 1.0)


def test_truncated_normal_is_truncated():
    draws = draw(lambda key: random.truncated_normal(key, [10**6], -1.0, 2.0))
    assert scipy.stats.kstest(draws, scipy.stats.truncnorm(-1, 2).cdf).pvalue > 1e-4
    assert draws.min() >= -1
    assert draws.max() <= 2


def test_gumbel_is_gumbel():
    assert scipy.stats.kstest(draw(lambda key: random.gumbel(key, [10**6])), "gumbel_r").pvalue > 1e-4


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 4), (0, 1000), (2**31 - 8, 2**31 - 1)])
def test_randint_is_uniform(low, high):
    draws = draw(lambda key: random.randint(key, [10**6], low, high))
    assert draws.min() >= low
    assert draws.max() < high
    counts = np.bincount(draws.astype(np.int64) - low, minlength=high - low)
    assert high - low == 1 or scipy.stats.chisquare(counts).pvalue > 1e-4


def test_bernoulli_and_categorical_have_their_probabilities():
    ones = draw(lambda key: random.bernoulli(key, 0.3, [10**6])).sum()
    assert scipy.stats.binomtest(int(ones), 10**6, 0.3).pvalue > 1e-4
    probabilities = np.array([0.1, 0.0, 0.6, 0.3])
    logits = np.log(np.maximum(probabilities, 1e-300)).astype(np.float32)
    logits[1] = -np.inf
    draws = draw(lambda key: random.categorical(key, tf.broadcast_to(logits, [10**6, 4])))
    counts = np.bincount(draws, minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2, 3]], probabilities[[0, 2, 3]] * 10**6).pvalue > 1e-4


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 6])
def test_permutations_are_permutations_and_equally_likely(num):
    orders = draw(lambda key: random.permutation(key, num, [10**5]))
    np.testing.assert_array_equal(np.sort(orders, axis=-1), np.tile(np.arange(num), (10**5, 1)))
    counts = np.unique(orders @ num ** np.arange(num), return_counts=True)[1]
    assert len(counts) == math.factorial(num)
    assert num == 1 or scipy.stats.chisquare(counts).pvalue > 1e-4


def test_in_long_permutations_places_and_pairs_of_places_are_uniform():
    num, draws = 1000, 20_000
    orders = draw(lambda key: random.permutation(key, num, [draws]))
    np.testing.assert_array_equal(np.sort(orders, axis=-1), np.tile(np.arange(num), (draws, 1)))
    for place in (0, 1, 500, 999):
        counts = np.bincount(orders[:, place], minlength=num)
        assert scipy.stats.chisquare(counts).pvalue > 1e-4
    # The distance between neighbours is uniform too, and unrelated to where they are.
    for other in (1, 999):
        distances = (orders[:, other] - orders[:, 0]) % num
        assert scipy.stats.chisquare(np.bincount(distances, minlength=num)[1:]).pvalue > 1e-4
        table = np.histogram2d(orders[:, 0], distances, bins=10, range=[[0, num], [1, num]])[0]
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-4
    # The number of cycles has mean and variance of H_n and H_n - sum 1/k^2.
    cycles = np.array([len(np.unique(_cycle_of_each(order))) for order in orders[:1000]])
    harmonic = np.sum(1 / np.arange(1, num + 1))
    deviation = np.sqrt(harmonic - np.sum(1 / np.arange(1, num + 1) ** 2))
    assert abs(cycles.mean() - harmonic) < 4 * deviation / np.sqrt(len(cycles))


def _cycle_of_each(order):
    """The smallest number of the cycle that each number is in, by doubling the distance that is looked ahead."""
    smallest, ahead = np.arange(len(order)), order
    for _ in range(len(order).bit_length()):
        smallest, ahead = np.minimum(smallest, smallest[ahead]), ahead[ahead]
    return smallest


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"a key is a uint32 tensor of shape \(2,\), given int32 \(2,\)", random.bits, tf.constant([0, 1]))
    assert_refuses(r"given uint32 \(3,\)", random.split, tf.zeros([3], tf.uint32))
    assert_refuses(r"fold_in: data is -1", random.fold_in, KEY, -1)
    assert_refuses(r"range is \[3, 3\)", random.randint, KEY, [2], 3, 3)
    assert_refuses(r"range is \[5, 2\)", random.randint, KEY, [2], np.int64(5), np.int64(2))
    assert_refuses(r"randint: high is 2.5, expected an integer", random.randint, KEY, [2], 0, 2.5)
    assert_refuses(r"randint: dtype is float32", random.randint, KEY, [2], 0, 2, tf.float32)
    assert_refuses(r"fold_in: data is 1.7, expected an integer", random.fold_in, KEY, 1.7)
    assert_refuses(r"fold_in: data is -1", random.fold_in, KEY, np.int64(-1))
    assert_refuses(r"fold_in: data is \[1, 2\]", random.fold_in, KEY, [1, 2])
    assert_refuses(r"split: num is 2.5, expected an integer", random.split, KEY, 2.5)
    assert_refuses(r"dtype is int32, expected a floating-point type", random.normal, KEY, [2], tf.int32)
    assert_refuses(r"dtype is int32, expected a floating-point type", random.gumbel, KEY, [2], tf.int32)
    assert_refuses(r"num is 0", random.permutation, KEY, 0)
    assert_refuses(r"dtype is int32", random.uniform, KEY, [2], dtype=tf.int32)
    assert_refuses(r"shape is \(2,\)\.\.\., expected integers", random.bits, KEY, "(2,)...")
    assert_refuses(r"key: seed is 'a', expected an integer in", random.key, "a")


def test_a_shape_is_whatever_tensorflow_takes_for_one():
    def draw(x, shape):
        return random.normal(KEY, tf.shape(x)) + random.uniform(KEY, shape)

    x = tf.zeros([2, 3])
    expected = random.normal(KEY, (2, 3)) + random.uniform(KEY, [2, 3])
    np.testing.assert_array_equal(draw(x, x.shape), expected)
    np.testing.assert_allclose(tf.function(draw, jit_compile=True)(x, tf.constant([2, 3])), expected, rtol=1e-5)
    unknown = tf.function(draw, input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([2], tf.int32)])
    np.testing.assert_allclose(unknown(x, tf.constant([2, 3])), expected, rtol=1e-5)
    assert random.randint(KEY, 4, 0, 2).shape == random.coins(KEY, np.array([4])).shape == (4,)
    assert random.bernoulli(KEY, 0.5, 4).shape == random.gamma(KEY, 1.0, tf.constant([4])).shape == (4,)
    assert random.dirichlet(KEY, 1.0, 4).shape == random.permutation(KEY, 4).shape == (4,)


def test_xla_computes_no_word_twice():
    def draw(key):
        first, second = tf.unstack(random.split(key))
        return tf.unstack(random.uniform(first, [3, 4])), random.normal(second, [5])

    compiled = tf.function(draw, jit_compile=True, autograph=False)
    hlo = compiled.experimental_get_compiler_ir(random.key(0))(stage="optimized_hlo")
    # The split and two draws, and twenty rounds with a rotation in each.
    assert hlo.count(" shift-left(") == 3 * 20
