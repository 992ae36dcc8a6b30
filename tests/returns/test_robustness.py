"""Extreme inputs: what comes out is what the definition gives, and no NaN that it does not have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_fn import returns
from tests.returns import definitions

COLUMNS = 50  # each example is a batch of this many sequences
EXTREMES = np.array([0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, -1e30, 1e-45, 3e38, np.inf, -np.inf])


def draw(rng, length, low, high):
    """Ordinary numbers with extreme ones among them; every other column has none."""
    ordinary = rng.uniform(low, high, size=(length, COLUMNS))
    extreme = np.clip(rng.choice(EXTREMES, size=ordinary.shape), low, None if high > 1 else high)
    rate = np.where(np.arange(COLUMNS) % 2, rng.uniform(0, 0.5), 0.0)
    return np.where(rng.random(ordinary.shape) < rate, extreme, ordinary)


def draw_unit(rng, length):
    """Discounts and lambdas, zeros and ones among them."""
    return rng.choice([0.0, 1.0, 0.99, 0.5, 1e-30], size=(length, COLUMNS))


def assert_as_defined(actual, expected):
    actual = np.asarray(actual)
    surplus = np.isnan(actual) & ~np.isnan(expected)
    assert not surplus.any(), "a NaN that the definition does not have"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite & ~np.isnan(expected)], expected[~finite & ~np.isnan(expected)])
    size = np.abs(expected[finite])
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-9, atol=1e-9 * np.max(size, initial=1.0))


examples = given(seed=st.integers(0, 2**32 - 1), length=st.sampled_from([1, 2, 5, 16]))


@settings(max_examples=25, deadline=None, derandomize=True)
@examples
def test_recurrence(seed, length):
    rng = np.random.default_rng(seed)
    x, decay = draw(rng, length, -10, 10), draw(rng, length, -2, 2)
    with np.errstate(all="ignore"):
        expected = definitions.recurrence(x, decay)
    assert_as_defined(returns.reverse_recurrence(x, decay), expected)


@settings(max_examples=25, deadline=None, derandomize=True)
@examples
def test_lambda_returns_and_advantages(seed, length):
    rng = np.random.default_rng(seed)
    r_t, v_t, v_tm1 = (draw(rng, length, -10, 10) for _ in range(3))
    discount_t, lambda_ = draw_unit(rng, length), draw_unit(rng, length)
    truncated_t = rng.random(r_t.shape) < 0.2
    weight = np.where(definitions.last_rows(truncated_t), 0.0, lambda_)
    with np.errstate(all="ignore"):
        expected = definitions.recurrence(r_t + discount_t * (1 - weight) * v_t, discount_t * weight)
        advantages = definitions.recurrence(r_t + discount_t * v_t - v_tm1, discount_t * weight)
    assert_as_defined(returns.lambda_returns(r_t, discount_t, v_t, lambda_, truncated_t), expected)
    actual = returns.generalized_advantage_estimation(r_t, discount_t, v_tm1, v_t, lambda_, truncated_t)
    assert_as_defined(actual, advantages)


@settings(max_examples=25, deadline=None, derandomize=True)
@examples
def test_vtrace(seed, length):
    rng = np.random.default_rng(seed)
    r_t, v_t, v_tm1 = (draw(rng, length, -10, 10) for _ in range(3))
    rho = draw(rng, length, 0, 3)
    discount_t, lambda_ = draw_unit(rng, length), draw_unit(rng, length)
    truncated_t = rng.random(r_t.shape) < 0.2
    weight = np.where(definitions.last_rows(truncated_t), 0.0, lambda_)
    with np.errstate(all="ignore"):
        errors = np.minimum(rho, 1.5) * (r_t + discount_t * v_t - v_tm1)
        errors = definitions.recurrence(errors, discount_t * weight * np.minimum(rho, 1))
        following = np.concatenate([errors[1:], np.zeros_like(errors[:1])])
        bootstrap = v_t + np.where(weight == 0, 0.0, weight * following)
        advantages = np.minimum(rho, 1.2) * (r_t + discount_t * bootstrap - v_tm1)
    steps = (v_tm1, v_t, r_t, discount_t, rho, lambda_)
    actual = returns.vtrace(*steps, 1.5, 1.2, truncated_t, stop_target_gradients=False)
    assert_as_defined(actual.errors, errors)
    assert_as_defined(actual.advantages, advantages)


@settings(max_examples=25, deadline=None, derandomize=True)
@examples
def test_off_policy_returns(seed, length):
    rng = np.random.default_rng(seed)
    r_t, v_t, q_t = (draw(rng, length, -10, 10) for _ in range(3))
    c_t, discount_t = draw(rng, length, 0, 3), draw_unit(rng, length)
    truncated_t = rng.random(r_t.shape) < 0.2
    weight = np.where(definitions.last_rows(truncated_t), 0.0, c_t)
    with np.errstate(all="ignore"):
        x = r_t + discount_t * (v_t - np.where(weight == 0, 0.0, weight * q_t))
        expected = definitions.recurrence(x, discount_t * weight)
    assert_as_defined(returns.off_policy_returns_from_q_and_v(q_t, v_t, r_t, discount_t, c_t, truncated_t), expected)


def test_products_of_decays_may_overflow():
    # In float32 1e30 * 1e30 is infinite; no sum of the definition is.
    x, decay = np.float32([0.5, 1.0, 1e-30, 0.0]), np.float32([1e-3, 1e30, 1e30, 1e30])
    np.testing.assert_allclose(returns.reverse_recurrence(x, decay), [0.502, 2.0, 1e-30, 0.0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (3,), (3, 1, 2)])
def test_unusual_shapes(shape):
    zeros = np.zeros(shape, np.float32)
    assert returns.generalized_advantage_estimation(zeros, zeros, zeros, zeros, 0.9).shape == shape
    assert returns.vtrace(zeros, zeros, zeros, zeros, zeros).advantages.shape == shape
    assert not np.any(returns.lambda_returns(zeros, zeros, zeros, 0.5))
