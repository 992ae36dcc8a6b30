import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random
from rl_fn._src.scan import scan
from tests.support import assert_modes_agree


def running_sums(start, xs):
    return scan(lambda total, x: (total + x, (total * 2, x)), start, xs)


def test_carries_and_stacks():
    total, (doubled, copied) = running_sums(tf.constant(1.0), tf.constant([2.0, 3.0, 4.0]))
    assert total == 10
    np.testing.assert_array_equal(doubled, [2, 6, 12])
    np.testing.assert_array_equal(copied, [2, 3, 4])


def test_reverse_keeps_each_row_at_the_index_of_its_input():
    total, (doubled, copied) = scan(
        lambda total, x: (total + x, (total * 2, x)), tf.constant(1.0), tf.constant([2.0, 3.0, 4.0]), reverse=True
    )
    assert total == 10
    np.testing.assert_array_equal(doubled, [16, 10, 2])
    np.testing.assert_array_equal(copied, [2, 3, 4])


def test_modes_agree():
    rng = np.random.default_rng(0)
    assert_modes_agree(running_sums, rng.normal(size=3).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32))


def test_nested_loops_vectorise_from_shared_starting_values():
    def function(seed):
        key = random.key(seed)

        def outer(carry, i):
            inner, _ = scan(lambda c, j: (c + random.uniform(random.fold_in(key, i * 10 + j)), None), 0.0, tf.range(3))
            return carry + inner, inner

        return scan(outer, 0.0, tf.range(4))

    assert_modes_agree(function, np.int32(3))


def test_length_without_inputs_and_results():
    total, nothing = scan(lambda total, _: (total * 2, None), tf.constant(1), length=5)
    assert total == 32
    assert nothing is None
    total, _ = tf.function(lambda n: scan(lambda c, _: (c * 2, None), tf.constant(1), length=n), jit_compile=True)(
        tf.constant(4)
    )
    assert total == 16


def test_all_dtypes_can_be_carried():
    start = {
        "flag": tf.constant(True),
        "key": random.key(1),
        "byte": tf.constant(7, tf.uint8),
        "half": tf.ones([2], tf.bfloat16),
    }
    carry, rows = scan(lambda c, _: (c, c), start, length=2)
    for name, leaf in start.items():
        assert carry[name].dtype == leaf.dtype
        np.testing.assert_array_equal(tf.cast(rows[name][1], tf.float64), tf.cast(leaf, tf.float64))


def recurrence(weight, xs, start, reverse):
    def step(carry, x):
        hidden, count = carry
        hidden = tf.tanh(tf.linalg.matvec(weight, hidden) + x)
        return (hidden, count + 1), (2 * hidden, count)

    (last, _), (rows, _) = scan(step, (start, tf.constant(0)), xs, reverse=reverse)
    return tf.reduce_sum(rows**2) + tf.reduce_sum(3 * last)


def unrolled(weight, xs, start, reverse):
    hidden, total = start, 0.0
    for x in reversed(tf.unstack(xs)) if reverse else tf.unstack(xs):
        hidden = tf.tanh(tf.linalg.matvec(weight, hidden) + x)
        total += tf.reduce_sum((2 * hidden) ** 2)
    return total + tf.reduce_sum(3 * hidden)


def gradients(function, reverse):
    def of(*args):
        with tf.GradientTape() as tape:
            tape.watch(args)
            value = function(*args, reverse)
        return tape.gradient(value, args)

    return of


@pytest.mark.parametrize(("reverse", "length"), [(False, 5), (True, 5), (False, 1)])
def test_gradients_flow_into_carry_inputs_and_what_is_closed_over(reverse, length):
    rng = np.random.default_rng(0)
    args = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3), (length, 3), (3,))]
    expected = gradients(unrolled, reverse)(*map(tf.constant, args))
    compiled = tf.function(gradients(recurrence, reverse), jit_compile=True)(*map(tf.constant, args))
    for actual, wanted in zip(compiled, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)
    assert_modes_agree(gradients(recurrence, reverse), *args, rtol=1e-4, atol=1e-5)


def test_gradients_flow_through_nested_loops():
    def product(x):
        def outer(carry, row):
            inner, _ = scan(lambda c, value: (c * value, None), tf.constant(1.0), row)
            return carry + inner, None

        return scan(outer, tf.constant(0.0), x)[0]

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = product(x)
        return tape.gradient(total, x)

    x = tf.constant([[2.0, 3.0], [5.0, 7.0]])
    np.testing.assert_allclose(tf.function(gradient, jit_compile=True)(x), [[3.0, 2.0], [7.0, 5.0]])


def loops_left(length):
    compiled = tf.function(lambda x: scan(lambda c, row: (c * row, c), x[0], x), jit_compile=True)
    text = compiled.experimental_get_compiler_ir(tf.zeros([length, 3]))(stage="optimized_hlo")
    return [line for line in text.splitlines() if " while(" in line]


def test_xla_knows_how_often_a_loop_runs_and_a_single_step_is_no_loop():
    assert loops_left(1) == []
    (loop,) = loops_left(1_000)
    assert '"known_trip_count":{"n":"1000"}' in loop


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="length is required"):
        scan(lambda c, _: (c, None), tf.constant(0))
    with pytest.raises(ValueError, match=r"leading axes of xs differ.*\(2,\), \(3,\)"):
        scan(lambda c, _: (c, None), tf.constant(0), (tf.zeros(2), tf.zeros(3)))
    for length in (1, 2):
        with pytest.raises(ValueError, match="turns a carry of int32"):
            tf.function(lambda n=length: scan(lambda c, _: (tf.cast(c, tf.float32), None), tf.constant(0), length=n))()


@pytest.mark.parametrize("length", [-1, 2.5, True, tf.constant(2.0)])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(ValueError, match=r"scan: length is .*expected an integer of at least 0"):
        scan(lambda carry, _: (carry, None), tf.zeros([]), length=length)
