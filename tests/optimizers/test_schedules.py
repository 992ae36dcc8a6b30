import itertools

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import optimizers
from rl_fn.optimizers import (
    constant_schedule,
    cosine_schedule,
    exponential_schedule,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    staircase,
)

KERAS = tf.keras.optimizers.schedules
WARMUP = join_schedules([linear_schedule(0.0, 1.0, 4), linear_schedule(1.0, 0.0, 10)], [4])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (constant_schedule(0.25), {-1: 0.25, 0: 0.25, 10**9: 0.25}),
        (linear_schedule(1.0, 0.0, 10), {-3: 1.0, 0: 1.0, 5: 0.5, 10: 0.0, 20: 0.0, 2**31 - 1: 0.0}),
        (linear_schedule(1.0, 0.5, 10, begin=10), {-1: 1.0, 0: 1.0, 10: 1.0, 15: 0.75, 20: 0.5, 30: 0.5}),
        (linear_schedule(0.0, 1.0, 2.5), {0: 0.0, 1: 0.4, 2: 0.8, 3: 1.0, 4: 1.0}),
        (polynomial_schedule(1.0, 0.0, 4, power=2.0), {-9: 1.0, 0: 1.0, 1: 0.5625, 2: 0.25, 4: 0.0, 99: 0.0}),
        (polynomial_schedule(0.0, 8.0, 2, power=3.0, begin=1), {0: 0.0, 1: 0.0, 2: 7.0, 3: 8.0, 4: 8.0}),
        (cosine_schedule(2.0, 10, final_fraction=0.1), {-5: 2.0, 0: 2.0, 5: 1.1, 10: 0.2, 99: 0.2}),
        (exponential_schedule(1.0, 0.5, 10), {-10: 1.0, 0: 1.0, 10: 0.5, 20: 0.25, 5: 0.5**0.5, 10**9: 0.0}),
        (piecewise_constant_schedule([10, 20], [3.0, 2.0, 1.0]), {-1: 3.0, 0: 3.0, 10: 3.0, 11: 2.0, 21: 1.0, 99: 1.0}),
        (WARMUP, {-1: 0.0, 0: 0.0, 1: 0.25, 4: 1.0, 9: 0.5, 14: 0.0, 99: 0.0}),
        (staircase(linear_schedule(1.0, 0.0, 4), 3), {-1: 1.0, 0: 1.0, 2: 1.0, 3: 0.75, 11: 0.25, 12: 0.0, 99: 0.0}),
        (staircase(exponential_schedule(1.0, 0.5, 1), 7), {0: 1.0, 6: 1.0, 7: 0.5, 20: 0.25, 21: 0.125}),
    ],
)
def test_each_has_its_values_and_holds_them_before_its_beginning_and_behind_its_end(schedule, expected):
    compiled = tf.function(schedule, jit_compile=True)
    for step, value in expected.items():
        for result in (compiled(tf.constant(step)), schedule(tf.constant(step)), schedule(step)):
            assert result.dtype == tf.float32
            np.testing.assert_allclose(result, value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (lambda steps: linear_schedule(1.0, 0.05, steps), 0.05),
        (lambda steps: polynomial_schedule(0.3, 0.1, steps, 3.0), 0.1),
        (lambda steps: cosine_schedule(0.3, steps, 0.5), 0.15),
        (lambda steps: linear_schedule(2.5e-4, 0.0, steps), 0.0),
    ],
)
@pytest.mark.parametrize("steps", [1, 3, 41, 10_007, 2**31 - 1])
def test_the_end_is_exact(make, last, steps):
    compiled = tf.function(make(steps), jit_compile=True)
    for step in {steps, min(steps + 1, 2**31 - 1), 2**31 - 1}:
        assert compiled(tf.constant(step)) == np.float32(last)
    if steps > 3:
        assert compiled(tf.constant(steps // 2)) != np.float32(last)


def test_it_never_turns_back_however_long_it_is():
    steps = 2**31
    fall = tf.function(linear_schedule(3e-4, 0.0, steps), jit_compile=True)
    near = [0, 1, 2**24, 2**24 + 1, 2**30 - 1, 2**30, *range(2**31 - 300, 2**31)]
    values = [float(fall(tf.constant(step))) for step in near]
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))
    assert 0 <= min(values) < max(values) == np.float32(3e-4)


def test_every_number_may_be_a_tensor_of_any_type():
    for dtype in (tf.float32, tf.float64):
        number = lambda value, dtype=dtype: tf.constant(value, dtype)
        for schedule, value in (
            (linear_schedule(number(1.0), number(0.5), number(8.0)), 0.75),
            (linear_schedule(1.0, number(0.5), tf.constant(8)), 0.75),
            (linear_schedule(number(1.0), 0.5, 4, begin=tf.constant(2)), 0.75),
            (polynomial_schedule(number(1.0), 0.0, number(8.0), number(2.0)), 0.25),
            (cosine_schedule(number(1.0), tf.constant(8), number(0.5)), 0.75),
            (exponential_schedule(number(1.0), number(0.25), number(8.0)), 0.5),
            (piecewise_constant_schedule([3], [number(1.0), number(0.5)]), 0.5),
            (staircase(linear_schedule(number(1.0), number(0.5), 4), tf.constant(2)), 0.75),
            (constant_schedule(number(0.5)), 0.5),
        ):
            result = tf.function(schedule, jit_compile=True)(tf.constant(4))
            assert result.dtype == tf.float32
            np.testing.assert_allclose(result, value, rtol=1e-6)


def test_each_copy_may_have_a_schedule_of_its_own():
    def value(args):
        initial, steps = args
        return linear_schedule(initial, 0.0, steps)(tf.constant(5))

    args = tf.constant([1.0, 2.0, 4.0]), tf.constant([10.0, 20.0, 4.0])
    copies = tf.function(lambda: tf.vectorized_map(value, args, fallback_to_while_loop=False), jit_compile=True)()
    np.testing.assert_allclose(copies, [0.5, 1.5, 0.0])


@pytest.mark.parametrize(
    ("ours", "keras"),
    [
        (cosine_schedule(0.3, 10, 0.1), KERAS.CosineDecay(0.3, 10, alpha=0.1)),
        (exponential_schedule(0.3, 0.7, 10), KERAS.ExponentialDecay(0.3, 10, 0.7)),
        (piecewise_constant_schedule([3, 7], [0.3, 0.2, 0.1]), KERAS.PiecewiseConstantDecay([3, 7], [0.3, 0.2, 0.1])),
        (polynomial_schedule(0.3, 0.1, 10, 2.0), KERAS.PolynomialDecay(0.3, 10, 0.1, power=2.0)),
        (linear_schedule(0.3, 0.1, 10), KERAS.PolynomialDecay(0.3, 10, 0.1)),
    ],
)
def test_they_agree_with_keras(ours, keras):
    for step in range(15):
        np.testing.assert_allclose(ours(tf.constant(step)), keras(step), rtol=1e-6)
        np.testing.assert_allclose(staircase(keras, 2)(tf.constant(step)), keras(step // 2), rtol=1e-6)


def test_a_rate_behind_its_end_stays_where_it_is():
    # A run that goes on twice as long as it was planned takes no step uphill.
    optimizer = optimizers.sgd(linear_schedule(1.0, 0.0, 3))
    state, taken = optimizer.init(tf.zeros(1)), []
    for _ in range(6):
        updates, state = optimizer.update(tf.ones(1), state)
        taken.append(float(updates[0]))
    np.testing.assert_allclose(taken, [-1.0, -2 / 3, -1 / 3, 0.0, 0.0, 0.0], atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_schedule(1.0, 0.0, 0), r"linear_schedule: steps is 0, expected a number in \(0, inf\)"),
        (lambda: linear_schedule(1.0, 0.0, 3, begin=-1), "linear_schedule: begin is -1"),
        (lambda: linear_schedule("1", 0.0, 3), "linear_schedule: initial is '1', expected a number or a scalar tensor"),
        (lambda: linear_schedule(1.0, tf.zeros(2), 3), r"linear_schedule: final is float32 \(2,\)"),
        (lambda: linear_schedule(1.0, float("nan"), 3), "linear_schedule: final is nan"),
        (lambda: polynomial_schedule(1.0, 0.0, 3, power=0.0), "polynomial_schedule: power is 0"),
        (lambda: cosine_schedule(1.0, -2), "cosine_schedule: steps is -2"),
        (lambda: cosine_schedule(1.0, 2, "half"), "cosine_schedule: final_fraction is 'half'"),
        (lambda: exponential_schedule(1.0, 0.0, 3), "exponential_schedule: decay_rate is 0"),
        (lambda: exponential_schedule(1.0, 0.5, 0), "exponential_schedule: steps is 0"),
        (lambda: piecewise_constant_schedule([3, 2], [1.0, 2.0, 3.0]), r"given boundaries \[3, 2\] and 3 values"),
        (lambda: piecewise_constant_schedule([3], [1.0]), r"given boundaries \[3\] and 1 values, expected increasing"),
        (lambda: join_schedules([constant_schedule(1.0)], [3]), r"join_schedules: given boundaries \[3\] and 1 sched"),
        (lambda: staircase(constant_schedule(1.0), 0), r"staircase: period is 0, expected a number in \[1, inf\)"),
        (lambda: staircase(constant_schedule(1.0), 2.5), "staircase: period is 2.5, expected a whole number"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
