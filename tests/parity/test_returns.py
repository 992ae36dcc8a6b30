import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from rl_fn import returns
from tests.parity.support import assert_parity
from tests.returns import definitions


def sizes(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([1, 3, 8])), int(rng.choice([1, 4]))


def discounts(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    return np.where(rng.random(shape) < 0.2, 0.0, rng.random(shape))


def value_args(rng):
    shape = sizes(rng)
    return rng.normal(size=shape), discounts(rng, shape), rng.normal(size=shape), rng.random(shape)


def vtrace_args(rng):
    """The values of successors are those of the next rows, as rlax has it."""
    length, batch = sizes(rng)
    v = rng.normal(size=(length + 1, batch))
    shape = (length, batch)
    return v[:-1], v[1:], rng.normal(size=shape), discounts(rng, shape), 2 * rng.random(shape), rng.random(shape)


def off_policy_args(rng):
    shape = sizes(rng)
    q_t, v_t, r_t = rng.normal(size=(3, *shape))
    return q_t, v_t, r_t, discounts(rng, shape), rng.random(shape)


def action_value_args(rng):
    shape = sizes(rng)
    q_t, pi_t = rng.normal(size=(*shape, 3)), rng.dirichlet(np.ones(3), size=shape)
    return q_t, rng.integers(3, size=shape), rng.normal(size=shape), discounts(rng, shape), rng.random(shape), pi_t


def logits_args(rng):
    b, a = sizes(rng)
    return rng.normal(size=(b, a)), rng.normal(size=(b, a)), rng.integers(a, size=b)


def clipped(function, *extra):
    """rlax's outputs in our order; its advantages and estimates have gradients, so only values compare."""

    def call(v_tm1, v_t, r_t, discount_t, rho, lambda_):
        out = function(v_tm1, v_t, r_t, discount_t, rho, *extra, lambda_, 1.2, 0.8)
        return out.errors, out.errors + v_tm1, out.q_estimate, out.pg_advantage

    return call


def ours_leaky(v_tm1, v_t, r_t, discount_t, rho, lambda_):
    return tuple(returns.leaky_vtrace(v_tm1, v_t, r_t, discount_t, rho, 0.7, lambda_, 1.2, 0.8))


def ours_vtrace(*args):
    return tuple(returns.vtrace(*args, 1.2, 0.8))


def values_argument(function):
    """rlax takes the values of T + 1 states."""
    return lambda v_tm1, v_t, *args: function(jnp.concatenate([v_tm1, v_t[-1:]]), *args)


def q_and_v(q_t, v_t, r_t, discount_t, c_t):
    return rlax.general_off_policy_returns_from_q_and_v(q_t[:-1], v_t, r_t, discount_t, c_t[:-1])


CASES = {
    "discounted_returns": (
        lambda r, d, v, _: returns.discounted_returns(r, d, v),
        lambda r, d, v, _: rlax.discounted_returns(r, d, v),
        value_args,
        (0, 1, 2),
    ),
    "lambda_returns": (returns.lambda_returns, rlax.lambda_returns, value_args, (0, 1, 2, 3)),
    "n_step_returns": (
        lambda r, d, v, lambda_: returns.n_step_returns(r, d, v, 3, lambda_=lambda_),
        lambda r, d, v, lambda_: rlax.n_step_bootstrapped_returns(r, d, v, 3, lambda_),
        value_args,
        (0, 1, 2, 3),
    ),
    "generalized_advantage_estimation": (
        lambda v0, v, r, d, _, lambda_: returns.generalized_advantage_estimation(r, d, v0, v, lambda_),
        values_argument(lambda v, r, d, _, lambda_: rlax.truncated_generalized_advantage_estimation(r, d, lambda_, v)),
        vtrace_args,
        (2, 3, 5),
    ),
    "importance_corrected_td_errors": (
        lambda *args: returns.importance_corrected_td_errors(*args, stop_target_gradients=False),
        values_argument(
            lambda v, r, d, rho, lambda_: rlax._src.multistep.importance_corrected_td_errors(r, d, rho, lambda_, v)
        ),
        vtrace_args,
        (2, 3, 4, 5),
    ),
    "off_policy_returns_from_q_and_v": (
        returns.off_policy_returns_from_q_and_v,
        q_and_v,
        off_policy_args,
        (0, 1, 2, 3, 4),
    ),
    "off_policy_returns_from_action_values": (
        returns.off_policy_returns_from_action_values,
        rlax.general_off_policy_returns_from_action_values,
        action_value_args,
        (0, 2, 3, 4, 5),
    ),
    "vtrace": (ours_vtrace, clipped(rlax.vtrace_td_error_and_advantage), vtrace_args, ()),
    "vtrace_errors": (
        lambda *args: returns.vtrace(*args).errors,
        lambda *args: rlax.vtrace(*args),
        vtrace_args,
        (0,),
    ),
    "leaky_vtrace": (ours_leaky, clipped(rlax.leaky_vtrace_td_error_and_advantage, 0.7), vtrace_args, ()),
}


@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    ours, theirs, make_args, with_gradient = CASES[name]
    assert_parity(ours, theirs, make_args, with_gradient, batched_axes=(1,) * len(make_args(np.random.default_rng(0))))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_ratios():
    theirs = rlax.categorical_importance_sampling_ratios
    assert_parity(returns.categorical_importance_sampling_ratios, theirs, logits_args, (0, 1), batched_axes=0)


def test_vtrace_at_a_reset_inside_the_sequence():
    """Where an episode is cut, rlax's advantage takes the value of the next episode's first state."""
    rng = np.random.default_rng(0)
    v_tm1, v_t, r_t = rng.normal(size=(3, 6, 1))
    v_t[:-1] = v_tm1[1:]
    v_t[2] = 5.0  # the true successor of the cut step; the next row starts elsewhere
    discount_t, rho, lambda_ = np.full((6, 1), 0.9), 2 * rng.random((6, 1)), np.ones((6, 1))
    truncated_t = np.arange(6)[:, None] == 2
    targets, advantages = definitions.vtrace(v_tm1, v_t, r_t, discount_t, rho, lambda_, 1.0, 1.0, truncated_t)

    ours = returns.vtrace(v_tm1, v_t, r_t, discount_t, rho, truncated_t=truncated_t)
    np.testing.assert_allclose(ours.errors, targets - v_tm1, rtol=1e-12)
    np.testing.assert_allclose(ours.advantages, advantages, rtol=1e-12)

    # Cutting the trace by lambda is all that rlax offers, and it mends the errors only.
    cut_lambda = np.where(truncated_t, 0.0, 1.0)[:, 0]
    columns = (x[:, 0] for x in (v_tm1, v_t, r_t, discount_t, rho))
    theirs = rlax.vtrace_td_error_and_advantage(*columns, cut_lambda)
    np.testing.assert_allclose(theirs.errors, ours.errors[:, 0], rtol=1e-10)
    wrong = ~np.isclose(theirs.pg_advantage, advantages[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(wrong, truncated_t[:, 0])
    leak = min(1.0, rho[2, 0]) * 0.9 * (v_tm1[3, 0] - v_t[2, 0])
    np.testing.assert_allclose(theirs.pg_advantage[2] - advantages[2, 0], leak, rtol=1e-6)
