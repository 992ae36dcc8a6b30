import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import optimizers

rng = np.random.default_rng(0)
PARAMS = {"kernel": rng.normal(size=(4, 3)).astype(np.float32), "bias": rng.normal(size=3).astype(np.float32)}
GRADS = [{name: rng.normal(size=p.shape).astype(np.float32) for name, p in PARAMS.items()} for _ in range(20)]
KERAS = tf.keras.optimizers
LINEAR = optimizers.linear_schedule(0.1, 0.01, steps=10)

PAIRS = {
    "sgd": (optimizers.sgd(0.1), KERAS.SGD(0.1)),
    "sgd_momentum": (optimizers.sgd(0.1, momentum=0.9), KERAS.SGD(0.1, momentum=0.9)),
    "sgd_nesterov": (optimizers.sgd(0.1, momentum=0.9, nesterov=True), KERAS.SGD(0.1, momentum=0.9, nesterov=True)),
    "rmsprop": (optimizers.rmsprop(0.1), KERAS.RMSprop(0.1)),
    "rmsprop_momentum": (
        optimizers.rmsprop(0.1, decay=0.95, epsilon=0.01, momentum=0.5),
        KERAS.RMSprop(0.1, rho=0.95, epsilon=0.01, momentum=0.5),
    ),
    "rmsprop_centered": (
        optimizers.rmsprop(0.1, decay=0.95, epsilon=0.01, centered=True),
        KERAS.RMSprop(0.1, rho=0.95, epsilon=0.01, centered=True),
    ),
    "adam": (
        optimizers.adam(0.1, epsilon=1e-3, corrected_epsilon=False),
        KERAS.Adam(0.1, epsilon=1e-3),
    ),
    "adamw": (
        optimizers.adamw(0.1, epsilon=1e-3, weight_decay=0.02, corrected_epsilon=False),
        KERAS.AdamW(0.1, epsilon=1e-3, weight_decay=0.02),
    ),
    "clip": (
        optimizers.chain(optimizers.clip_by_global_norm(1.5), optimizers.sgd(0.1)),
        KERAS.SGD(0.1, global_clipnorm=1.5),
    ),
    "keras_schedule": (
        optimizers.sgd(KERAS.schedules.CosineDecay(0.1, 10)),
        KERAS.SGD(KERAS.schedules.CosineDecay(0.1, 10)),
    ),
    "own_schedule": (
        optimizers.adam(LINEAR, corrected_epsilon=False, epsilon=1e-7),
        KERAS.Adam(KERAS.schedules.PolynomialDecay(0.1, 10, 0.01)),
    ),
}


def trajectory(optimizer):
    """Parameters after each of the steps, compiled."""

    @tf.function(jit_compile=True)
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optimizers.apply_updates(params, updates), state

    params, steps = tf.nest.map_structure(tf.constant, PARAMS), []
    state = optimizer.init(params)
    for grads in GRADS:
        params, state = step(params, state, grads)
        steps.append(params)
    return steps


@pytest.mark.parametrize("name", PAIRS)
def test_agrees_with_keras_step_by_step(name):
    ours, keras = PAIRS[name]
    variables = {name: tf.Variable(p) for name, p in PARAMS.items()}
    for grads, params in zip(GRADS, trajectory(ours), strict=True):
        keras.apply_gradients([(tf.constant(grads[name]), variables[name]) for name in variables])
        for name in variables:
            np.testing.assert_allclose(params[name], variables[name], rtol=2e-5, atol=2e-6)


def test_adam_of_the_papers_algorithm():
    mean = square = np.zeros(2)
    x = np.array([1.0, -2.0])
    optimizer = optimizers.adam(0.1, epsilon=0.01)
    params = tf.constant(x, tf.float32)
    state = optimizer.init(params)
    for t in range(1, 8):
        g = np.array([0.3 * t, -1.0])
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        x = x - 0.1 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 0.01)
        updates, state = optimizer.update(tf.constant(g, tf.float32), state, params)
        params = optimizers.apply_updates(params, updates)
        np.testing.assert_allclose(params, x, rtol=1e-5)
    assert state.count == 7


def test_rmsprop_with_epsilon_outside_the_root():
    optimizer = optimizers.rmsprop(0.1, decay=0.9, epsilon=0.5, epsilon_inside_sqrt=False)
    updates, _ = optimizer.update(tf.constant([2.0]), optimizer.init(tf.zeros(1)), None)
    np.testing.assert_allclose(updates, [-0.1 * 2 / (np.sqrt(0.1 * 4) + 0.5)], rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (5,), (3, 40), (4, 3, 16), (40, 3), (0, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_norm_is_of_all_elements(shape, dtype):
    matrix = tf.cast(tf.reshape(tf.range(math.prod(shape)) - 7, shape), dtype)
    expected = np.sqrt(np.sum(np.square(matrix.numpy().astype(np.float64))) + 9)
    norm = tf.function(optimizers.global_norm, jit_compile=True)
    for found in (optimizers.global_norm([matrix, tf.constant(3.0, dtype)]), norm([matrix, tf.constant(3.0, dtype)])):
        assert found.dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_allclose(float(found), expected, rtol=1e-6)


def test_a_norm_of_what_is_not_finite_is_not_finite():
    for broken in (np.inf, np.nan):
        matrix = np.ones([20, 20], np.float32)
        matrix[3, 7] = broken
        assert not np.isfinite(optimizers.global_norm(tf.constant(matrix)))


@pytest.mark.parametrize("large", [1 << 14, 10, 2])  # elements: none of the parameters is larger, one, or all
def test_flattened_optimizers_do_the_same_on_one_vector(large, monkeypatch):
    monkeypatch.setattr("rl_fn._src.optimizers.base.LARGE", large)
    plain = optimizers.chain(optimizers.clip_by_global_norm(1.5), optimizers.adamw(0.1, weight_decay=0.02))
    flat = optimizers.flatten(plain)
    for expected, actual in zip(trajectory(plain), trajectory(flat), strict=True):
        for name in PARAMS:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-6)


def test_flattened_optimizers_keep_large_parameters_apart():
    params = {"a": tf.zeros(2), "b": tf.zeros([200, 200]), "c": tf.zeros([3, 3])}
    mean = optimizers.flatten(optimizers.adam(0.1)).init(params).mean
    assert mean["small"].shape == (11,)
    assert [leaf.shape for leaf in mean["large"]] == [(200, 200)]
    with pytest.raises(ValueError, match="parameters are of float32, float64, expected one dtype"):
        optimizers.flatten(optimizers.adam(0.1)).init({"a": tf.zeros(2), "b": tf.zeros(2, tf.float64)})


def test_a_learning_rate_may_be_a_tensor_per_copy():
    rates = tf.constant([0.1, 0.2])

    @tf.function(jit_compile=True)
    def updates(rates):
        def one(rate):
            optimizer = optimizers.adam(rate)
            return optimizer.update(tf.constant([1.0]), optimizer.init(tf.zeros(1)), None)[0]

        return tf.vectorized_map(one, rates, fallback_to_while_loop=False)

    np.testing.assert_allclose(updates(rates), [[-0.1], [-0.2]], rtol=1e-4)


def test_every_number_may_be_a_tensor():
    number = tf.constant
    pairs = [
        (
            optimizers.adamw(number(0.1), number(0.8), number(0.99), number(1e-3), number(0.02)),
            optimizers.adamw(0.1, 0.8, 0.99, 1e-3, 0.02),
        ),
        (
            optimizers.rmsprop(number(0.1), number(0.95), number(0.01), number(0.5), centered=True),
            optimizers.rmsprop(0.1, 0.95, 0.01, 0.5, centered=True),
        ),
        (optimizers.sgd(number(0.1), number(0.9)), optimizers.sgd(0.1, 0.9)),
        (
            optimizers.chain(optimizers.clip(number(0.5)), optimizers.clip_by_global_norm(number(1.0))),
            optimizers.chain(optimizers.clip(0.5), optimizers.clip_by_global_norm(1.0)),
        ),
    ]
    for of_tensors, of_numbers in pairs:
        for ours, expected in zip(trajectory(of_tensors)[:5], trajectory(of_numbers)[:5], strict=True):
            for name in PARAMS:
                np.testing.assert_allclose(ours[name], expected[name], rtol=1e-4, atol=1e-6)
    double = optimizers.adam(tf.constant(0.1, tf.float64), epsilon=tf.constant(1e-8, tf.float64))
    np.testing.assert_allclose(double.update(tf.ones(1), double.init(tf.zeros(1)))[0], [-0.1], rtol=1e-5)


def test_only_the_chosen_parameters_decay():
    params = {"kernel": tf.constant([[2.0]]), "bias": tf.constant([2.0])}
    still = tf.nest.map_structure(tf.zeros_like, params)
    kernels = lambda nest: tf.nest.map_structure(lambda leaf: leaf.shape.rank > 1, nest)
    for mask in (kernels, {"kernel": True, "bias": False}):
        optimizer = optimizers.adamw(0.5, weight_decay=0.1, mask=mask)
        updates, _ = optimizer.update(still, optimizer.init(params), params)
        np.testing.assert_allclose(updates["kernel"], [[-0.1]])
        np.testing.assert_array_equal(updates["bias"], [0.0])


def test_counts_do_not_overflow():
    last = 2**31 - 1
    for optimizer, zeros in (
        (optimizers.adam(0.1), optimizers.AdamState(tf.constant(last), tf.zeros(1), tf.zeros(1))),
        (optimizers.sgd(LINEAR), optimizers.ScheduleState(tf.constant(last))),
    ):
        updates, state = optimizer.update(tf.ones(1), zeros, tf.zeros(1))
        assert state.count == last
        assert np.all(np.isfinite(updates))


def test_equal_gradients_leave_no_variance_below_zero():
    optimizer = optimizers.rmsprop(0.1, decay=0.9, epsilon=1e-12, centered=True)
    state = optimizer.init(tf.zeros(1))
    for _ in range(200):
        updates, state = optimizer.update(tf.constant([33.3]), state)
        assert np.isfinite(updates[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.adam(-1e-3), r"adam: learning_rate is -0.001, expected a number in \[0, inf\)"),
        (lambda: optimizers.adam("fast"), "adam: learning_rate is 'fast', expected a number or a scalar tensor"),
        (lambda: optimizers.adam(tf.ones(2)), r"adam: learning_rate is float32 \(2,\), expected a number or a scalar"),
        (lambda: optimizers.adam(0.1, beta_1=1.0), r"adam: beta_1 is 1, expected a number in \[0, 1\)"),
        (lambda: optimizers.scale_by_adam(beta_2=tf.constant(-0.5)), "scale_by_adam: beta_2 is -0.5"),
        (lambda: optimizers.adamw(0.1, weight_decay=-1.0), "adamw: weight_decay is -1"),
        (lambda: optimizers.rmsprop(0.1, decay=1.5), "rmsprop: decay is 1.5"),
        (lambda: optimizers.rmsprop(0.1, epsilon=float("nan")), "rmsprop: epsilon is nan"),
        (lambda: optimizers.sgd(0.1, momentum=1.0), "trace: decay is 1"),
        (lambda: optimizers.sgd(0.1, nesterov=True), "sgd: nesterov is True and momentum 0"),
        (lambda: optimizers.clip(0.0), r"clip: limit is 0, expected a number in \(0, inf\]"),
        (lambda: optimizers.clip_by_global_norm(-1.0), "clip_by_global_norm: max_norm is -1"),
        (lambda: optimizers.scale(None), "scale: factor is None"),
        (lambda: optimizers.scale_by_schedule(0.1), "scale_by_schedule: schedule is 0.1, expected a function"),
        (lambda: optimizers.add_decayed_weights(-0.1), "add_decayed_weights: weight_decay is -0.1"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("optimizer", [optimizers.adamw(0.1), optimizers.add_decayed_weights(0.1)])
def test_weight_decay_asks_for_the_parameters(optimizer):
    with pytest.raises(ValueError, match="update needs params"):
        optimizer.update(tf.zeros(1), optimizer.init(tf.zeros(1)), None)


def test_params_keep_their_dtype():
    params = {"w": tf.ones([2], tf.bfloat16)}
    optimizer = optimizers.adam(0.1)
    updates, _ = optimizer.update({"w": tf.ones([2], tf.bfloat16)}, optimizer.init(params), params)
    assert optimizers.apply_updates(params, updates)["w"].dtype == tf.bfloat16


@pytest.mark.parametrize("make", [optimizers.adam, optimizers.adamw, optimizers.rmsprop, optimizers.laprop])
@pytest.mark.parametrize(
    ("gradient", "match"),
    [
        (tf.ones([3, 1]), r"grads: w has shape \(3, 1\), expected \(3,\)"),
        (tf.ones([]), r"grads: w has shape \(\), expected \(3,\)"),
        (None, r"grads: w is None, expected shape \(3,\)"),
    ],
)
def test_gradients_that_would_broadcast_are_refused(make, gradient, match):
    optimizer, params = make(0.1), {"w": tf.ones([3])}
    with pytest.raises(ValueError, match=match):
        optimizer.update({"w": gradient}, optimizer.init(params), params)


def test_updates_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"apply_updates: updates: w has shape \(3, 1\), expected \(3,\)"):
        optimizers.apply_updates({"w": tf.ones([3])}, {"w": tf.ones([3, 1])})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_have_the_steps_of_float32(dtype):
    """Adam's first step is the learning rate, whatever the gradient; and its square here is no float16."""
    params = {"w": tf.zeros([2], dtype)}
    optimizer = optimizers.adam(0.1)
    updates, _ = optimizer.update({"w": tf.constant([1e-4, 300.0], dtype)}, optimizer.init(params), params)
    applied = optimizers.apply_updates(params, updates)["w"]
    assert applied.dtype == dtype
    np.testing.assert_allclose(tf.cast(applied, tf.float32), [-0.1, -0.1], rtol=1e-2)
    clipped, _ = optimizers.clip_by_global_norm(1.0).update({"w": tf.constant([300.0, 400.0], dtype)}, (), None)
    np.testing.assert_allclose(tf.cast(clipped["w"], tf.float32), [0.6, 0.8], rtol=1e-2)
