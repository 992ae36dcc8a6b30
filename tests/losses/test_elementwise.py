import numpy as np
import pytest
import tensorflow as tf

from rl_fn import losses
from tests.losses import definitions
from tests.losses.definitions import Case, by_example
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

ERROR = np.float32([-3.0, -0.4, 0.2, 0.9, 1.7, 4.0])
PREDICTION, TARGET = np.float32([0.5, -1.0, 2.0, 0.3, 0.0, 1.0]), np.float32([0.1, 2.0, 1.5, 0.9, 0.7, -3.0])
P, LABEL = np.float32([0.1, 0.5, 0.9, 0.3, 0.99, 0.2]), np.float32([0.2, 0.5, 0.99, 0.01, 0.6, 0.3])
VALUES, WEIGHTS = ERROR.reshape(2, 3), np.float32([[0.5, 1.0, 2.0], [1.0, 0.25, 3.0]])
INDICES = np.array([2, 0])

CASES = {
    "l2_loss": Case(losses.l2_loss, lambda x: 0.5 * x**2, (ERROR,), 0, (0,)),
    "huber_loss": Case(losses.huber_loss, definitions.huber_loss, (ERROR, np.float32(0.8)), (0, None), (0, 1)),
    "expectile_loss": Case(
        losses.expectile_loss, definitions.expectile_loss, (PREDICTION, TARGET, np.float32(0.7)), (0, 0, None), (0, 2)
    ),
    "likelihood": Case(losses.likelihood, definitions.likelihood, (P, LABEL), 0, (0, 1)),
    "log_loss": Case(losses.log_loss, definitions.log_loss, (P, LABEL), 0, (0, 1)),
    "clip_gradient": Case(lambda x: losses.clip_gradient(x, -10.0, 10.0), lambda x: x, (ERROR,), 0, (0,)),
    "batched_index": Case(losses.batched_index, lambda x, i: x[i], (VALUES, INDICES), 0, (0,)),
    "batched_index_keepdims": Case(
        lambda x, i: losses.batched_index(x, i, keepdims=True), lambda x, i: x[[i]], (VALUES, INDICES), 0, (0,)
    ),
    "masked_mean": Case(
        lambda x, w: losses.masked_mean(x, w, axis=-1), lambda x, w: sum(x * w) / sum(w), (VALUES, WEIGHTS), 0, (0, 1)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_definition(name):
    function, definition, args, axes, _ = CASES[name]
    args = [arg.astype(np.float64) if arg.dtype == np.float32 else arg for arg in map(np.asarray, args)]
    np.testing.assert_allclose(function(*args), by_example(definition, args, axes), rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    assert_modes_agree(CASES[name].function, *CASES[name].args)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    assert_gradients(CASES[name].function, CASES[name].args, CASES[name].with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    assert_bfloat16(CASES[name].function, *CASES[name].args)


def gradient_of(function, *args):
    tensors = [tf.constant(arg) for arg in args]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return [None if g is None else g.numpy() for g in tape.gradient(value, tensors)]


def test_expectile_loss_passes_a_gradient_to_the_targets_where_asked():
    args = CASES["expectile_loss"].args
    assert_gradients(lambda *x: losses.expectile_loss(*x, stop_target_gradients=False), args, [0, 1, 2])


def test_likelihood_and_log_loss_of_certain_predictions():
    p, target = np.float32([0.0, 0.0, 1.0, 1.0]), np.float32([0.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(losses.likelihood(p, target), [1, 0, 0, 1])
    np.testing.assert_array_equal(losses.log_loss(p, target), [0, np.inf, np.inf, 0])
    np.testing.assert_array_equal(gradient_of(losses.likelihood, p, target)[0], [-1, 1, -1, 1])
    np.testing.assert_array_equal(gradient_of(losses.log_loss, p, target)[0], [1, -np.inf, np.inf, -1])


def test_log_loss_does_not_underflow():
    np.testing.assert_allclose(losses.log_loss([1e-30], [1.0]), [30 * np.log(10)], rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_clip_gradient_clips_the_gradient_that_arrives(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def gradient(x, weight, low, high):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = weight * losses.clip_gradient(x, low, high)
        return tape.gradient(value, x)

    actual = gradient(tf.constant(ERROR), tf.constant(ERROR), tf.constant(-0.5), tf.constant(2.0))
    np.testing.assert_allclose(actual, np.clip(ERROR, -0.5, 2.0))

    def each(inputs):
        return gradient(inputs[0], inputs[0], inputs[1], tf.constant(2.0))

    copies = (tf.constant(np.stack([ERROR, -ERROR])), tf.constant([-0.5, -1.0]))
    together = tf.function(
        lambda: tf.vectorized_map(each, copies, fallback_to_while_loop=False), jit_compile=jit_compile
    )()
    np.testing.assert_allclose(together, [np.clip(ERROR, -0.5, 2.0), np.clip(-ERROR, -1.0, 2.0)])


def test_a_clipped_gradient_makes_the_squared_loss_huber():
    clipped, huber = (
        gradient_of(loss, ERROR)[0]
        for loss in (lambda x: losses.l2_loss(losses.clip_gradient(x, -0.8, 0.8)), lambda x: losses.huber_loss(x, 0.8))
    )
    np.testing.assert_allclose(clipped, huber)


def test_masked_mean():
    values = np.float32([[1.0, np.nan, 3.0], [np.inf, -np.inf, np.nan]])
    mask = np.array([[True, False, True], [False, False, False]])
    assert losses.masked_mean(values, mask) == 2
    np.testing.assert_array_equal(losses.masked_mean(values, mask, axis=1), [2, 0])
    np.testing.assert_array_equal(losses.masked_mean(values, np.float32(mask), axis=(0, 1)), 2)
    assert losses.masked_mean(values, np.zeros((2, 3), bool)) == 0
    # One weight per row counts each entry of the row.
    np.testing.assert_allclose(
        losses.masked_mean(VALUES, np.float32([[1.0], [3.0]])), np.average(VALUES, None, [[1] * 3, [3] * 3])
    )
    gradient = gradient_of(lambda x: losses.masked_mean(x, mask), values)[0]
    np.testing.assert_array_equal(gradient, [[0.5, 0, 0.5], [0, 0, 0]])
    gradient = gradient_of(lambda x: losses.masked_mean(x, mask, axis=1), values)[0]
    np.testing.assert_array_equal(gradient, [[0.5, 0, 0.5], [0, 0, 0]])


def test_lhs_broadcast():
    target = tf.zeros([2, 3, 4])
    assert losses.lhs_broadcast(tf.ones([2]), target).shape == (2, 1, 1)
    assert losses.lhs_broadcast(tf.ones([1, 3]), target).shape == (1, 3, 1)
    assert losses.lhs_broadcast(1.0, target).shape == (1, 1, 1)
    for shape in ([3], [2, 4], [2, 3, 4, 1]):
        assert_refuses(r"lhs_broadcast: source has shape .* \(2, 3, 4\)", losses.lhs_broadcast, tf.ones(shape), target)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"huber_loss: delta holds 0", losses.huber_loss, ERROR, 0.0)
    assert_refuses(r"huber_loss: delta holds inf", losses.huber_loss, ERROR, np.inf)
    assert_refuses(r"expectile_loss: expectile holds 2", losses.expectile_loss, ERROR, ERROR, 2.0)
    assert_refuses(r"likelihood: predictions holds -3", losses.likelihood, ERROR, LABEL)
    assert_refuses(r"log_loss: targets holds -3", losses.log_loss, P, ERROR)
    assert_refuses(r"log_loss: targets has shape \(5,\)", losses.log_loss, P, LABEL[1:])
    assert_refuses(r"clip_gradient: gradient_min has shape \(6,\)", losses.clip_gradient, ERROR, ERROR, 1.0)
    assert_refuses(r"batched_index: indices holds 3", losses.batched_index, VALUES, INDICES + 1)
    assert_refuses(r"masked_mean: weights has shape \(2,\)", losses.masked_mean, VALUES, INDICES)
    assert_refuses(r"l2_loss: error is int64", losses.l2_loss, INDICES)
