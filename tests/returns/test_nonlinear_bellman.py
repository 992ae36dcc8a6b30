import functools

import numpy as np
import pytest

from rl_fn import returns, transforms
from tests.returns.support import joined
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, reference_case

rng = np.random.default_rng(0)
T, B, A = 4, 3, 3
R_T, V_T = rng.normal(size=(2, T, B)).astype(np.float32)
Q_TM1, Q_T = rng.normal(size=(2, T, B, A)).astype(np.float32)
PI_T = rng.dirichlet(np.ones(A), size=(T, B)).astype(np.float32)
A_TM1, A_T = rng.integers(A, size=(2, T, B))
DISCOUNT_T = np.where(rng.random((T, B)) < 0.2, 0.0, 0.9).astype(np.float32)
LAMBDA, C_T, MU_T = rng.uniform(0.1, 1, size=(3, T, B)).astype(np.float32)
TRUNCATED_T = rng.random((T, B)) < 0.25
PAIR = transforms.SIGNED_HYPERBOLIC_PAIR


def n_step_returns(r_t, discount_t, v_t, truncated_t):
    return returns.transformed_n_step_returns(PAIR, r_t, discount_t, v_t, 2, truncated_t)


def n_step_q_learning(q_tm1, a_tm1, q_t, a_t, r_t, discount_t, truncated_t):
    return returns.transformed_n_step_q_learning(q_tm1, a_tm1, q_t, a_t, r_t, discount_t, 2, PAIR, truncated_t)


def q_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, lambda_, truncated_t):
    return returns.transformed_q_lambda(q_tm1, a_tm1, r_t, discount_t, q_t, lambda_, PAIR, truncated_t)


def retrace(*args):
    *args, truncated_t = args
    return returns.transformed_retrace(*args, PAIR, truncated_t=truncated_t)


CASES = {
    "lambda_returns": (
        functools.partial(returns.transformed_lambda_returns, PAIR),
        (R_T, DISCOUNT_T, V_T, LAMBDA, TRUNCATED_T),
        [0, 1, 2, 3],
    ),
    "n_step_returns": (n_step_returns, (R_T, DISCOUNT_T, V_T, TRUNCATED_T), [0, 1, 2]),
    "off_policy_returns_from_action_values": (
        functools.partial(returns.transformed_off_policy_returns_from_action_values, PAIR),
        (Q_T, A_T, R_T, DISCOUNT_T, C_T, PI_T, TRUNCATED_T),
        [0, 2, 3, 4, 5],
    ),
    "q_lambda": (q_lambda, (Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T, LAMBDA, TRUNCATED_T), [0]),
    "retrace": (retrace, (Q_TM1, Q_T, A_TM1, A_T, R_T, DISCOUNT_T, PI_T, MU_T, LAMBDA, TRUNCATED_T), [0]),
    "n_step_q_learning": (n_step_q_learning, (Q_TM1, A_TM1, Q_T, A_T, R_T, DISCOUNT_T, TRUNCATED_T), [0]),
}


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


def squash(x):
    return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x


def unsquash(x):
    z = (np.sqrt(1 + 4e-3 * (1e-3 + 1 + np.abs(x))) - 1) / 2e-3
    return np.sign(x) * (z**2 - 1)


def by_definition(r_t, discount_t, v_t, q_t, c_t):
    """One column: G_t = r_t + discount_t (v_t + c_t (G_{t+1} - q_t))."""
    result, following = np.zeros_like(r_t), None
    for t in reversed(range(len(r_t))):
        bootstrap = v_t[t] if following is None else v_t[t] + c_t[t] * (following - q_t[t])
        following = result[t] = r_t[t] + discount_t[t] * bootstrap
    return result


def test_values_by_definition():
    r, d, lambda_, mu = (x[:, 0].astype(np.float64) for x in (R_T, DISCOUNT_T, LAMBDA, MU_T))
    q_tm1, q_t, pi = (x[:, 0].astype(np.float64) for x in (Q_TM1, Q_T, PI_T))
    a_tm1, a_t, rows = A_TM1[:, 0], A_T[:, 0], np.arange(T)

    best = unsquash(q_t.max(-1))
    expected = squash(by_definition(r, d, best, best, lambda_)) - q_tm1[rows, a_tm1]
    actual = returns.transformed_q_lambda(q_tm1, a_tm1, r, d, q_t, lambda_, PAIR)
    np.testing.assert_allclose(actual, expected, rtol=1e-10)

    values = unsquash(q_t)
    c = lambda_ * np.minimum(1, pi[rows, a_t] / (mu + 1e-8))
    expected = squash(by_definition(r, d, (pi * values).sum(-1), values[rows, a_t], c)) - q_tm1[rows, a_tm1]
    actual = returns.transformed_retrace(q_tm1, q_t, a_tm1, a_t, r, d, pi, mu, lambda_, PAIR)
    np.testing.assert_allclose(actual, expected, rtol=1e-10)

    v = unsquash(q_t[rows, a_t])
    two_steps = [r[t] + d[t] * (r[t + 1] + d[t + 1] * v[t + 1]) for t in range(T - 1)] + [r[-1] + d[-1] * v[-1]]
    actual = returns.transformed_n_step_q_learning(q_tm1, a_tm1, q_t, a_t, r, d, 2, PAIR)
    np.testing.assert_allclose(actual, squash(np.array(two_steps)) - q_tm1[rows, a_tm1], rtol=1e-10)


def test_targets_get_a_gradient_where_asked():
    def q_lambda(q_tm1, r_t, discount_t, q_t, lambda_):
        return returns.transformed_q_lambda(
            q_tm1, A_TM1, r_t, discount_t, q_t, lambda_, PAIR, stop_target_gradients=False
        )

    assert_gradients(q_lambda, (Q_TM1, R_T, DISCOUNT_T, Q_T, LAMBDA), [0, 1, 2, 3, 4])


def test_padding_has_no_error():
    mask = np.arange(T)[:, None] < np.array([T, 2, 1])
    error = returns.transformed_q_lambda(Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T, 0.9, PAIR, mask_t=mask)
    assert not np.any(error.numpy()[~mask])
    alone = returns.transformed_q_lambda(*(x[:2, 1] for x in (Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T)), 0.9, PAIR)
    np.testing.assert_allclose(error[:2, 1], alone, rtol=1e-6)


def test_bad_inputs_are_refused_by_name():
    args = (Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T[..., :2])
    assert_refuses(r"transformed_q_lambda: q_t has shape .*A = 3", returns.transformed_q_lambda, *args, 0.9)
    assert_refuses(r"n is 0", returns.transformed_n_step_returns, PAIR, R_T, DISCOUNT_T, V_T, 0)


def test_q_lambda_reference_case():
    x, expected = reference_case("q_lambda_td_0.75")
    args = [np.swapaxes(x[name], 0, 1) for name in ("q_tm1", "a_tm1", "r_t", "discount_t", "q_t")]
    np.testing.assert_allclose(np.transpose(returns.transformed_q_lambda(*args, 0.75)), expected, rtol=1e-12)


def test_retrace_reference_case():
    x, expected = reference_case("retrace_half_sq_0.9")
    q, q_target, a, r, discount, pi, mu = (
        np.swapaxes(x[name], 0, 1) for name in ("q", "q_target", "a", "r", "discount", "pi", "mu_a")
    )
    error = returns.transformed_retrace(
        q[:-1], q_target[1:], a[:-1], a[1:], r[:-1], discount[:-1], pi[1:], mu[1:], x["lambda_"]
    )
    np.testing.assert_allclose(np.transpose(0.5 * error**2), expected, rtol=1e-10)
