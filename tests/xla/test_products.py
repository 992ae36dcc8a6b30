import numpy as np
import pytest
import tensorflow as tf

from rl_fn._src.xla.products import affine
from tests.support import assert_nests_close

RNG = np.random.default_rng(0)


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
