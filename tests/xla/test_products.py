import numpy as np
import pytest
import tensorflow as tf

from rl_fn import networks, random
from rl_fn._src.networks.world_model import block_dense
from rl_fn._src.xla.products import affine, in_precision
from tests.support import assert_nests_close

RNG = np.random.default_rng(0)
EXAMPLES = 256


def value_and_gradients(inputs, kernel, bias, product=affine):
    with tf.GradientTape() as tape:
        tape.watch((inputs, kernel, bias))
        outputs = product(inputs, kernel, bias)
        total = tf.reduce_sum(tf.sin(outputs))
    return outputs, tape.gradient(total, (inputs, kernel, bias))


@pytest.mark.parametrize("columns", [1, 3, 8])  # narrow ones, and not
@pytest.mark.parametrize("shape", [[5], [6, 5], [2, 3, 5], [0, 5], [2000, 10]])
def test_affine_is_a_product_of_matrices_and_a_sum(shape, columns):
    args = [RNG.normal(size=size).astype(np.float32) for size in (shape, [shape[-1], columns], [columns])]
    plain = lambda inputs, kernel, bias: tf.tensordot(inputs, kernel, 1) + bias
    expected = value_and_gradients(*map(tf.constant, args), product=plain)
    found = tf.function(value_and_gradients, jit_compile=True)(*map(tf.constant, args))
    assert_nests_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [2, 8])
def test_affine_takes_batches_of_any_size(columns):
    kernel, bias = (tf.constant(RNG.normal(size=size), tf.float32) for size in ([3, columns], [columns]))
    specs = [tf.TensorSpec([7, None, 3]), tf.TensorSpec(kernel.shape), tf.TensorSpec(bias.shape)]
    traced = tf.function(value_and_gradients, input_signature=specs)
    for size in (1, 4):
        inputs = tf.constant(RNG.normal(size=[7, size, 3]), tf.float32)
        expected = value_and_gradients(inputs, kernel, bias)
        assert_nests_close(traced(inputs, kernel, bias), expected, rtol=1e-5, atol=1e-5)


NETWORKS = {
    "mlp": (lambda: networks.mlp([8, 2]), [5]),
    "convolution": (lambda: networks.convolution([4, 4], [3, 2], [1, 1]), [5, 5, 2]),
    "block_dense": (lambda: block_dense(8, 2), [4]),
    "gru": (lambda: unrolled(networks.gru(4)), [5]),
    "lstm": (lambda: unrolled(networks.lstm(4)), [5]),
    "noisy": (lambda: networks.noisy(networks.mlp([8, 2])), [5]),
    "ensemble": (lambda: networks.ensemble(networks.mlp([8, 2]), 3), [5]),
}


def unrolled(network):
    """A recurrent network as a plain one, over steps of one example each."""
    is_first = tf.zeros([EXAMPLES, 1], tf.bool)
    apply = lambda params, x: network.unroll(params, network.initial_state(1), x[:, tf.newaxis], is_first)[0]
    return networks.Network(network.init, apply)


def test_convolutions_in_loops_have_the_form_that_xla_is_fast_in():
    network = networks.convolution([4, 4], [4, 3], [2, 1])
    params, images = network.init(random.key(0), tf.TensorSpec([12, 12, 2])), tf.ones([3, 12, 12, 2])

    def body(count, params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            total = tf.reduce_sum(network.apply(params, images) ** 2)
        gradients = tape.gradient(total, params)
        return count + 1, tf.nest.map_structure(lambda leaf, gradient: leaf - gradient, params, gradients)

    loop = lambda params: tf.while_loop(lambda count, _: count < 3, body, (0, params))[1]
    compiled = tf.function(loop, jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(params)(stage="optimized_hlo")
    found = [line for line in text.splitlines() if " convolution(" in line]
    assert len(found) == 5  # two forwards, and of the first layer no gradient by its inputs
    assert all("dim_labels=b01f_01io->b01f" in line and "dilate" not in line for line in found)


def products_of(traced):
    """The dtypes of all products of matrices and convolutions in a traced function, those in its loops included."""
    definition = traced.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return [node.attr["T"].type for node in nodes if "MatMul" in node.op or "Conv2D" in node.op]


@pytest.mark.parametrize("name", NETWORKS)
def test_all_products_of_networks_and_their_gradients_can_be_in_bfloat16(name):
    make, shape = NETWORKS[name]
    network = make()
    params = network.init(random.key(0), tf.TensorSpec(shape))
    inputs = tf.constant(np.random.default_rng(1).normal(size=[EXAMPLES, *shape]), tf.float32)

    def outputs_and_gradients(params, inputs):
        with tf.GradientTape() as tape:
            tape.watch(params)
            outputs = network.apply(params, inputs)
            total = tf.reduce_sum(tf.sin(outputs))
        return outputs, tape.gradient(total, params, unconnected_gradients="zero")

    exact = tf.function(outputs_and_gradients, autograph=False)
    rounded = tf.function(in_precision(outputs_and_gradients, "bfloat16"), autograph=False)
    assert set(products_of(rounded.get_concrete_function(params, inputs))) == {tf.bfloat16.as_datatype_enum}
    assert tf.bfloat16.as_datatype_enum not in products_of(exact.get_concrete_function(params, inputs))
    found, expected = rounded(params, inputs), exact(params, inputs)
    assert {leaf.dtype for leaf in tf.nest.flatten(found)} == {tf.float32}
    for actual, wanted in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        # Of a whole leaf: a unit near zero that rounding switches on changes some gradients by more.
        assert np.linalg.norm(actual - wanted) <= 0.05 * np.linalg.norm(wanted)
    assert np.any(found[0] != expected[0])


def test_a_precision_ends_with_the_function_that_has_it():
    rows, kernel, bias = tf.ones([1, 2]) / 3, tf.ones([2, 8]), tf.zeros([8])

    def fails(*_):
        raise KeyError

    with pytest.raises(KeyError):
        in_precision(fails, "bfloat16")()
    rounded = in_precision(affine, "bfloat16")(rows, kernel, bias)
    np.testing.assert_allclose(rounded, 0.66796875)  # 2 x 0.333984375, a third in eight bits
    np.testing.assert_allclose(affine(rows, kernel, bias), 2 / 3, rtol=1e-7)
