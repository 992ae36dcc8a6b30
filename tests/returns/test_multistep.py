import numpy as np
import pytest
import tensorflow as tf

from rl_fn import returns
from rl_fn._src.returns import recurrence
from tests.returns.support import joined
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, reference_case

rng = np.random.default_rng(0)
T, B = 7, 4
R_T, V_TM1, V_T = (rng.normal(size=(T, B)).astype(np.float32) for _ in range(3))
DISCOUNT_T = np.where(rng.random((T, B)) < 0.2, 0.0, 0.9).astype(np.float32)
LAMBDA = rng.random((T, B)).astype(np.float32)
TRUNCATED_T = rng.random((T, B)) < 0.25

CASES = {
    "discounted_returns": (returns.discounted_returns, (R_T, DISCOUNT_T, V_T, TRUNCATED_T), [0, 1, 2]),
    "lambda_returns": (returns.lambda_returns, (R_T, DISCOUNT_T, V_T, LAMBDA, TRUNCATED_T), [0, 1, 2, 3]),
    "n_step_returns": (
        lambda r, d, v, t: returns.n_step_returns(r, d, v, 3, t),
        (R_T, DISCOUNT_T, V_T, TRUNCATED_T),
        [0, 1, 2],
    ),
    "generalized_advantage_estimation": (
        returns.generalized_advantage_estimation,
        (R_T, DISCOUNT_T, V_TM1, V_T, LAMBDA, TRUNCATED_T),
        [0, 1, 2, 3, 4],
    ),
}


def lambda_returns_by_definition(r_t, discount_t, v_t, lambda_, truncated_t):
    result, following = np.zeros_like(r_t), v_t[-1]
    for t in reversed(range(len(r_t))):
        continued = np.where(truncated_t[t], v_t[t], (1 - lambda_[t]) * v_t[t] + lambda_[t] * following)
        following = result[t] = r_t[t] + discount_t[t] * continued
    return result


def n_step_return_by_definition(r_t, discount_t, v_t, n, truncated_t):
    result = np.zeros_like(r_t)
    for t, b in np.ndindex(r_t.shape):
        weight = 1.0
        for k in range(t, min(t + n, len(r_t))):
            result[t, b] += weight * r_t[k, b]
            weight *= discount_t[k, b]
            if truncated_t[k, b]:
                break
        result[t, b] += weight * v_t[k, b]
    return result


def test_modes_agree():
    function, args = joined(CASES.values())
    assert_modes_agree(function, *args)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, args, with_gradient = CASES[name]
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, _ = CASES[name]
    assert_bfloat16(function, *args)


@pytest.mark.parametrize("lambda_", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("length", [1, 2, 5, 8, 13])
def test_lambda_returns_follow_the_definition(length, lambda_):
    r_t, v_t = rng.normal(size=(2, length, B))
    discount_t, truncated_t = rng.random((length, B)), rng.random((length, B)) < 0.3
    expected = lambda_returns_by_definition(r_t, discount_t, v_t, np.full((length, B), lambda_), truncated_t)
    np.testing.assert_allclose(returns.lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 20])
def test_n_step_returns_follow_the_definition(n):
    r_t, v_t = rng.normal(size=(2, T, B))
    discount_t = np.where(rng.random((T, B)) < 0.2, 0.0, 0.9)
    expected = n_step_return_by_definition(r_t, discount_t, v_t, n, TRUNCATED_T)
    np.testing.assert_allclose(returns.n_step_returns(r_t, discount_t, v_t, n, TRUNCATED_T), expected)


def test_lambda_returns_reference_case():
    x, expected = reference_case("lambda_returns_0.75")
    actual = returns.lambda_returns(x["r_t"].T, x["discount_t"].T, x["v_t"].T, x["lambda_"])
    np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-12)


def test_discounted_returns_reference_case():
    x, expected = reference_case("discounted_returns")
    v_t = np.tile(x["bootstrap"], (x["r_t"].shape[1], 1))
    actual = returns.discounted_returns(x["r_t"].T, x["discount_t"].T, v_t)
    np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_n_step_returns_reference_case(n):
    x, expected = reference_case(f"n_step_returns_n{n}")
    actual = returns.n_step_returns(x["r_t"].T, x["discount_t"].T, x["v_t"].T, n)
    np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-12)


@pytest.mark.parametrize("lambda_", ["1.0", "0.7", "0.4"])
def test_advantages_reference_case(lambda_):
    x, expected = reference_case(f"gae_lambda{lambda_}")
    values = x["values"].T
    actual = returns.generalized_advantage_estimation(
        x["r_t"].T, x["discount_t"].T, values[:-1], values[1:], float(lambda_)
    )
    np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-12)


def test_advantages_with_a_truncation_inside_the_sequence():
    x, expected = reference_case("gae_trunc_lambda0.95")
    sequences = [x[name].T for name in ("r_t", "discount_t", "v_tm1", "v_t")]
    actual = returns.generalized_advantage_estimation(*sequences, x["lambda_"], x["truncated"].astype(bool).T)
    np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-12)


def test_nothing_crosses_a_truncation():
    truncated = np.zeros((T, B), bool)
    truncated[3] = True
    discount_t = np.full_like(R_T, 0.9)
    changed = R_T + np.where(np.arange(T) > 3, 100.0, 0.0).astype(np.float32)[:, None]

    def all_returns(r_t):
        return [
            returns.discounted_returns(r_t, discount_t, V_T, truncated),
            returns.n_step_returns(r_t, discount_t, V_T, 5, truncated),
            returns.generalized_advantage_estimation(r_t, discount_t, V_TM1, V_T, 0.95, truncated),
        ]

    for actual, reference in zip(all_returns(changed), all_returns(R_T), strict=True):
        np.testing.assert_array_equal(actual[:4], reference[:4])
        assert np.all(actual[4:] != reference[4:])


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"lambda_returns: v_t has shape \(6, 4\).*T = 7", returns.lambda_returns, R_T, DISCOUNT_T, V_T[:6])
    assert_refuses(r"lambda_ holds 1.5.*\[0, 1\]", returns.lambda_returns, R_T, DISCOUNT_T, V_T, 1.5)
    assert_refuses(r"truncated_t is float32", returns.discounted_returns, R_T, DISCOUNT_T, V_T, V_T)
    assert_refuses(r"n is 0", returns.n_step_returns, R_T, DISCOUNT_T, V_T, 0)


def test_n_step_returns_with_lambda_follow_the_definition():
    expected = np.broadcast_to(V_T, (T, B)).astype(np.float64)
    for step in range(4):
        following = np.concatenate([expected[1:], V_T[-1:]]) if step else V_T
        mixed = (1 - LAMBDA) * V_T + LAMBDA * following
        mixed[-1] = V_T[-1]
        expected = R_T + DISCOUNT_T * np.where(TRUNCATED_T, V_T, mixed)
    actual = returns.n_step_returns(R_T, DISCOUNT_T, V_T, 4, TRUNCATED_T, lambda_=LAMBDA)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_second_derivatives_under_xla():
    @tf.function(jit_compile=True)
    def sum_of_squared_gradients(*args):
        with tf.GradientTape() as tape:
            tape.watch(args)
            total = tf.reduce_sum(tf.square(returns.lambda_returns(*args)))
        return tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in tape.gradient(total, args)])

    assert_gradients(
        sum_of_squared_gradients, (R_T[:4], DISCOUNT_T[:4], V_T[:4], LAMBDA[:4]), [0, 1, 2, 3], tolerance=1e-5
    )


def test_an_infinity_stays_in_its_episode():
    r_t = R_T.copy()
    r_t[5] = np.inf
    discount_t = np.full_like(R_T, 0.9)
    discount_t[3] = 0.0
    assert np.all(np.isfinite(returns.discounted_returns(r_t, discount_t, V_T)[:4]))
    assert np.all(np.isfinite(returns.generalized_advantage_estimation(r_t, discount_t, V_TM1, V_T, 0.9)[:4]))


def test_wide_rows_are_taken_two_at_a_time():
    width = 20  # wide enough, with an even length
    x = rng.normal(size=(4, width)).astype(np.float32)
    decay = rng.random((4, width)).astype(np.float32)
    assert_modes_agree(returns.reverse_recurrence, x, decay)
    narrow = [returns.reverse_recurrence(x[:, i], decay[:, i]) for i in range(width)]
    np.testing.assert_allclose(returns.reverse_recurrence(x, decay), np.stack(narrow, axis=1), rtol=1e-6)
    assert_gradients(returns.reverse_recurrence, (x, decay), [0, 1])


@pytest.mark.parametrize("unused", [np.nan, np.inf])
def test_a_value_that_is_not_used_gets_into_no_return(unused):
    np.testing.assert_allclose(returns.discounted_returns([1.0, 1.0], [0.9, 0.9], [unused, 2.0]), [3.52, 2.8])
    np.testing.assert_allclose(returns.lambda_returns([1.0, 1.0], [0.0, 0.9], [unused, 2.0], 0.5), [1.0, 2.8])
    np.testing.assert_allclose(returns.n_step_returns([1.0, 1.0], [0.0, 0.9], [unused, 2.0], 1), [1.0, 2.8])
    found = returns.generalized_advantage_estimation([1.0, 1.0], [0.0, 0.9], [0.0, 0.0], [unused, 2.0], 0.5)
    np.testing.assert_allclose(found, [1.0, 2.8])


@pytest.mark.parametrize("n", [0, 2.0, "2", True])
def test_a_number_of_steps_that_is_none_is_refused(n):
    with pytest.raises(ValueError, match=f"n_step_returns: n is {n!r}, expected an integer from 1"):
        returns.n_step_returns([1.0], [0.9], [2.0], n)


def test_forward_differentiation_is_refused_where_it_would_come_to_nothing():
    x = tf.ones([4, 2])
    with tf.autodiff.ForwardAccumulator(x, x), pytest.raises(NotImplementedError, match="differentiated backwards"):
        recurrence.solve_backwards(lambda *terms: terms, x, 0.9 * x)
