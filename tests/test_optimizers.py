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


@pytest.mark.parametrize("large", [1 << 14, 10, 2])  # elements: none of the parameters is larger, one, or all
def test_flattened_optimizers_do_the_same_on_one_vector(large, monkeypatch):
    monkeypatch.setattr(optimizers, "_LARGE", large)
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


def test_clipping_leaves_small_gradients_alone():
    clip = optimizers.clip_by_global_norm(10.0)
    grads = {"a": tf.constant([3.0, 4.0]), "b": tf.zeros(2)}
    np.testing.assert_array_equal(clip.update(grads, (), None)[0]["a"], [3.0, 4.0])
    np.testing.assert_allclose(optimizers.clip_by_global_norm(1.0).update(grads, (), None)[0]["a"], [0.6, 0.8])
    np.testing.assert_array_equal(clip.update({"a": tf.zeros(2)}, (), None)[0]["a"], [0.0, 0.0])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (optimizers.linear_schedule(1.0, 0.0, 10), {0: 1.0, 5: 0.5, 10: 0.0, 20: 0.0}),
        (optimizers.linear_schedule(1.0, 0.5, 10, begin=10), {0: 1.0, 10: 1.0, 15: 0.75, 30: 0.5}),
        (optimizers.cosine_schedule(2.0, 10, final_fraction=0.1), {0: 2.0, 5: 1.1, 10: 0.2, 99: 0.2}),
        (optimizers.exponential_schedule(1.0, 0.5, 10), {0: 1.0, 10: 0.5, 20: 0.25, 5: 0.5**0.5}),
        (optimizers.exponential_schedule(1.0, 0.5, 10, staircase=True), {0: 1.0, 9: 1.0, 10: 0.5, 19: 0.5}),
        (optimizers.piecewise_constant_schedule([10, 20], [3.0, 2.0, 1.0]), {0: 3.0, 10: 3.0, 11: 2.0, 21: 1.0}),
    ],
)
def test_schedules(schedule, expected):
    compiled = tf.function(schedule, jit_compile=True)
    for step, value in expected.items():
        np.testing.assert_allclose(compiled(tf.constant(step)), value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("ours", "keras"),
    [
        (optimizers.cosine_schedule(0.3, 10, 0.1), KERAS.schedules.CosineDecay(0.3, 10, alpha=0.1)),
        (optimizers.exponential_schedule(0.3, 0.7, 10), KERAS.schedules.ExponentialDecay(0.3, 10, 0.7)),
        (
            optimizers.piecewise_constant_schedule([3, 7], [0.3, 0.2, 0.1]),
            KERAS.schedules.PiecewiseConstantDecay([3, 7], [0.3, 0.2, 0.1]),
        ),
    ],
)
def test_schedules_agree_with_keras(ours, keras):
    for step in range(15):
        np.testing.assert_allclose(ours(tf.constant(step)), keras(step), rtol=1e-6)


def test_a_learning_rate_may_be_a_tensor_per_copy():
    rates = tf.constant([0.1, 0.2])

    @tf.function(jit_compile=True)
    def updates(rates):
        def one(rate):
            optimizer = optimizers.adam(rate)
            return optimizer.update(tf.constant([1.0]), optimizer.init(tf.zeros(1)), None)[0]

        return tf.vectorized_map(one, rates, fallback_to_while_loop=False)

    np.testing.assert_allclose(updates(rates), [[-0.1], [-0.2]], rtol=1e-4)


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        optimizers.linear_schedule(1.0, 0.0, 0)
    with pytest.raises(ValueError, match=r"boundaries \[3, 2\]"):
        optimizers.piecewise_constant_schedule([3, 2], [1.0, 2.0, 3.0])
    optimizer = optimizers.adamw(0.1)
    with pytest.raises(ValueError, match="needs params"):
        optimizer.update(tf.zeros(1), optimizer.init(tf.zeros(1)), None)


def test_params_keep_their_dtype():
    params = {"w": tf.ones([2], tf.bfloat16)}
    optimizer = optimizers.adam(0.1)
    updates, _ = optimizer.update({"w": tf.ones([2], tf.bfloat16)}, optimizer.init(params), params)
    assert optimizers.apply_updates(params, updates)["w"].dtype == tf.bfloat16
