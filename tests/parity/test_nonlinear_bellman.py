import functools

import numpy as np
import pytest
import rlax

from rl_fn import returns, transforms
from tests.parity.support import assert_parity
from tests.parity.test_returns import action_value_args, discounts, sizes, value_args

OURS, THEIRS = transforms.SIGNED_HYPERBOLIC_PAIR, rlax.SIGNED_HYPERBOLIC_PAIR


def q_args(rng):
    shape = sizes(rng)
    q_tm1, q_t = rng.normal(size=(2, *shape, 3))
    a_tm1, a_t = rng.integers(3, size=(2, *shape))
    pi_t, mu_t = rng.dirichlet(np.ones(3), size=shape), rng.uniform(0.1, 1, size=shape)
    return q_tm1, q_t, a_tm1, a_t, rng.normal(size=shape), discounts(rng, shape), pi_t, mu_t, rng.random(shape)


def ours_q_lambda(q_tm1, q_t, a_tm1, a_t, r, d, pi, mu, lambda_):
    return returns.transformed_q_lambda(q_tm1, a_tm1, r, d, q_t, lambda_, OURS)


def theirs_q_lambda(q_tm1, q_t, a_tm1, a_t, r, d, pi, mu, lambda_):
    return rlax.transformed_q_lambda(q_tm1, a_tm1, r, d, q_t, lambda_, tx_pair=THEIRS)


def ours_n_step(q_tm1, q_t, a_tm1, a_t, r, d, *_):
    return returns.transformed_n_step_q_learning(q_tm1, a_tm1, q_t, a_t, r, d, 2, OURS)


def theirs_n_step(q_tm1, q_t, a_tm1, a_t, r, d, *_):
    return rlax.transformed_n_step_q_learning(q_tm1, a_tm1, q_t, a_t, r, d, 2, tx_pair=THEIRS)


CASES = {
    "lambda_returns": (
        functools.partial(returns.transformed_lambda_returns, OURS),
        functools.partial(rlax.transformed_lambda_returns, THEIRS),
        value_args,
        (0, 1, 2, 3),
    ),
    "n_step_returns": (
        lambda r, d, v, _: returns.transformed_n_step_returns(OURS, r, d, v, 3),
        lambda r, d, v, _: rlax.transformed_n_step_returns(THEIRS, r, d, v, 3),
        value_args,
        (0, 1, 2),
    ),
    "off_policy_returns_from_action_values": (
        functools.partial(returns.transformed_off_policy_returns_from_action_values, OURS),
        functools.partial(rlax.transformed_general_off_policy_returns_from_action_values, THEIRS),
        action_value_args,
        (0, 2, 3, 4, 5),
    ),
    "q_lambda": (ours_q_lambda, theirs_q_lambda, q_args, (0, 1)),
    "retrace": (
        lambda *args: returns.transformed_retrace(*args, OURS),
        lambda *args: rlax.transformed_retrace(*args, tx_pair=THEIRS),
        q_args,
        (0, 1),
    ),
    "n_step_q_learning": (ours_n_step, theirs_n_step, q_args, (0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    ours, theirs, make_args, with_gradient = CASES[name]
    assert_parity(ours, theirs, make_args, with_gradient, batched_axes=(1,) * len(make_args(np.random.default_rng(0))))


def numbers(low, high):
    return lambda rng: (rng.uniform(low, high, size=int(rng.choice([1, 7]))),)


BINS = {"min_value": -40.0, "max_value": 40.0, "num_bins": 11}
TRANSFORMS = {
    "identity": (transforms.identity, rlax.identity, numbers(-50, 50)),
    "sigmoid": (transforms.sigmoid, rlax.sigmoid, numbers(-9, 9)),
    "logit": (transforms.logit, rlax.logit, numbers(0.01, 0.99)),
    "signed_logp1": (transforms.signed_logp1, rlax.signed_logp1, numbers(-50, 50)),
    "signed_expm1": (transforms.signed_expm1, rlax.signed_expm1, numbers(-5, 5)),
    "signed_hyperbolic": (transforms.signed_hyperbolic, rlax.signed_hyperbolic, numbers(-50, 50)),
    "signed_parabolic": (transforms.signed_parabolic, rlax.signed_parabolic, numbers(-50, 50)),
    "power": (lambda x: transforms.power(x, 0.4), lambda x: rlax.power(x, 0.4), numbers(-50, 50)),
    "hyperbolic_arcsin": (transforms.hyperbolic_arcsin, rlax.HYPERBOLIC_SIN_PAIR.apply, numbers(-50, 50)),
    "hyperbolic_sin": (transforms.hyperbolic_sin, rlax.HYPERBOLIC_SIN_PAIR.apply_inv, numbers(-5, 5)),
    "discount": (transforms.DISCOUNT_TRANSFORM_PAIR.apply, rlax.DISCOUNT_TRANSFORM_PAIR.apply, numbers(0, 0.99)),
    "horizon": (transforms.DISCOUNT_TRANSFORM_PAIR.apply_inv, rlax.DISCOUNT_TRANSFORM_PAIR.apply_inv, numbers(0, 5)),
    "transform_to_2hot": (
        functools.partial(transforms.transform_to_2hot, **BINS),
        functools.partial(rlax.transform_to_2hot, **BINS),
        numbers(-60, 60),
    ),
    "transform_from_2hot": (
        functools.partial(transforms.transform_from_2hot, **BINS),
        functools.partial(rlax.transform_from_2hot, **BINS),
        lambda rng: (rng.dirichlet(np.ones(11), size=4),),
    ),
}
PAIRS = {
    "muzero_pair": (transforms.muzero_pair, rlax.muzero_pair, -8.0, 8.0),
    "unbiased_transform_pair": (transforms.unbiased_transform_pair, rlax.unbiased_transform_pair, -8.0, 8.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    ours, theirs, make_args = TRANSFORMS[name]
    assert_parity(ours, theirs, make_args, () if "2hot" in name else (0,))


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    ours, theirs, low, high = PAIRS[name]
    ours, theirs = ours(low, high, 5, OURS), theirs(low, high, 5, THEIRS)
    assert_parity(ours.apply, theirs.apply, numbers(-60, 60), ())
    assert_parity(ours.apply_inv, theirs.apply_inv, lambda rng: (rng.dirichlet(np.ones(5), size=3),), ())
