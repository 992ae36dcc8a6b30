"""The parts of a world model: latents, their recurrence, and what reads and draws observations."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import networks, random
from tests.support import assert_modes_agree

RNG = np.random.default_rng(2)
RSSM = networks.rssm(6, blocks=3, hidden=4, latents=2, classes=3, unimix=0.1)
PARAMS = RSSM.init(random.key(0), 2, 5)
DETER, STOCH = RNG.normal(size=(7, 6)).astype(np.float32), np.eye(3, dtype=np.float32)[RNG.integers(0, 3, (7, 2))]
ACTION, EMBEDDING = (RNG.normal(size=(7, size)).astype(np.float32) for size in (2, 5))


def silu_of_normed(x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x / (1 + np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_share_of_the_uniform_keeps_every_probability_from_zero():
    logits = networks.mix_uniform(tf.constant([100.0, 0.0, 0.0, 0.0]), 0.2)
    np.testing.assert_allclose(tf.exp(logits), [0.85, 0.05, 0.05, 0.05], rtol=1e-5)


def test_draws_are_the_class_in_whose_share_the_noise_lies():
    logits = tf.math.log([[0.2, 0.5, 0.3]] * 5)
    draws = networks.straight_through(logits, tf.constant([0.0, 0.19, 0.21, 0.69, 0.9999999]))
    np.testing.assert_allclose(draws, np.eye(3)[[0, 0, 1, 1, 2]], atol=1e-6)


def test_draws_have_the_gradient_of_the_probabilities():
    logits, weights = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    noise = tf.constant(RNG.random(4))
    with tf.GradientTape(persistent=True) as tape:
        x = tf.Variable(logits)
        through = tf.reduce_sum(weights * networks.straight_through(x, noise))
        directly = tf.reduce_sum(weights * tf.nn.softmax(x))
    np.testing.assert_allclose(tape.gradient(through, x), tape.gradient(directly, x))


def test_a_step_of_the_recurrence_is_its_definition():
    numbers = tf.nest.map_structure(lambda leaf: leaf.numpy().astype(np.float64), PARAMS)
    layer = lambda name, x: x @ numbers[name]["kernel"] + numbers[name]["bias"]
    seen = [("from_deter", DETER), ("from_stoch", STOCH.reshape(7, 6)), ("from_action", ACTION)]
    summary = np.concatenate([silu_of_normed(layer(name, x)) for name, x in seen], axis=-1)
    own = DETER.reshape(7, 3, 2)
    mixed = np.concatenate(
        [np.concatenate([own[:, b], summary], -1) @ numbers["mixed"]["kernel"][b] for b in range(3)], -1
    )
    hidden = silu_of_normed(mixed + numbers["mixed"]["bias"]).reshape(7, 3, 2)
    gates = [
        hidden[:, b] @ numbers["gates"]["kernel"][b] + numbers["gates"]["bias"][6 * b : 6 * b + 6] for b in range(3)
    ]
    reset, candidate, update = (np.concatenate([g[:, 2 * i : 2 * i + 2] for g in gates], -1) for i in range(3))
    update = sigmoid(update - 1)
    expected = update * np.tanh(sigmoid(reset) * candidate) + (1 - update) * DETER
    actual = RSSM.advance(PARAMS, networks.Latent(tf.constant(DETER), tf.constant(STOCH)), tf.constant(ACTION))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_latents_are_distributions_and_the_posterior_has_seen_the_observation():
    prior = RSSM.prior(PARAMS, tf.constant(DETER))
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(prior), axis=-1), np.ones([7, 2]), rtol=1e-5)
    assert prior.shape == (7, 2, 3)
    assert tf.reduce_min(tf.exp(prior)) > 0.1 / 3 - 1e-6
    seen = [RSSM.posterior(PARAMS, tf.constant(DETER), tf.constant(x)) for x in (EMBEDDING, -EMBEDDING)]
    assert np.abs(seen[0] - seen[1]).max() > 0.01
    assert RSSM.initial_state(3).shape == (3, 6)
    assert RSSM.num_features == networks.Latent(tf.constant(DETER), tf.constant(STOCH)).features.shape[-1] == 12


def test_blocks_must_divide_the_units():
    with pytest.raises(ValueError, match="units is 6, expected a multiple of blocks = 4"):
        networks.rssm(6, blocks=4)


def test_a_step_of_the_world_model_agrees_in_all_modes():
    def step(deter, stoch, action, embedding, noise):
        deter = RSSM.advance(PARAMS, networks.Latent(deter, stoch), action)
        logits = RSSM.posterior(PARAMS, deter, embedding)
        return deter, logits, networks.straight_through(RSSM.prior(PARAMS, deter), noise)

    noise = RNG.random((7, 2)).astype(np.float32)
    assert_modes_agree(step, DETER, STOCH, ACTION, EMBEDDING, noise, rtol=1e-4, atol=1e-5)


def test_vectors_are_seen_on_a_logarithmic_scale():
    model = networks.observation_model(spaces.Box(-1e6, 1e6, (2,)), width=8, depth=2)
    assert model.embedding_size == 8
    # Half the squares of 1 - log(1 + (e - 1)) = 0 and of 0 - -log(1 + 999).
    observation = tf.constant([[np.e - 1, -999.0]])
    np.testing.assert_allclose(model.loss(tf.constant([[1.0, 0.0]]), observation), [np.log(1000) ** 2 / 2], rtol=1e-5)


def test_pictures_of_other_values_than_from_0_to_1_are_vectors():
    model = networks.observation_model(spaces.Box(0, 255, (8, 8, 1), np.float32), width=8, depth=2)
    assert model.embedding_size == 8
    grey = tf.fill([1, 8, 8, 1], 127.0)
    np.testing.assert_allclose(model.loss(tf.zeros([1, 64]), grey), [32 * np.log(128) ** 2], rtol=1e-5)


IMAGES = {"bytes": spaces.Box(0, 255, (32, 24, 3), np.uint8), "small": spaces.Box(0, 1, (10, 13, 2), bool)}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_any_size_are_embedded_and_drawn_again(kind):
    space = IMAGES[kind]
    model = networks.observation_model(space, width=8, depth=2)
    encoder, decoder = model.encoder_init(random.key(0)), model.decoder_init(random.key(1), 5)
    space.seed(0)
    images = tf.constant(np.stack([[space.sample() for _ in range(3)]] * 2))
    embedding = tf.function(model.encode, jit_compile=True)(encoder, images)
    assert embedding.shape == (2, 3, model.embedding_size)
    drawn = tf.function(model.decode, jit_compile=True)(decoder, tf.random.stateless_normal([2, 3, 5], [0, 1]))
    assert drawn.shape == (2, 3, *space.shape)
    full = 0.5 * np.sum(np.square(tf.cast(images, tf.float32) / tf.cast(space.high.max(), tf.float32)), axis=(2, 3, 4))
    np.testing.assert_allclose(model.loss(tf.zeros([2, 3, *space.shape]), images), full, rtol=1e-4)


def test_a_decoder_learns_to_draw_what_it_is_shown():
    model = networks.observation_model(IMAGES["small"], width=8, depth=4)
    params = model.decoder_init(random.key(1), 3)
    target = tf.constant(RNG.random((1, 10, 13, 2)) < 0.5)

    @tf.function(jit_compile=True)
    def step(params):
        with tf.GradientTape() as tape:
            tape.watch(tf.nest.flatten(params))
            loss = tf.reduce_sum(model.loss(model.decode(params, tf.ones([1, 3])), target))
        gradients = tape.gradient(loss, tf.nest.flatten(params))
        moved = [p - 0.1 * g for p, g in zip(tf.nest.flatten(params), gradients, strict=True)]
        return tf.nest.pack_sequence_as(params, moved), loss

    seen = []
    for _ in range(100):
        params, loss = step(params)
        seen.append(float(loss))
    assert seen[-1] < 0.2 * seen[0]
