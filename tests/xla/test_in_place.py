import numpy as np
import pytest
import tensorflow as tf

from rl_fn._src.xla import in_place

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.mark.parametrize("index", [3, [4], [[2]], [5, 0], [[1, 2], [3, 3]]])
def test_rows_are_those_at_the_index(index):
    taken = tf.function(in_place.take, jit_compile=True)(ROWS, tf.constant(index))
    np.testing.assert_array_equal(taken, ROWS[np.array(index)])


@pytest.mark.parametrize("index", [[4], [5, 0], [2, 2, 1]])
def test_rows_are_put_at_the_index(index):
    rows = np.float32([[10 * row, -row] for row in index])
    expected = ROWS.copy()
    expected[index] = rows
    np.testing.assert_array_equal(tf.function(in_place.put, jit_compile=True)(ROWS, tf.constant(index), rows), expected)


@pytest.mark.parametrize("index", [[7], [[3, 1], [0, 2]]])
def test_an_index_stays_what_it_is(index):
    index = tf.constant(index)
    np.testing.assert_array_equal(tf.function(in_place.once, jit_compile=True)(index), index)
    for read in (tf.constant(0), tf.constant(5), tf.constant(0.0), tf.constant(-1e9)):
        np.testing.assert_array_equal(tf.function(in_place.after, jit_compile=True)(index, read), index)


def test_what_is_read_and_not_written_is_no_reason_to_copy_all():
    def copies(after):
        def step(count, rows, seen):
            read = tf.reduce_sum(in_place.take(rows, tf.stack([count, count + 1])))
            index = after(tf.stack([count]), read)
            return count + 1, in_place.put(rows, index, tf.ones([1, 2])), seen + read

        loop = lambda rows: tf.while_loop(lambda count, *_: count < 9, step, (0, rows, 0.0))[1:]
        text = tf.function(loop, jit_compile=True).experimental_get_compiler_ir(tf.zeros([99, 2]))(
            stage="optimized_hlo"
        )
        return text.count("f32[99,2]{1,0} copy(")

    assert copies(in_place.after) < copies(lambda index, read: index)


@pytest.mark.parametrize(("width", "padded"), [(1, 1), (64, 64), (65, 80), (80, 80), (81, 96)])
def test_wide_rows_become_multiples_of_sixteen(width, padded):
    assert width + in_place.padding(width) == padded
