"""What a world model is trained with: balanced divergences, and values as two-hot classes."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import losses
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, together

rng = np.random.default_rng(5)
POSTERIOR, PRIOR = (rng.normal(size=(3, 2, 4)).astype(np.float32) for _ in range(2))
BINS = losses.symexp_bins(5, 2.0)
LOGITS, VALUES = rng.normal(size=(3, 5)).astype(np.float32), np.float32([-1.0, 0.0, 3.0])


def test_the_divergence_is_that_of_all_latents_together_and_not_below_the_free_nats():
    even, mostly = [0.0, 0.0], [math.log(3.0), 0.0]  # probabilities 1/2, 1/2 and 3/4, 1/4
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # of the second from the first: 0.1308
    two = losses.balanced_kl([[mostly, mostly]], [[even, even]], free_nats=0.0)
    np.testing.assert_allclose(two.dynamics, [2 * kl], rtol=1e-5)
    np.testing.assert_allclose(two.representation, [2 * kl], rtol=1e-5)
    free = losses.balanced_kl([[mostly, mostly]], [[even, even]], free_nats=1.0)
    np.testing.assert_allclose(free.dynamics, [1.0])
    np.testing.assert_allclose(free.kl, [2 * kl], rtol=1e-5)


@pytest.mark.parametrize(("side", "with_gradient"), [("dynamics", [1]), ("representation", [0]), ("kl", [])])
def test_each_side_gives_way_for_its_own_part_only(side, with_gradient):
    loss = lambda posterior, prior: getattr(losses.balanced_kl(posterior, prior, 0.0), side)
    assert_gradients(loss, (POSTERIOR, PRIOR), with_gradient)


def test_below_the_free_nats_there_is_no_gradient():
    assert_gradients(lambda *args: losses.balanced_kl(*args, 100.0), (POSTERIOR, PRIOR), [])


def test_bins_are_even_in_the_logarithm_and_each_has_its_exact_opposite():
    np.testing.assert_allclose(BINS, [1 - math.e**2, 1 - math.e, 0, math.e - 1, math.e**2 - 1], rtol=1e-6)
    large = losses.symexp_bins()
    assert large.shape == (255,)
    np.testing.assert_array_equal(large, -large[::-1])


def test_even_probabilities_are_exactly_zero_though_the_bins_reach_half_a_billion():
    values = tf.function(losses.twohot_values, jit_compile=True)(tf.zeros([7, 255]), losses.symexp_bins())
    np.testing.assert_array_equal(values, np.zeros(7))


def test_a_value_between_two_bins_is_their_mean_weighted_by_its_distance():
    logits = np.float32([0.0, 1.0, 2.0, 3.0, 4.0])
    log_probs = logits - math.log(sum(math.exp(x) for x in logits))
    low = 1 - 1 / (math.e - 1)  # the weight of bin 0 for the value 1, between 0 and e - 1
    expected = -(low * log_probs[2] + (1 - low) * log_probs[3])
    np.testing.assert_allclose(losses.twohot_loss(logits, 1.0, BINS), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.twohot_loss(logits, 99.0, BINS), -log_probs[4], rtol=1e-5)  # the last bin


def test_what_the_loss_is_least_for_is_the_value():
    for value in (-300.0, -1.0, 0.0, 0.5, 12.0, 4e4):
        bins = losses.symexp_bins(41, 12.0)
        with tf.GradientTape() as tape:
            logits = tf.Variable(tf.zeros([41]))
            loss = losses.twohot_loss(logits, value, bins)
        # The gradient is the probabilities less the targets.
        weights = tf.nn.relu(tf.nn.softmax(logits) - tape.gradient(loss, logits))
        expected = losses.twohot_values(tf.math.log(weights + 1e-12), bins)
        np.testing.assert_allclose(expected, value, rtol=1e-3, atol=2e-3)


def test_values_are_means_of_bins_also_where_these_have_no_opposites():
    bins, probs = np.float32([-1.0, 0.5, 4.0]), np.float32([0.5, 0.25, 0.25])
    np.testing.assert_allclose(losses.twohot_values(np.log(probs), bins), 0.625, rtol=1e-6)


def test_gradients_reach_the_logits_and_targets_are_constants():
    assert_gradients(losses.twohot_loss, (LOGITS, VALUES + 0.1, BINS.astype(np.float64)), [0])
    assert_gradients(lambda logits: losses.twohot_values(logits, BINS.astype(np.float64)), (LOGITS,), [0])


def test_all_modes_agree():
    cases = {
        "balanced_kl": (losses.balanced_kl, (POSTERIOR, PRIOR)),
        "twohot_loss": (losses.twohot_loss, (LOGITS, VALUES, BINS)),
        "twohot_values": (losses.twohot_values, (LOGITS, BINS)),
    }
    assert_modes_agree(*together(cases))
    assert_bfloat16(losses.balanced_kl, POSTERIOR, PRIOR)


def test_what_cannot_be_is_refused():
    assert_refuses("prior_logits", losses.balanced_kl, POSTERIOR, PRIOR[:, :1])
    assert_refuses("bins", losses.twohot_values, LOGITS, BINS[:3])
    with pytest.raises(ValueError, match="num_bins is 4, expected an odd number from 3"):
        losses.symexp_bins(4)
    with pytest.raises(ValueError, match=r"limit is 100\.0, expected one between 0 and 88"):
        losses.symexp_bins(5, 100.0)
