import functools

import gymnasium
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from gymnasium import spaces

from rl_fn import networks, policies, random, struct
from tests.support import assert_nests_close

KEY = random.key(3)
SPEC = tf.TensorSpec([5], tf.float32)
INPUTS = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 5)), tf.float32)


def test_dense_is_a_matrix_product_and_a_bias():
    layer = networks.dense(3)
    params = {"kernel": tf.random.normal([5, 3]), "bias": tf.constant([1.0, 2.0, 3.0])}
    expected = INPUTS.numpy() @ params["kernel"].numpy() + [1.0, 2.0, 3.0]
    np.testing.assert_allclose(layer.apply(params, INPUTS), expected, rtol=1e-5)
    np.testing.assert_allclose(layer.apply(params, INPUTS[0, 0]), expected[0, 0], rtol=1e-5)
    assert {name: tuple(leaf.shape) for name, leaf in layer.init(KEY, SPEC).items()} == {"kernel": (5, 3), "bias": (3,)}


@pytest.mark.parametrize("features", [1, 2, 4, 5])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_gradient_of_dense_is_that_of_its_formula(features, jit_compile):
    layer = networks.dense(features)
    kernel, bias = tf.random.normal([5, features], seed=1), tf.random.normal([features], seed=2)
    slope = tf.random.normal([2, 7, features], seed=3)

    def gradients(inputs, kernel, bias):
        with tf.GradientTape() as tape:
            tape.watch((inputs, kernel, bias))
            total = tf.reduce_sum(slope * layer.apply({"kernel": kernel, "bias": bias}, inputs) ** 2)
        return tape.gradient(total, (inputs, kernel, bias))

    upstream = 2 * slope * (tf.einsum("tbi,io->tbo", INPUTS, kernel) + bias)
    expected = (
        tf.einsum("tbo,io->tbi", upstream, kernel),
        tf.einsum("tbi,tbo->io", INPUTS, upstream),
        tf.reduce_sum(upstream, [0, 1]),
    )
    actual = tf.function(gradients, jit_compile=jit_compile)(INPUTS, kernel, bias)
    assert_nests_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_mlp_applies_its_layers_in_order():
    network = networks.mlp((4, 6, 2), activation=tf.tanh)
    params = network.init(KEY, SPEC)
    names = [name for name, _ in struct.named_leaves(params)]
    assert names == [f"layer_{i}/{part}" for i in range(3) for part in ("bias", "kernel")]
    hidden = INPUTS.numpy()
    for index in range(3):
        hidden = hidden @ params[f"layer_{index}"]["kernel"].numpy()
        hidden = np.tanh(hidden) if index < 2 else hidden
    np.testing.assert_allclose(network.apply(params, INPUTS), hidden, rtol=1e-4, atol=1e-6)
    final = networks.mlp((4, 6, 2), activation=tf.tanh, activate_final=True)
    np.testing.assert_allclose(final.apply(params, INPUTS), np.tanh(hidden), rtol=1e-4, atol=1e-6)


def test_parameters_are_a_function_of_the_key():
    network = networks.mlp((4, 2))
    assert_nests_close(network.init(KEY, SPEC), network.init(random.key(3), SPEC))
    other = network.init(random.key(4), SPEC)
    assert np.all(other["layer_0"]["kernel"] != network.init(KEY, SPEC)["layer_0"]["kernel"])


@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (5, 5)])
def test_orthogonal(shape):
    kernel = networks.orthogonal(2.0)(KEY, shape).numpy()
    product = kernel.T @ kernel if shape[0] >= shape[1] else kernel @ kernel.T
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-5)


@pytest.mark.parametrize("initializer", [networks.lecun_normal(), networks.lecun_uniform()])
def test_lecun_kernels_keep_the_variance(initializer):
    kernel = initializer(KEY, (400, 300)).numpy()
    np.testing.assert_allclose(kernel.var(), 1 / 400, rtol=0.02)
    assert abs(kernel.mean()) < 5 * kernel.std() / np.sqrt(kernel.size)


def test_lecun_normal_is_a_normal_cut_at_two_deviations():
    kernel = networks.lecun_normal()(KEY, (400, 300)).numpy() * 20 * 0.87962566103423978
    assert scipy.stats.kstest(kernel.ravel(), scipy.stats.truncnorm(-2, 2).cdf).pvalue > 1e-4


def test_separate_networks_share_nothing():
    network = networks.separate(policy=networks.mlp((4, 2)), value=networks.mlp((4, 1)))
    params = network.init(KEY, SPEC)
    outputs = network.apply(params, INPUTS)
    assert {name: tuple(leaf.shape) for name, leaf in outputs.items()} == {"policy": (2, 7, 2), "value": (2, 7, 1)}
    (_, _), grads = struct.value_and_gradient(
        lambda params: (tf.reduce_sum(network.apply(params, INPUTS)["value"]), ()), params
    )
    assert not any(np.any(leaf) for leaf in tf.nest.flatten(grads["policy"]))
    assert all(np.any(leaf) for leaf in tf.nest.flatten(grads["value"]))


def test_shared_torso_serves_all_heads():
    network = networks.shared(
        networks.mlp((6,), activate_final=True), policy=networks.dense(2), value=networks.dense(1)
    )
    params = network.init(KEY, SPEC)
    assert params["policy"]["kernel"].shape == (6, 2)
    (_, _), grads = struct.value_and_gradient(
        lambda params: (tf.reduce_sum(network.apply(params, INPUTS)["value"]), ()), params
    )
    assert np.any(grads["torso"]["layer_0"]["kernel"])
    assert not np.any(grads["policy"]["kernel"])


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (spaces.Box(-1, 1, (2, 2)), [[1.0, 2.0], [3.0, 4.0]], [1, 2, 3, 4]),
        (spaces.Box(0, 255, (3,), np.uint8), np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (spaces.Box(0, 9, (2,), np.uint8), np.array([0, 7], np.uint8), [0, 7]),
        (spaces.Discrete(3), 2, [0, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (
            spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Box(-1, 1, (2,))}),
            {"b": 1, "a": [0.5, 0.25]},
            [0.5, 0.25, 0, 1],
        ),
        (spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, ())]), (0, 0.5), [1, 0, 0.5]),
    ],
)
def test_flatten(space, observation, expected):
    spec, vector = networks.flatten(space)
    assert spec.shape == (len(expected),)
    leaf_specs = struct.space_spec(space)
    leaves = tf.nest.map_structure(lambda s, x: tf.cast(x, s.dtype), leaf_specs, _like(leaf_specs, observation))
    np.testing.assert_allclose(vector(leaves), expected)
    batch = tf.nest.map_structure(lambda x: tf.stack([[x, x]]), leaves)
    np.testing.assert_allclose(vector(batch)[0, 1], expected)


def _like(specs, observation):
    return tf.nest.pack_sequence_as(specs, [tf.constant(leaf) for leaf in _leaves(observation)])


def _leaves(observation):
    if isinstance(observation, dict):
        return [observation[name] for name in sorted(observation)]
    return list(observation) if isinstance(observation, tuple) else [observation]


def test_unsupported_spaces_are_refused():
    with pytest.raises(TypeError, match="Text"):
        networks.flatten(gymnasium.spaces.Text(3))
    with pytest.raises(ValueError, match=r"Discrete\(3, start=-1\) does not count from 0: rl_fn.envs.border"):
        networks.flatten(spaces.Discrete(3, start=-1))


def test_dense_refuses_inputs_of_several_axes():
    with pytest.raises(ValueError, match=r"dense: inputs have shape \(2, 3\)"):
        networks.dense(4).init(KEY, tf.TensorSpec([2, 3], tf.float32))


def keras_model():
    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Input([5]), layers.Dense(4, "relu"), layers.Dense(2, use_bias=False)])


def test_keras_models_become_networks():
    model = keras_model()
    network = networks.from_keras(model)
    values = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    params = dict(zip(network.init(KEY, SPEC), values, strict=True))
    np.testing.assert_allclose(network.apply(params, INPUTS[0]), model(INPUTS[0]), rtol=1e-5)
    first, same, other = (network.init(random.key(seed), SPEC) for seed in (1, 1, 2))
    assert_nests_close(first, same)
    kernels = [name for name in first if name.endswith("kernel")]
    assert len(kernels) == 2
    assert all(np.all(first[name] != other[name]) for name in kernels)
    compiled = tf.function(network.apply, jit_compile=True)
    np.testing.assert_allclose(compiled(first, INPUTS[0]), network.apply(first, INPUTS[0]), rtol=1e-5)


def test_names_do_not_depend_on_the_models_made_before():
    names = ["sequential/dense/bias", "sequential/dense/kernel", "sequential/dense_1/kernel"]
    for _ in range(2):
        assert sorted(networks.from_keras(keras_model()).init(KEY, SPEC)) == names
    inputs = tf.keras.Input([5])
    named = tf.keras.Model(inputs, tf.keras.layers.Dense(2, name="dense_of_mine_7", use_bias=False)(inputs), name="m")
    assert list(networks.from_keras(named).init(KEY, SPEC)) in (
        ["dense_of_mine_7/kernel"],
        ["m/dense_of_mine_7/kernel"],
    )


class Nested(tf.keras.layers.Layer):
    """A layer that holds others in a list and in a dict."""

    def __init__(self):
        super().__init__()
        constant = tf.keras.initializers.Constant
        self.listed = [tf.keras.layers.Dense(3, kernel_initializer=constant(2.0), bias_initializer=constant(3.0))]
        self.named = {"last": tf.keras.layers.Dense(1, kernel_initializer=constant(4.0), use_bias=False)}
        self.kernel_initializer = constant(-1.0)  # of none of its own variables

    def call(self, inputs):
        return self.named["last"](self.listed[0](inputs))


def test_keras_layers_inside_others_are_drawn_by_their_own_initializers():
    inputs = tf.keras.layers.Input([5])
    network = networks.from_keras(tf.keras.Model(inputs, tf.keras.Sequential([Nested()])(inputs)))
    params = network.init(random.key(0), SPEC)
    assert sorted((leaf.shape.as_list(), set(leaf.numpy().flat)) for leaf in params.values()) == [
        ([3], {3.0}),
        ([3, 1], {4.0}),
        ([5, 3], {2.0}),
    ]


def test_keras_models_with_other_state_are_refused():
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Input([5]), layers.BatchNormalization()])
    with pytest.raises(ValueError, match="state that is not trained"):
        networks.from_keras(model)
    with pytest.raises(ValueError, match="not built"):
        networks.from_keras(tf.keras.Sequential([layers.Dense(2)]))


class TwoLayers(tf.keras.Model):
    def __init__(self, *names):
        super().__init__(name="two")
        self.both = [tf.keras.layers.Dense(5, name=name) for name in names]

    def call(self, inputs):
        return self.both[1](self.both[0](inputs))


def test_keras_layers_of_one_name_are_refused_since_they_would_share_their_weights():
    model = TwoLayers("hidden", "hidden")
    model(INPUTS[0])
    with pytest.raises(ValueError, match="more than one variable has the path two/hidden/bias, two/hidden/kernel"):
        networks.from_keras(model)
    model = TwoLayers("lower", "upper")
    with pytest.warns(UserWarning, match="marked as built, despite not being actually built"):
        model.build((None, 5))
    with pytest.raises(ValueError, match="not built, of its layers lower, upper"):
        networks.from_keras(model)
    model(INPUTS[0])
    assert len(networks.from_keras(model).init(KEY, SPEC)) == 4


def test_keras_models_of_one_kind_inside_each_other_keep_their_weights_apart():
    part = lambda name: tf.keras.Sequential([tf.keras.Input([5]), tf.keras.layers.Dense(5, name="hidden")], name=name)
    network = networks.from_keras(tf.keras.Sequential([tf.keras.Input([5]), part("a"), part("b")]))
    params = network.init(KEY, SPEC)
    assert set(params) == {"a/hidden/bias", "a/hidden/kernel", "b/hidden/bias", "b/hidden/kernel"}
    assert np.all(params["a/hidden/kernel"] != params["b/hidden/kernel"])


def layer(rows, columns, seed):
    rng = np.random.default_rng(seed)
    return {
        "kernel": tf.constant(rng.normal(size=(rows, columns)), tf.float32),
        "bias": tf.constant(rng.normal(size=columns), tf.float32),
    }


def test_noise_is_factorised_and_learned():
    network = networks.noisy(networks.mlp((4, 2)), initial_deviation=0.5)
    params = network.init(KEY, SPEC)
    np.testing.assert_allclose(params["deviation"]["layer_0"]["kernel"], np.full((5, 4), 0.5 / np.sqrt(5)))
    np.testing.assert_allclose(params["deviation"]["layer_1"]["bias"], np.full(2, 0.5 / np.sqrt(4)))
    drawn = network.draw(params, random.key(1))
    tf.nest.assert_same_structure(drawn, params)
    noise = drawn["mean"]["layer_0"]["kernel"] - params["mean"]["layer_0"]["kernel"]
    assert np.linalg.matrix_rank(noise.numpy() / 0.5, tol=1e-5) == 1
    with tf.GradientTape() as tape:
        tape.watch(tf.nest.flatten(params))
        total = tf.reduce_sum(network.apply(network.draw(params, random.key(1)), INPUTS) ** 2)
    gradients = tape.gradient(total, tf.nest.flatten(params))
    assert all(np.any(gradient) for gradient in gradients)


def test_noise_has_the_moments_of_its_definition():
    network = networks.noisy(networks.dense(3), initial_deviation=1.0)
    params = network.init(KEY, SPEC)
    draws = tf.vectorized_map(lambda key: network.draw(params, key)["mean"], random.split(random.key(5), 20_000))
    # sign(x) sqrt|x| of a normal has mean zero and variance E|x|; a kernel's noise is a product of two.
    expected = np.sqrt(2 / np.pi) / np.sqrt(5)
    np.testing.assert_allclose(draws["kernel"].numpy().std(0), expected, rtol=0.03)
    np.testing.assert_allclose(draws["bias"].numpy().std(0), np.sqrt(np.sqrt(2 / np.pi) / 5), rtol=0.03)
    assert np.abs(draws["kernel"].numpy().mean(0) - params["mean"]["kernel"].numpy()).max() < 0.02


def test_noise_refuses_plain_parts_that_are_not_there():
    network = networks.noisy(networks.mlp((4, 2)), plain=("torso",))
    with pytest.raises(ValueError, match=r"plain is \['torso'\], expected names among \['layer_0', 'layer_1'\]"):
        network.init(KEY, SPEC)


def test_there_is_no_noise_without_a_draw_and_plain_parts_have_none():
    plain = networks.dueling(networks.mlp((4,), activate_final=True), 2, (3,))
    network = networks.noisy(plain, plain=("torso",))
    params = network.init(KEY, SPEC)
    np.testing.assert_array_equal(network.apply(params, INPUTS), plain.apply(params["mean"], INPUTS))
    drawn = network.draw(params, random.key(1))
    assert_nests_close(drawn["mean"]["torso"], params["mean"]["torso"])
    for stream in ("value", "advantage"):
        leaves = zip(tf.nest.flatten(drawn["mean"][stream]), tf.nest.flatten(params["mean"][stream]), strict=True)
        assert all(np.any(a != b) for a, b in leaves)


@pytest.mark.parametrize("num_atoms", [None, 7])
def test_dueling_streams_are_put_together(num_atoms):
    atoms = num_atoms or 1
    network = networks.dueling(networks.mlp((4,), activate_final=True), 3, num_atoms=num_atoms)
    params = network.init(KEY, SPEC)
    params["value"]["layer_0"], params["advantage"]["layer_0"] = layer(4, atoms, 1), layer(4, 3 * atoms, 2)
    torso = params["torso"]["layer_0"]
    hidden = np.maximum(INPUTS.numpy() @ torso["kernel"].numpy() + torso["bias"].numpy(), 0)
    streams = {
        name: hidden @ params[name]["layer_0"]["kernel"].numpy() + params[name]["layer_0"]["bias"].numpy()
        for name in ("value", "advantage")
    }
    advantage = streams["advantage"].reshape(2, 7, 3, atoms)
    expected = streams["value"][:, :, None] + advantage - advantage.mean(2, keepdims=True)
    q = network.apply(params, INPUTS)
    np.testing.assert_allclose(q, expected if num_atoms else expected[..., 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("in_loop", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2), (3, 2), (2, 3), (4, 3), (5, 4), (1, 1)])
def test_convolutions_and_their_gradients_equal_those_of_tensorflow(size, stride, in_loop):
    network = networks.convolution((5, 2), (size, 1), (stride, 1))
    params = network.init(KEY, tf.TensorSpec([10, 9, 3]))
    images = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 10, 9, 3)), tf.float32)

    def theirs(params, images):
        x = tf.reshape(images, [8, 10, 9, 3])
        for index, (features, k, s) in enumerate([(5, size, stride), (2, 1, 1)]):
            part = params[f"layer_{index}"]
            kernel = tf.reshape(part["kernel"], [k, k, x.shape[-1], features])
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, s, "VALID") + part["bias"])
        return tf.reshape(x, [2, 4, -1])

    def gradients(apply, params, images):
        with tf.GradientTape() as tape:
            tape.watch((params, images))
            outputs = apply(params, images)
            total = tf.reduce_sum(tf.sin(outputs))
        return outputs, tape.gradient(total, (params, images))

    ours = functools.partial(gradients, network.apply)
    if in_loop:
        first = tf.function(ours, autograph=False).get_concrete_function(params, images).structured_outputs
        zeros = tf.nest.map_structure(lambda leaf: tf.zeros(leaf.shape), first)
        loop = lambda *_: tf.while_loop(lambda n, _: n < 1, lambda n, _: (n + 1, ours(params, images)), (0, zeros))[1]
        found = tf.function(loop, jit_compile=True, autograph=False)(params, images)
    else:
        found = ours(params, images)
    assert_nests_close(found, gradients(theirs, params, images), rtol=1e-4, atol=1e-4)


def test_convolutions_are_differentiable_twice():
    network = networks.convolution((2,), (3,), (2,))
    params = network.init(KEY, tf.TensorSpec([7, 7, 1]))
    images = tf.constant(np.random.default_rng(1).normal(size=(3, 7, 7, 1)), tf.float32)

    def penalty(apply):
        with tf.GradientTape() as outer:
            outer.watch(params)
            with tf.GradientTape() as inner:
                inner.watch(images)
                total = tf.reduce_sum(tf.sin(apply(params, images)))
            size = tf.reduce_sum(inner.gradient(total, images) ** 2)
        return outer.gradient(size, params)

    def theirs(params, images):
        part = params["layer_0"]
        return tf.nn.relu(tf.nn.conv2d(images, tf.reshape(part["kernel"], [3, 3, 1, 2]), 2, "VALID") + part["bias"])

    assert_nests_close(penalty(network.apply), penalty(theirs), rtol=1e-4, atol=1e-4)


def test_convolutions_refuse_what_is_not_an_image():
    with pytest.raises(ValueError, match=r"inputs have shape \(5,\), expected \[H, W, C\]"):
        networks.convolution((4,), (3,), (1,)).init(KEY, SPEC)
    with pytest.raises(ValueError, match="layer 1 has filters of 3, its input is 2 x 2"):
        networks.convolution((4, 4), (3, 3), (1, 1)).init(KEY, tf.TensorSpec([4, 4, 1]))
    with pytest.raises(ValueError, match=r"convolutions need observations in a Box \[H, W, C\], not in Box"):
        networks.torso("minatar", spaces.Box(-1, 1, (5,)), (8,))
    with pytest.raises(ValueError, match="torso is 'resnet', expected one of mlp, minatar, nature"):
        networks.torso("resnet", spaces.Box(-1, 1, (5,)), (8,))


def test_images_of_bytes_are_scaled():
    _, to_image = networks.image(spaces.Box(0, 255, (2, 2, 1), np.uint8))
    np.testing.assert_allclose(
        to_image(tf.constant([[[0], [51]], [[102], [255]]], tf.uint8))[:, :, 0], [[0, 0.2], [0.4, 1]]
    )
    _, to_image = networks.image(spaces.Box(0, 1, (1, 2, 1), bool))
    np.testing.assert_array_equal(to_image(tf.constant([[[True], [False]]]))[0, :, 0], [1, 0])


def test_gaussian_layers_give_means_and_deviations_that_do_not_depend_on_the_inputs():
    network = networks.gaussian(3, initial_log_stddev=-0.5)
    params = network.init(KEY, SPEC)
    outputs = network.apply(params, INPUTS)
    np.testing.assert_allclose(outputs[..., :3], networks.dense(3).apply(params["mean"], INPUTS), rtol=1e-5)
    np.testing.assert_array_equal(outputs[..., 3:], np.full((2, 7, 3), -0.5, np.float32))


def test_deviations_that_depend_on_the_inputs_begin_at_the_same_value():
    network = networks.gaussian(3, initial_log_stddev=-0.5, state_dependent=True)
    params = network.init(KEY, SPEC)
    outputs = network.apply(params, INPUTS)
    np.testing.assert_allclose(outputs[..., 3:], networks.dense(3).apply(params["log_stddev"], INPUTS), rtol=1e-5)
    at_zero = network.apply(params, tf.zeros_like(INPUTS))
    np.testing.assert_array_equal(at_zero[..., 3:], np.full((2, 7, 3), -0.5, np.float32))


def test_noise_on_features_has_the_distribution_of_generalised_state_dependent_exploration():
    network = networks.noisy_features(2, initial_log_stddev=-0.5)
    params = network.init(KEY, SPEC)
    features = SPEC.shape[0]
    np.testing.assert_allclose(params["log_stddev"], np.full((features, 2), -0.5 - 0.5 * np.log(features)), rtol=1e-6)
    params["log_stddev"] += tf.reshape(tf.range(2.0 * features) / 10, [features, 2])
    outputs = network.apply(params, INPUTS)
    mean = networks.dense(2).apply(params["mean"], INPUTS)
    expected = policies.state_dependent_gaussian(mean, INPUTS, tf.exp(params["log_stddev"]))
    np.testing.assert_allclose(outputs[..., :2], expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(tf.exp(outputs[..., 2:4]), expected.stddev(), rtol=1e-4)
    noise = tf.random.stateless_normal([features, 2], [0, 1])
    drawn = tf.reduce_sum(tf.reshape(outputs[..., 4:], [*INPUTS.shape, 2]) * noise, axis=-2)
    matrix = noise * tf.exp(params["log_stddev"])
    np.testing.assert_allclose(
        mean + drawn, policies.state_dependent_action(mean, INPUTS, matrix), rtol=1e-4, atol=1e-5
    )


def test_sequential_networks_feed_each_other():
    network = networks.sequential(first=networks.dense(4), second=networks.dense(2))
    params = network.init(KEY, SPEC)
    expected = networks.dense(2).apply(params["second"], networks.dense(4).apply(params["first"], INPUTS))
    np.testing.assert_allclose(network.apply(params, INPUTS), expected, rtol=1e-5)
