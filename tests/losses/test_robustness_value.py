"""Zeros, infinities and extreme magnitudes: no NaN where the definition has none, and no other value."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_fn import losses
from tests.losses import definitions
from tests.losses.definitions import by_example

ROWS, A, T, K = 50, 3, 4, 5
# Squares and products of these stay within the range of the type.
HUGE = {np.float32: 1e15, np.float64: 1e100}
ATOMS = np.array([-2.0, -0.75, 0.0, 1.0, 2.5])


def numbers(huge):
    corners = [0.0, -0.0, 1.0, -1.0, 1 / huge, -1 / huge, huge, -huge]
    return st.one_of(st.sampled_from(corners), st.floats(-3, 3), st.floats(-huge, huge))


@st.composite
def draws(draw, dtype):
    """A function that fills arrays from a few drawn numbers: a batch of rows in each example."""
    pool = draw(st.lists(numbers(HUGE[dtype]), min_size=8, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return functools.partial(fill, rng, dtype, pool)


def fill(rng, dtype, pool, kind, *shape):
    match kind:
        case "number":
            return rng.choice(pool, shape).astype(dtype)
        case "infinite":  # a tenth of each sign
            return rng.choice([*pool, -math.inf, math.inf], shape).astype(dtype)
        case "masked":
            masked = rng.choice([*pool, -math.inf, -math.inf], shape)
            masked[..., 0] = rng.choice(pool, shape[:-1])  # something is possible
            return masked.astype(dtype)
        case "unit":
            return rng.choice([0.0, 1.0, 0.5, 1e-30, *np.clip(pool, 0, 1)], shape).astype(dtype)
        case "probs":
            weights = rng.choice([0.0, 1.0, 1e-10], shape) * rng.random(shape)
            weights[..., 0] += weights.sum(-1) == 0
            return (weights / weights.sum(-1, keepdims=True)).astype(dtype)
        case "action":
            return rng.integers(A, size=shape)
        case "bool":
            return rng.random(shape) < 0.3


def check(function, definition, args, axes=0, power=1, same_infinities=True):
    """Compares with the definition in float64, relative to the largest input of the row to some power."""
    as_rows = lambda x: np.moveaxis(np.asarray(x, np.float64), int(axes == 1), 0).reshape(ROWS, -1)
    name = getattr(function, "__name__", "")
    with np.errstate(all="ignore"):
        actual, expected = as_rows(function(*args)), as_rows(by_example(definition, args, axes))
        finite = np.isfinite(actual) & np.isfinite(expected)
        error, size = (np.where(finite, np.abs(x), 0) for x in (actual - expected, expected))
    assert not np.any(np.isnan(actual) & ~np.isnan(expected)), name
    if same_infinities:
        infinite = np.isinf(expected)
        np.testing.assert_array_equal(actual[infinite], expected[infinite], err_msg=name)
    assert np.all(error <= 1e-4 * size + 1e-5 * scale_of_rows(args, axes) ** power), name


def scale_of_rows(args, axes):
    """The largest finite magnitude among the inputs of each row, at least 1, `[ROWS, 1]`."""
    axes = [axes] * len(args) if isinstance(axes, int) else axes
    scale = np.ones(ROWS)
    for arg, axis in zip(map(np.asarray, args), axes, strict=True):
        if arg.dtype.kind == "f":
            size = np.where(np.isfinite(arg), np.abs(arg), 0).astype(np.float64)
            rows = size.max() if axis is None else np.moveaxis(size, axis, 0).reshape(ROWS, -1).max(1)
            scale = np.maximum(scale, rows)
    return scale[:, None]


def examples(test):
    """Six batches of rows in each precision."""
    bounded = settings(max_examples=6, deadline=None, derandomize=True, database=None)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @bounded
    @given(data=st.data())
    def run(dtype, data):
        test(data.draw(draws(dtype)), dtype)

    run.__name__ = test.__name__
    return run


@examples
def test_one_step_errors(draw, dtype):
    q_tm1, q_t, selector = draw("number", ROWS, A), draw("infinite", ROWS, A), draw("infinite", ROWS, A)
    one_step = (q_tm1, draw("action", ROWS), draw("number", ROWS), draw("unit", ROWS))
    v_tm1, v_t = draw("number", ROWS), draw("infinite", ROWS)
    check(losses.td_learning, definitions.td_learning, (v_tm1, *one_step[2:], v_t))
    check(losses.q_learning, definitions.q_learning, (*one_step, q_t))
    check(losses.double_q_learning, definitions.double_q_learning, (*one_step, q_t, selector))
    check(losses.sarsa, definitions.sarsa, (*one_step, q_t, draw("action", ROWS)))
    check(losses.expected_sarsa, definitions.expected_sarsa, (*one_step, q_t, draw("probs", ROWS, A)))
    check(
        losses.persistent_q_learning,
        definitions.persistent_q_learning,
        (*one_step, q_t, draw("unit")),
        (0,) * 5 + (None,),
    )
    check(losses.qv_learning, definitions.qv_learning, (*one_step, v_t))
    check(losses.qv_max, definitions.qv_max, (v_tm1, *one_step[2:], q_t))
    soft = (*one_step, draw("masked", ROWS, A), draw("masked", ROWS, A), *np.array([0.9, 0.03, -1.0], dtype))
    check(losses.munchausen_q_learning, definitions.munchausen_q_learning, soft, (0,) * 6 + (None,) * 3)


@examples
def test_multi_step_errors(draw, dtype):
    q_tm1, q_t, v_tm1, v_t = (draw("number", T, ROWS, *last) for last in ([A], [A], [], []))
    a_tm1, a_t, r_t, discount_t = (draw(kind, T, ROWS) for kind in ("action", "action", "number", "unit"))
    traces = draw("unit", T, ROWS), draw("bool", T, ROWS)
    sequence = (q_tm1, a_tm1, r_t, discount_t, q_t)
    check(losses.td_lambda, definitions.td_lambda, (v_tm1, r_t, discount_t, v_t, *traces), 1)
    check(losses.sarsa_lambda, definitions.sarsa_lambda, (*sequence, a_t, *traces), 1)
    masked = (*sequence[:4], draw("masked", T, ROWS, A))
    check(losses.q_lambda, definitions.q_lambda, (*masked, *traces), 1)
    check(losses.q_lambda, definitions.watkins_q_lambda, (*masked, *traces, a_t), 1)
    pi_t, mu_t = draw("probs", T, ROWS, A), draw("unit", T, ROWS)
    check(losses.retrace, definitions.retrace, (q_tm1, q_t, a_tm1, a_t, r_t, discount_t, pi_t, mu_t, *traces), 1)
    continuous = (v_tm1, draw("number", T, ROWS), v_t, r_t, discount_t, draw("infinite", T, ROWS), *traces)
    check(losses.retrace_continuous, definitions.retrace_continuous, continuous, 1)


@examples
def test_categorical_losses(draw, dtype):
    atoms, r_t, discount_t = ATOMS.astype(dtype), draw("infinite", ROWS), draw("unit", ROWS)
    check(
        losses.categorical_l2_project,
        definitions.categorical_l2_project,
        (draw("infinite", ROWS, K), draw("probs", ROWS, K), atoms),
        (0, 0, None),
    )
    # A weight that rounds to zero makes the difference between a finite loss and an infinite one.
    compare = functools.partial(check, same_infinities=False)
    args = (atoms, draw("masked", ROWS, K), r_t, discount_t, atoms, draw("masked", ROWS, K))
    compare(losses.categorical_td_learning, definitions.categorical_td_learning, args, (None, 0, 0, 0, None, 0))
    logits_tm1, logits_t = draw("masked", ROWS, A, K), draw("masked", ROWS, A, K)
    args = (atoms, logits_tm1, draw("action", ROWS), r_t, discount_t, atoms, logits_t, draw("infinite", ROWS, A))
    axes = (None, 0, 0, 0, 0, None, 0, 0)
    compare(losses.categorical_double_q_learning, definitions.categorical_double_q_learning, args, axes)


@examples
def test_quantile_losses(draw, dtype):
    dist_tm1, dist_t, tau = draw("number", ROWS, K, A), draw("infinite", ROWS, K, A), draw("unit", ROWS, K)
    step = (draw("action", ROWS), draw("number", ROWS), draw("unit", ROWS))
    for kappa in np.array([0.0, 1.0], dtype):
        args = (draw("infinite", ROWS, K), tau, draw("infinite", ROWS, K), kappa)
        check(losses.quantile_regression_loss, definitions.quantile_regression_loss, args, (0,) * 3 + (None,))
    args = (dist_tm1, tau, *step, dist_t, dist_t, kappa)
    check(losses.quantile_q_learning, definitions.quantile_q_learning, args, (0,) * 7 + (None,))
    args = (dist_tm1, tau, *step, dist_t, draw("probs", ROWS, A), kappa)
    check(losses.quantile_expected_sarsa, definitions.quantile_expected_sarsa, args, (0,) * 7 + (None,))


@examples
def test_elementwise_losses(draw, dtype):
    x, y, p, label = (draw(kind, ROWS) for kind in ("infinite", "infinite", "unit", "unit"))
    check(losses.l2_loss, lambda x: 0.5 * x**2, (x,), power=2)
    check(losses.huber_loss, definitions.huber_loss, (x, np.array(0.7, dtype)), (0, None))
    check(losses.expectile_loss, definitions.expectile_loss, (x, y, draw("unit")), (0, 0, None), power=2)
    check(losses.likelihood, definitions.likelihood, (p, label))
    check(losses.log_loss, definitions.log_loss, (p, label))
    for sigma in np.array([1e-3, 0.3, 100.0], dtype):
        args = (draw("masked", ROWS, K), x, np.append(ATOMS, 4.0).astype(dtype), sigma)
        check(losses.hl_gauss_loss, definitions.hl_gauss_loss, args, (0, 0, None, None), same_infinities=False)
    values, weights = np.where(draw("bool", ROWS, K), np.nan, draw("number", ROWS, K)), draw("unit", ROWS, K)
    weights = np.where(np.isnan(values), 0, weights).astype(dtype)
    mean = lambda v, w: sum(v[w > 0] * w[w > 0]) / sum(w) if sum(w) else 0.0
    check(functools.partial(losses.masked_mean, axis=-1), mean, (values.astype(dtype), weights))
