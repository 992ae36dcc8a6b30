"""Loops vectorised over copies give what each copy gives alone, and stay plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random
from rl_fn._src.scan import scan
from rl_fn._src.xla.copies import vectorized_map


def nested(x):
    """A loop in a loop; the total and the rows begin as what all copies share."""

    def outer(total, row):
        inner, _ = scan(lambda carry, value: (carry * tf.sin(value), None), tf.constant(1.0), row)
        return total + inner, (inner, tf.constant(3))

    total, (rows, threes) = scan(outer, tf.constant(0.0), x)
    return total, rows, threes


def untied(x):
    """A TensorFlow loop of a value that all copies share until the first step, and of one that they always do."""

    def body(count, value, shared):
        return count + 1, value + x[count], shared * 2

    return tf.while_loop(lambda count, *_: count < 3, body, (tf.constant(0), tf.constant(1.0), tf.constant(1.0)))


def swapped(x):
    """What was per copy at the start is shared after a step, and the other way round."""
    _, first, second = tf.while_loop(
        lambda count, *_: count < 3, lambda count, a, b: (count + 1, b, a), (tf.constant(0), x[0], tf.constant(5.0))
    )
    return first, second


def as_long_as_it_takes(x):
    """A loop that each copy leaves after a number of steps of its own."""
    return tf.while_loop(
        lambda value, steps: value < 10.0, lambda value, steps: (value * 2, steps + 1), (1 + tf.abs(x[0]), 0)
    )


# TensorFlow parts copies that leave a loop from those that stay, which XLA cannot.
CASES = [(nested, False), (nested, True), (untied, False), (untied, True), (swapped, False), (swapped, True)]


@pytest.mark.parametrize(("function", "jit_compile"), [*CASES, (as_long_as_it_takes, False)])
def test_copies_are_what_they_are_alone(function, jit_compile):
    copies = random.normal(random.key(0), [5, 3, 4]) if function is nested else random.normal(random.key(0), [5, 3])
    together = tf.function(lambda x: vectorized_map(function, x), jit_compile=jit_compile, autograph=False)(copies)
    for index in range(5):
        alone = tf.function(function, autograph=False)(copies[index])
        for ours, expected in zip(tf.nest.flatten(together), tf.nest.flatten(alone), strict=True):
            np.testing.assert_allclose(ours[index], expected, rtol=1e-5)


def test_a_loop_over_copies_is_a_plain_loop():
    compiled = tf.function(lambda x: vectorized_map(nested, x), jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(tf.zeros([5, 30, 40]))(stage="optimized_hlo")
    loops = [line for line in text.splitlines() if " while(" in line]
    assert len(loops) == 2
    assert all('"known_trip_count"' in loop for loop in loops)
    assert " conditional(" not in text


def refuse(x):
    raise ValueError("refused")


def test_the_conversion_is_put_back():
    before = tf.vectorized_map(untied, tf.ones([2, 3]))[1]
    with pytest.raises(ValueError, match="refused"):
        vectorized_map(refuse, tf.ones(2))
    np.testing.assert_allclose(tf.vectorized_map(untied, tf.ones([2, 3]))[1], before)
