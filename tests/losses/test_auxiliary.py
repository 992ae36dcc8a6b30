import numpy as np
import pytest
import tensorflow as tf

from rl_fn import losses
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

rng = np.random.default_rng(0)
T, B, A = 3, 2, 3
OBSERVATIONS = rng.random((T + 1, B, 4, 6, 2)).astype(np.float32)
ACTIONS = rng.integers(A, size=(T, B))
Q = rng.normal(size=(T + 1, B, 2, 3, A)).astype(np.float32)
DISCOUNT_T = np.array([[0.9, 0.5], [0.0, 0.9], [0.8, 1.0]], np.float32)
FEATURES = rng.normal(size=(T + 1, B, 5)).astype(np.float32)


def loss(observations, actions, q, discount_t):
    return losses.pixel_control_loss(observations, actions, q, discount_t, 2)


CASES = {
    "pixel_control_rewards": (lambda x: losses.pixel_control_rewards(x, 2), (OBSERVATIONS[:2, :1],), [0]),
    "feature_control_rewards": (losses.feature_control_rewards, (FEATURES,), [0]),
    "potential": (lambda x: losses.feature_control_rewards(x, "potential", 0.9), (FEATURES,), [0]),
    "pixel_control_loss": (loss, (OBSERVATIONS, ACTIONS, Q, DISCOUNT_T), [2]),
}


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    function, args, _ = CASES[name]
    assert_modes_agree(function, *args)


@pytest.mark.parametrize("name", ["pixel_control_rewards", "feature_control_rewards", "potential"])
def test_gradients(name):
    function, args, with_gradient = CASES[name]
    assert_gradients(function, args, with_gradient)


def test_the_gradient_of_the_loss_reaches_the_prediction_alone():
    # The action values of the successors are predictions of other steps: their share is the target.
    predictions = Q.copy()

    def of_the_first_row(first_row):
        q = tf.concat([first_row[tf.newaxis], tf.cast(predictions[1:], first_row.dtype)], axis=0)
        observations, discount_t = (tf.cast(x, first_row.dtype) for x in (OBSERVATIONS, DISCOUNT_T))
        return loss(observations, ACTIONS, q, discount_t)

    assert_gradients(of_the_first_row, (Q[0],), [0])
    assert_gradients(lambda x, d: loss(x, ACTIONS, Q.astype(np.float64), d), (OBSERVATIONS, DISCOUNT_T), [])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, _ = CASES[name]
    assert_bfloat16(function, *args)


def test_pixel_control_rewards_follow_the_definition():
    actual = losses.pixel_control_rewards(OBSERVATIONS, 2)
    assert actual.shape == (T, B, 2, 3)
    for t, b, i, j in np.ndindex(*actual.shape):
        window = np.s_[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        change = np.abs(OBSERVATIONS[t + 1][window] - OBSERVATIONS[t][window])
        np.testing.assert_allclose(actual[t, b, i, j], change.mean(), rtol=1e-5)


def test_pixel_control_loss_follows_the_definition():
    rewards = losses.pixel_control_rewards(OBSERVATIONS, 2).numpy()
    target = Q[-1].max(-1)
    for t in reversed(range(T)):
        target = rewards[t] + DISCOUNT_T[t][:, None, None] * target
        for b in range(B):
            expected = 0.5 * (target[b] - Q[t, b, :, :, ACTIONS[t, b]]) ** 2
            np.testing.assert_allclose(loss(OBSERVATIONS, ACTIONS, Q, DISCOUNT_T)[t, b], expected, rtol=1e-4, atol=1e-6)


def test_a_scalar_discount_and_no_batch():
    alone = losses.pixel_control_loss(OBSERVATIONS[:, 0], ACTIONS[:, 0], Q[:, 0], 0.9, 2)
    together = loss(OBSERVATIONS, ACTIONS, Q, np.full((T, B), 0.9, np.float32))
    np.testing.assert_allclose(alone, together[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("cumulant", "expected"),
    [
        ("feature", [3.0, -1.0]),
        ("absolute_change", [2.0, 1.0]),
        ("increase", [2.0, -1.0]),
        ("decrease", [-2.0, 1.0]),
        ("potential", [0.5, -0.5]),
    ],
)
def test_feature_control_by_hand(cumulant, expected):
    actual = losses.feature_control_rewards([[1.0, 0.0], [3.0, -1.0]], cumulant, 0.5)
    np.testing.assert_allclose(actual, [expected])


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"cell_size is 3", losses.pixel_control_rewards, OBSERVATIONS, 3)
    assert_refuses(r"cumulant is 'other'", losses.feature_control_rewards, FEATURES, "other")
    assert_refuses(r"discount is None", losses.feature_control_rewards, FEATURES, "potential")
    assert_refuses(r"action_values \(4, 2, 2, 2, 3\)", loss, OBSERVATIONS, ACTIONS, Q[:, :, :, :2], DISCOUNT_T)
    assert_refuses(r"actions holds 3.*\[0, 3\)", loss, OBSERVATIONS, ACTIONS + 2 - ACTIONS + 1, Q, DISCOUNT_T)


def test_actions_of_another_length_are_refused_whatever_was_called_before():
    def loss(num_steps, batch):
        inputs = tf.zeros([5, batch, 4, 4, 1]), tf.zeros([num_steps, batch], tf.int32), tf.zeros([5, batch, 2, 2, 3])
        return losses.pixel_control_loss(*inputs, 0.9, 2)

    assert [loss(4, 2).shape, loss(4, 3).shape] == [[4, 2, 2, 2], [4, 3, 2, 2]]
    for num_steps in (1, 6):
        with pytest.raises(ValueError, match=rf"actions has shape \({num_steps}, 2\) .* with T = 4"):
            loss(num_steps, 2)
