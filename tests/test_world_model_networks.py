"""The networks of world models: images to latents and back, and what follows a latent."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, networks, random, struct
from tests.support import assert_modes_agree

SHAPE, Z, A, K, UNITS, T, B = (16, 16, 3), 4, 2, 3, 5, 6, 2
RNG = np.random.default_rng(0)


def test_an_autoencoder_keeps_the_shape_of_images_and_any_batch_axes():
    network = networks.variational_autoencoder(SHAPE, Z, (4, 8))
    params = network.init(random.key(0), tf.TensorSpec(SHAPE))
    images = tf.constant(RNG.random((3, 2, *SHAPE)), tf.float32)
    mean, log_variance = network.encode(params, images)
    assert mean.shape == log_variance.shape == (3, 2, Z)
    decoded = network.decode(params, mean)
    assert decoded.shape == images.shape
    assert 0 < np.min(decoded) < np.max(decoded) < 1
    np.testing.assert_allclose(network.decode(params, mean[1, 1]), decoded[1, 1], rtol=1e-4, atol=1e-6)
    leaves = [leaf.numpy() for leaf in tf.nest.flatten(params)]

    def gradient(*leaves):
        def loss(params):
            mean, log_variance = network.encode(params, images[0])
            return tf.reduce_mean(tf.square(network.decode(params, mean) - images[0])) + tf.reduce_mean(
                log_variance
            ), ()

        return tf.nest.flatten(struct.value_and_gradient(loss, tf.nest.pack_sequence_as(params, leaves))[1])

    assert all(np.any(part) for part in gradient(*map(tf.constant, leaves)))
    assert_modes_agree(gradient, *leaves, rtol=1e-3, atol=1e-4, vectorize=loops.vectorize)


def test_a_decoder_puts_four_channels_beside_each_other():
    # One layer, no weights: each quarter of the 2 x 2 picture is the sigmoid of one of four biases.
    network = networks.variational_autoencoder((2, 2, 1), 1, (1,))
    with pytest.raises(ValueError, match="layer 0 has filters of 4, its input is 2 x 2"):
        network.init(random.key(0), tf.TensorSpec((2, 2, 1)))
    biases = tf.constant([-1.0, 0.0, 1.0, 2.0])
    seed = {"kernel": tf.zeros([1, 1]), "bias": tf.zeros([1])}
    layer = {"kernel": tf.zeros([9, 4]), "bias": biases}
    picture = network.decode({"decoder": {"seed": seed, "layer_0": layer}}, tf.zeros([1]))
    np.testing.assert_allclose(picture[:, :, 0], tf.sigmoid([[-1.0, 0.0], [1.0, 2.0]]), rtol=1e-6)


def test_samples_of_a_posterior_have_its_moments():
    posterior = networks.Posterior(tf.fill([20_000], 2.0), tf.fill([20_000], np.log(0.25).astype(np.float32)))
    sample = posterior.sample(random.key(0))
    np.testing.assert_allclose([np.mean(sample), np.std(sample)], [2.0, 0.5], atol=0.02)


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"the image is 96 x 84, expected multiples of 2 \*\* 3"):
        networks.variational_autoencoder((96, 84, 3), Z, (4, 8, 8))


@pytest.fixture(scope="module")
def memory():
    network = networks.mixture_density_memory(Z, A, UNITS, K)
    return network, network.init(random.key(1))


def test_an_unroll_is_its_steps_and_begins_anew_with_episodes(memory):
    network, params = memory
    latents, actions = (tf.constant(RNG.normal(size=(T, B, size)), tf.float32) for size in (Z, A))
    is_first = tf.constant([[t == 3, t == 4] for t in range(T)])
    whole, last = tf.function(network.unroll, jit_compile=True)(
        params, network.initial_state(B), latents, actions, is_first
    )
    assert whole.latent.logits.shape == (T, B, Z, K)
    assert whole.reward.shape == whole.end_logit.shape == (T, B)
    assert np.max(tf.sigmoid(whole.end_logit)) < 0.1  # before it has learned
    state = network.initial_state(B)
    for t in range(T):
        state = struct.where(is_first[t], network.initial_state(B), state)
        one, state = network.step(params, state, latents[t], actions[t])
        for step, unrolled in zip(tf.nest.flatten(one), tf.nest.flatten(whole), strict=True):
            np.testing.assert_allclose(step, unrolled[t], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state[0], last[0], rtol=1e-4, atol=1e-5)


def test_samples_of_a_mixture_follow_its_weights_and_the_temperature():
    logits = tf.math.log(tf.fill([4_000, 1, 2], 1.0) * tf.constant([0.8, 0.2]))
    mean = tf.fill([4_000, 1, 2], 1.0) * tf.constant([-3.0, 3.0])
    mixture = networks.Mixture(logits, mean, tf.fill([4_000, 1, 2], np.log(0.5).astype(np.float32)))
    warm, cold = (mixture.sample(random.key(0), temperature).numpy() for temperature in (1.0, 0.1))
    assert np.mean(warm > 0) == pytest.approx(0.2, abs=0.03)
    assert np.std(warm[warm < 0]) == pytest.approx(0.5, abs=0.03)
    assert np.all(cold < 0)  # 4 to 1 is a million to 1 at a tenth of the temperature
    assert np.std(cold) == pytest.approx(0.5 * np.sqrt(0.1), abs=0.02)


def test_samples_may_share_their_random_numbers(memory):
    network, params = memory
    alike = tf.ones([3, 2, Z])
    prediction, _ = network.step(
        params, tf.nest.map_structure(lambda x: tf.zeros([3, 2, UNITS]), (0, 0)), alike, alike[..., :A]
    )
    sample = prediction.latent.sample(random.key(0), leading=1)
    np.testing.assert_array_equal(sample[0], sample[2])
    assert np.any(sample[:, 0] != sample[:, 1])
