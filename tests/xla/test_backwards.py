import numpy as np
import pytest
import tensorflow as tf

from rl_fn._src.xla.backwards import scan_backwards


@pytest.mark.parametrize("length", [0, 1, 6, 7])
@pytest.mark.parametrize("width", [3, 20])  # a row at a time, and two where the length is even
def test_each_row_comes_from_the_one_after_it(length, width):
    x = np.random.default_rng(0).normal(size=[length, width]).astype(np.float32)
    decay = np.arange(length, dtype=np.float32)[:, np.newaxis] / 10
    loop = lambda *inputs: scan_backwards(
        lambda y, x, decay, scale: scale * x + decay * y, tf.TensorShape([width]), tf.float32, *inputs
    )
    expected, y = [], np.zeros(width)
    for t in reversed(range(length)):
        y = 2 * x[t] + decay[t] * y
        expected.insert(0, y)
    for jit_compile in (False, True):
        found = tf.function(loop, jit_compile=jit_compile)(tf.constant(x), tf.constant(decay), tf.constant(2.0))
        np.testing.assert_allclose(found, np.reshape(expected, [length, width]), rtol=1e-5)
