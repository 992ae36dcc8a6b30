import numpy as np
import pytest
import rlax

from rl_fn import losses
from tests.parity.support import assert_parity

WITH_TARGETS = {"stop_target_gradients": False}


def batch(rng: np.random.Generator) -> tuple[int, int]:
    return [(1, 5), (3, 1), (3, 2), (8, 5)][rng.integers(4)]


def q_args(rng: np.random.Generator) -> tuple:
    b, a = batch(rng)
    return rng.normal(size=(b, a)), rng.integers(a, size=b), rng.normal(size=b), rng.random(b), rng.normal(size=(b, a))


def td_args(rng: np.random.Generator) -> tuple:
    return tuple(rng.normal(size=(4, int(rng.choice([1, 3, 8, 20])))))


def double_q_args(rng: np.random.Generator) -> tuple:
    args = q_args(rng)
    return *args, rng.normal(size=args[4].shape)


def sarsa_args(rng: np.random.Generator) -> tuple:
    args = q_args(rng)
    return *args, rng.integers(args[4].shape[1], size=args[1].shape)


def expected_sarsa_args(rng: np.random.Generator) -> tuple:
    args = q_args(rng)
    return *args, rng.dirichlet(np.ones(args[4].shape[1]), len(args[4]))


def persistent_args(rng: np.random.Generator) -> tuple:
    return *q_args(rng), np.array(rng.random())


def qv_args(rng: np.random.Generator) -> tuple:
    args = q_args(rng)
    return *args[:4], rng.normal(size=args[2].shape)


def qv_max_args(rng: np.random.Generator) -> tuple:
    args = q_args(rng)
    return rng.normal(size=args[2].shape), *args[2:]


ONE_STEP = {
    "td_learning": (td_args, (0, 1, 2, 3)),
    "q_learning": (q_args, (0, 2, 3, 4)),
    "double_q_learning": (double_q_args, (0, 2, 3, 4, 5)),
    "sarsa": (sarsa_args, (0, 2, 3, 4)),
    "expected_sarsa": (expected_sarsa_args, (0, 2, 3, 4, 5)),
    "persistent_q_learning": (persistent_args, (0, 2, 3, 4, 5)),
    "qv_learning": (qv_args, (0, 2, 3, 4)),
    "qv_max": (qv_max_args, (0, 1, 2, 3)),
}


def sequence(rng: np.random.Generator) -> tuple[int, int, int]:
    return [(1, 3, 2), (4, 1, 3), (7, 8, 5)][rng.integers(3)]


def td_lambda_args(rng: np.random.Generator) -> tuple:
    t, b, _ = sequence(rng)
    v_tm1, r_t, discount_t, v_t = rng.normal(size=(4, t, b))
    return v_tm1, r_t, discount_t, v_t, rng.random((t, b))


def sarsa_lambda_args(rng: np.random.Generator) -> tuple:
    q = q_lambda_args(rng)
    return *q[:5], rng.integers(q[0].shape[-1], size=q[1].shape), q[5]


def q_lambda_args(rng: np.random.Generator) -> tuple:
    t, b, a = sequence(rng)
    q_tm1, q_t = rng.normal(size=(2, t, b, a))
    r_t, discount_t, lambda_ = rng.normal(size=(t, b)), rng.random((t, b)), np.array(rng.random())
    return q_tm1, rng.integers(a, size=(t, b)), r_t, discount_t, q_t, lambda_


def retrace_args(rng: np.random.Generator) -> tuple:
    t, b, a = sequence(rng)
    q_tm1, q_t = rng.normal(size=(2, t, b, a))
    a_tm1, a_t = rng.integers(a, size=(2, t, b))
    pi_t, mu_t = rng.dirichlet(np.ones(a), (t, b)), rng.uniform(0.1, 1.0, (t, b))
    return q_tm1, q_t, a_tm1, a_t, rng.normal(size=(t, b)), rng.random((t, b)), pi_t, mu_t, np.array(rng.random())


def retrace_continuous_args(rng: np.random.Generator) -> tuple:
    t, b, _ = sequence(rng)
    q_tm1, q_t, v_t, r_t, log_rhos = rng.normal(size=(5, t, b))
    return q_tm1, q_t, v_t, r_t, rng.random((t, b)), log_rhos, rng.random((t, b))


def rlax_retrace_continuous(q_tm1, q_t, v_t, r_t, discount_t, log_rhos, lambda_, **kwargs):
    # There, the rows of actions taken in the successors end one step earlier.
    return rlax.retrace_continuous(q_tm1, q_t[:-1], v_t, r_t, discount_t, log_rhos[:-1], lambda_[:-1], **kwargs)


SEQUENCES = {
    "td_lambda": (rlax.td_lambda, td_lambda_args, (0, 1, 2, 3, 4), 1),
    "sarsa_lambda": (rlax.sarsa_lambda, sarsa_lambda_args, (0, 2, 3, 4, 6), None),
    "q_lambda": (rlax.q_lambda, q_lambda_args, (0, 2, 3, 4, 5), None),
    "retrace": (rlax.retrace, retrace_args, (0, 1, 4, 5, 6, 7, 8), None),
    "retrace_continuous": (rlax_retrace_continuous, retrace_continuous_args, (0, 1, 2, 3, 4, 5, 6), 1),
}


@pytest.mark.parametrize("name", ONE_STEP)
def test_parity(name):
    make_args, with_gradient = ONE_STEP[name]
    scalars = 1 if name == "persistent_q_learning" else 0
    for keywords, cases in (({}, 200), (WITH_TARGETS, 20)):
        ours = lambda *args, k=keywords: getattr(losses, name)(*args, **k)
        theirs = lambda *args, k=keywords: getattr(rlax, name)(*args, **k)
        arguments = len(make_args(np.random.default_rng(0))) - scalars
        axes = 0 if not scalars else (*(0,) * arguments, None)
        assert_parity(ours, theirs, make_args, with_gradient, batched_axes=axes, cases=cases)


@pytest.mark.parametrize("name", SEQUENCES)
def test_parity_of_sequences(name):
    theirs, make_args, with_gradient, lambda_axis = SEQUENCES[name]
    axes = (*(1,) * (len(make_args(np.random.default_rng(0))) - 1), lambda_axis)
    for keywords, cases in (({}, 200), (WITH_TARGETS, 20)):
        ours = lambda *args, k=keywords: getattr(losses, name)(*args, **k)
        reference = lambda *args, k=keywords: theirs(*args, **k)
        assert_parity(ours, reference, make_args, with_gradient, batched_axes=axes, cases=cases)
