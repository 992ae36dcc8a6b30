import numpy as np
import pytest

from rl_fn import losses
from tests.losses import definitions
from tests.losses.definitions import Case, by_example
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, reference_case

rng = np.random.default_rng(0)
B, A, T = 5, 3, 4


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def probabilities(*shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


Q_TM1, Q_T, SELECTOR, Q_TARGET = (normal(B, A) for _ in range(4))
V_TM1, V_T, R_T = (normal(B) for _ in range(3))
A_TM1, A_T = np.array([0, 2, 1, 1, 0]), np.array([2, 1, 1, 0, 0])
DISCOUNT_T = np.array([0.9, 0.0, 1.0, 0.5, 0.99], np.float32)
PROBS = probabilities(B, A)
ONE_STEP = (Q_TM1, A_TM1, R_T, DISCOUNT_T)

SEQ_Q_TM1, SEQ_Q_T = normal(T, B, A), normal(T, B, A)
SEQ_V_TM1, SEQ_V_T, SEQ_R_T, LOG_RHOS = (normal(T, B) for _ in range(4))
SEQ_A_TM1, SEQ_A_T = rng.integers(A, size=(2, T, B))
# Half of the actions are greedy, so that Watkins' trace is cut in some rows only.
SEQ_A_T = np.where(rng.random((T, B)) < 0.5, np.argmax(SEQ_Q_T, -1), SEQ_A_T)
SEQ_DISCOUNT_T = np.where(rng.random((T, B)) < 0.2, 0.0, 0.9).astype(np.float32)
LAMBDA = rng.random((T, B)).astype(np.float32)
TRUNCATED_T = rng.random((T, B)) < 0.25
PI_T, MU_T = probabilities(T, B, A), rng.uniform(0.1, 1.0, (T, B)).astype(np.float32)
SEQUENCE = (SEQ_Q_TM1, SEQ_A_TM1, SEQ_R_T, SEQ_DISCOUNT_T, SEQ_Q_T)
RETRACE = (SEQ_Q_TM1, SEQ_Q_T, SEQ_A_TM1, SEQ_A_T, SEQ_R_T, SEQ_DISCOUNT_T, PI_T, MU_T, LAMBDA, TRUNCATED_T)
CONTINUOUS = (SEQ_V_TM1, SEQ_V_T, normal(T, B), SEQ_R_T, SEQ_DISCOUNT_T, LOG_RHOS, LAMBDA, TRUNCATED_T)


def case(name, args, with_gradient=(0,), axes=0, function=None, definition=None):
    return Case(function or getattr(losses, name), definition or getattr(definitions, name), args, axes, with_gradient)


CASES = {
    "td_learning": case("td_learning", (V_TM1, R_T, DISCOUNT_T, V_T)),
    "q_learning": case("q_learning", (*ONE_STEP, Q_T)),
    "double_q_learning": case("double_q_learning", (*ONE_STEP, Q_T, SELECTOR)),
    "sarsa": case("sarsa", (*ONE_STEP, Q_T, A_T)),
    "expected_sarsa": case("expected_sarsa", (*ONE_STEP, Q_T, PROBS)),
    "persistent_q_learning": case("persistent_q_learning", (*ONE_STEP, Q_T, np.float32(0.3)), axes=(0,) * 5 + (None,)),
    "munchausen_q_learning": case(
        "munchausen_q_learning",
        (*ONE_STEP, Q_T, Q_TARGET, np.float32(0.9), np.float32(0.5), np.float32(-1.0)),
        axes=(0,) * 6 + (None,) * 3,
    ),
    "qv_learning": case("qv_learning", (*ONE_STEP, V_T)),
    "qv_max": case("qv_max", (V_TM1, R_T, DISCOUNT_T, Q_T)),
    "td_lambda": case("td_lambda", (SEQ_V_TM1, SEQ_R_T, SEQ_DISCOUNT_T, SEQ_V_T, LAMBDA, TRUNCATED_T), axes=1),
    "sarsa_lambda": case("sarsa_lambda", (*SEQUENCE, SEQ_A_T, LAMBDA, TRUNCATED_T), axes=1),
    "q_lambda": case("q_lambda", (*SEQUENCE, LAMBDA, TRUNCATED_T), axes=1),
    "watkins_q_lambda": case(
        "q_lambda", (*SEQUENCE, LAMBDA, TRUNCATED_T, SEQ_A_T), axes=1, definition=definitions.watkins_q_lambda
    ),
    "retrace": case("retrace", RETRACE, axes=1),
    "retrace_continuous": case("retrace_continuous", CONTINUOUS, axes=1),
}
# The inputs that get a gradient once the target is not stopped.
THROUGH_TARGETS = {
    "td_learning": [0, 1, 2, 3],
    "q_learning": [0, 2, 3, 4],
    "double_q_learning": [0, 2, 3, 4],
    "sarsa": [0, 2, 3, 4],
    "expected_sarsa": [0, 2, 3, 4, 5],
    "persistent_q_learning": [0, 2, 3, 4, 5],
    "munchausen_q_learning": [0, 2, 3, 4, 5, 6, 7, 8],
    "qv_learning": [0, 2, 3, 4],
    "qv_max": [0, 1, 2, 3],
    "td_lambda": [0, 1, 2, 3, 4],
    "sarsa_lambda": [0, 2, 3, 4, 6],
    "q_lambda": [0, 2, 3, 4, 5],
    "watkins_q_lambda": [0, 2, 3, 4, 5],
    "retrace": [0, 1, 4, 5, 6, 7, 8],
    "retrace_continuous": [0, 1, 2, 3, 4, 5, 6],
}


@pytest.mark.parametrize("name", CASES)
def test_definition(name):
    function, definition, args, axes, _ = CASES[name]
    args = [arg.astype(np.float64) if arg.dtype == np.float32 else arg for arg in map(np.asarray, args)]
    np.testing.assert_allclose(function(*args), by_example(definition, args, axes), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    assert_modes_agree(CASES[name].function, *CASES[name].args)


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_the_prediction_and_not_the_target(name):
    assert_gradients(CASES[name].function, CASES[name].args, CASES[name].with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_the_target_where_asked(name):
    function, _, args, axes, _ = CASES[name]
    # Two examples are enough.
    axes = [axes] * len(args) if isinstance(axes, int) else axes
    few = [arg if axis is None else np.take(arg, [0, 1], axis) for arg, axis in zip(args, axes, strict=True)]
    assert_gradients(lambda *x: function(*x, stop_target_gradients=False), few, THROUGH_TARGETS[name])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    assert_bfloat16(CASES[name].function, *CASES[name].args)


def test_td_learning_by_hand():
    np.testing.assert_allclose(losses.td_learning([1.0, 2.0], [0.5, -1.0], [0.9, 0.0], [3.0, 4.0]), [2.2, -3.0])


def test_q_learning_by_hand():
    error = losses.q_learning([[1.0, 2.0], [3.0, 4.0]], [0, 1], [1.0, 1.0], [0.5, 0.0], [[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_allclose(error, [1 + 0.5 * 6 - 1, 1 - 4])


def test_double_q_learning_values_the_action_that_the_selector_prefers():
    error = losses.double_q_learning([1.0, 2.0], 0, 1.0, 0.5, [5.0, 6.0], [9.0, 8.0])
    np.testing.assert_allclose(error, 1 + 0.5 * 5 - 1)


def test_munchausen_q_learning_with_the_parameters_of_the_paper():
    args = (*ONE_STEP, Q_T, Q_TARGET)
    expected = by_example(lambda *x: definitions.munchausen_q_learning(*x, 0.9, 0.03, -1.0), args, 0)
    np.testing.assert_allclose(losses.munchausen_q_learning(*args), expected, rtol=1e-5)


def test_munchausen_q_learning_with_a_mask_and_a_tiny_temperature():
    q_t, q_target = np.float32([1.0, -np.inf, 1e30]), np.float32([0.0, -np.inf, 1.0])
    for action, bonus in ((1, -0.9), (2, 0.0)):
        error = losses.munchausen_q_learning([0.0, 0.0, 0.0], action, 0.5, 1e-30, q_t, q_target, temperature=1e-8)
        np.testing.assert_allclose(error, 0.5 + bonus + 1.0, rtol=1e-6)


def test_sequences_of_one_step_are_the_one_step_errors():
    first = lambda *xs: [x[:1] for x in xs]
    one_step = [x[0] for x in SEQUENCE]
    q_args, a_t = first(*SEQUENCE), SEQ_A_T[:1]
    np.testing.assert_allclose(losses.q_lambda(*q_args, 0.7)[0], losses.q_learning(*one_step), rtol=1e-6)
    np.testing.assert_allclose(losses.sarsa_lambda(*q_args, a_t, 0.7)[0], losses.sarsa(*one_step, a_t[0]), rtol=1e-6)
    np.testing.assert_allclose(
        losses.retrace(*first(*RETRACE))[0], losses.expected_sarsa(*one_step, PI_T[0]), rtol=1e-5, atol=1e-6
    )


def test_retrace_on_policy_with_one_action_is_td_lambda():
    q_tm1, q_t, ones = SEQ_V_TM1[..., None], SEQ_V_T[..., None], np.ones((T, B), np.float32)
    zeros = np.zeros((T, B), np.int32)
    actual = losses.retrace(
        q_tm1, q_t, zeros, zeros, SEQ_R_T, SEQ_DISCOUNT_T, ones[..., None], ones, LAMBDA, TRUNCATED_T
    )
    expected = losses.td_lambda(SEQ_V_TM1, SEQ_R_T, SEQ_DISCOUNT_T, SEQ_V_T, LAMBDA, TRUNCATED_T)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_nothing_crosses_a_truncation():
    truncated = np.zeros((T, B), bool)
    truncated[2] = True
    discount = np.full_like(SEQ_R_T, 0.9)
    changed = SEQ_R_T + np.where(np.arange(T) > 2, 100.0, 0.0).astype(np.float32)[:, None]

    def errors(r_t):
        q = (SEQ_Q_TM1, SEQ_A_TM1, r_t, discount, SEQ_Q_T)
        return [
            losses.td_lambda(SEQ_V_TM1, r_t, discount, SEQ_V_T, 0.9, truncated),
            losses.sarsa_lambda(*q, SEQ_A_T, 0.9, truncated),
            losses.q_lambda(*q, 0.9, truncated),
            losses.q_lambda(*q, 0.9, truncated, SEQ_A_T),
            losses.retrace(*RETRACE[:4], r_t, discount, PI_T, MU_T, 0.9, truncated),
            losses.retrace_continuous(*CONTINUOUS[:3], r_t, discount, LOG_RHOS, 0.9, truncated),
        ]

    for actual, reference in zip(errors(changed), errors(SEQ_R_T), strict=True):
        np.testing.assert_array_equal(actual[:3], reference[:3])
        assert np.all(actual[3:] != reference[3:])


def test_the_last_row_of_the_actions_has_no_effect():
    rows = np.arange(T)[:, None] == T - 1
    reference, changed = losses.retrace(*RETRACE), list(RETRACE)
    changed[3], changed[7] = np.where(rows, 0, SEQ_A_T), np.where(rows, 0, MU_T).astype(np.float32)
    np.testing.assert_array_equal(losses.retrace(*changed), reference)
    reference, changed = losses.retrace_continuous(*CONTINUOUS), list(CONTINUOUS)
    changed[1], changed[5] = (np.where(rows, np.float32(np.nan), CONTINUOUS[i]) for i in (1, 5))
    np.testing.assert_array_equal(losses.retrace_continuous(*changed), reference)


def test_retrace_where_a_probability_of_the_behaviour_has_underflowed():
    def error(pi, mu):
        zeros = np.zeros(2, np.int32)
        pi_t = [[pi, 1 - pi]] * 2
        return losses.retrace(
            [[0.0, 0.0]] * 2, [[1.0, 2.0]] * 2, zeros, zeros, [0.0, 3.0], [1.0, 1.0], pi_t, [mu] * 2, 1.0
        )[0]

    np.testing.assert_allclose(error(0.5, 0.0), 1.5 + 1.0 * (3 + 1.5 - 1), rtol=1e-6)  # c is 1
    np.testing.assert_allclose(error(0.0, 0.0), 2.0, rtol=1e-6)  # c is 0


def time_major(inputs, *names):
    return [np.swapaxes(inputs[name], 0, 1) for name in names]


def test_lambda_reference_cases():
    x, expected = reference_case("q_lambda_td_0.75")
    sequence = time_major(x, "q_tm1", "a_tm1", "r_t", "discount_t", "q_t")
    np.testing.assert_allclose(losses.q_lambda(*sequence, 0.75), expected.T, rtol=1e-12)
    x, expected = reference_case("sarsa_lambda_td_0.75")
    sequence = time_major(x, "q_tm1", "a_tm1", "r_t", "discount_t", "q_t", "a_t")
    np.testing.assert_allclose(losses.sarsa_lambda(*sequence, 0.75), expected.T, rtol=1e-12)
    x, expected = reference_case("td_lambda_td_0.75")
    v_tm1, r_t, discount_t = time_major(x, "v_tm1", "r_t", "discount_t")
    v_t = np.concatenate([v_tm1[1:], x["bootstrap"][None]])
    np.testing.assert_allclose(losses.td_lambda(v_tm1, r_t, discount_t, v_t, 0.75), expected.T, rtol=1e-12)


def test_retrace_reference_case():
    x, expected = reference_case("retrace_half_sq_0.9")
    q, q_target, a, r, discount, pi, mu = time_major(x, "q", "q_target", "a", "r", "discount", "pi", "mu_a")
    args = (q[:-1], q_target[1:], a[:-1], a[1:], r[:-1], discount[:-1], pi[1:], mu[1:], x["lambda_"])
    np.testing.assert_allclose(losses.l2_loss(losses.retrace(*args)), expected.T, rtol=1e-6)


def test_persistent_q_learning_reference_case():
    x, expected = reference_case("persistent_q_td_0.25")
    args = (x["q_tm1"].astype(float), x["a"], x["r"].astype(float), x["d"], x["q_t"].astype(float), 0.25)
    np.testing.assert_allclose(losses.persistent_q_learning(*args), expected, rtol=1e-12)


def test_float64_in_float64_out():
    error = losses.td_learning(np.float64([1.0]), 0.5, 0.9, np.float64([3.0]))
    assert error.dtype == np.float64
    np.testing.assert_allclose(error, [0.5 + 0.9 * 3.0 - 1.0], rtol=1e-15)


def test_bad_inputs_are_refused_by_name():
    good = {"q_tm1": Q_TM1, "a_tm1": A_TM1, "r_t": R_T, "discount_t": DISCOUNT_T, "q_t": Q_T}
    assert_refuses(r"q_learning: q_t has shape \(5, 2\).*A = 3", losses.q_learning, **{**good, "q_t": Q_T[:, :2]})
    assert_refuses(r"q_learning: r_t has shape \(4,\).*broadcast", losses.q_learning, **{**good, "r_t": R_T[:4]})
    assert_refuses(r"q_learning: a_tm1 is float32", losses.q_learning, **{**good, "a_tm1": R_T})
    assert_refuses(r"q_learning: a_tm1 holds 3.*\[0, 3\)", losses.q_learning, **{**good, "a_tm1": A_TM1 + 1})
    assert_refuses(r"r_t is float64", losses.q_learning, **{**good, "r_t": R_T.astype(np.float64)})
    assert_refuses(r"q_learning: q_t has shape \(\)", losses.q_learning, **{**good, "q_t": 1.0})
    assert_refuses(r"sarsa: a_t holds -1", losses.sarsa, **good, a_t=A_T - 1)
    assert_refuses(r"expected_sarsa: probs_a_t holds -", losses.expected_sarsa, **good, probs_a_t=-PROBS)
    assert_refuses(r"persistent_.*: action_gap_scale holds 2", losses.persistent_q_learning, *good.values(), 2.0)
    munchausen = (losses.munchausen_q_learning, *good.values(), Q_TARGET)
    assert_refuses(r"munchausen_.*: temperature holds 0", *munchausen, temperature=0.0)
    assert_refuses(r"munchausen_.*: clip_min holds 1", *munchausen, clip_min=1.0)
    assert_refuses(r"munchausen_.*: q_tm1_target has shape", *munchausen[:-1], Q_TARGET[:, :2])
    assert_refuses(r"qv_learning: v_t has shape \(4,\)", losses.qv_learning, *ONE_STEP, V_T[:4])
    assert_refuses(r"qv_max: q_t has shape \(\)", losses.qv_max, V_TM1, R_T, DISCOUNT_T, 1.0)


def test_bad_sequences_are_refused_by_name():
    refuses = lambda match, name, args: assert_refuses(match, getattr(losses, name), *args)
    refuses(
        r"td_lambda: v_t has shape \(3, 5\).*T = 4", "td_lambda", (SEQ_V_TM1, SEQ_R_T, SEQ_DISCOUNT_T, SEQ_V_T[:3], 0.9)
    )
    refuses(r"td_lambda: lambda_ holds 2", "td_lambda", (SEQ_V_TM1, SEQ_R_T, SEQ_DISCOUNT_T, SEQ_V_T, 2.0))
    refuses(r"sarsa_lambda: a_t holds 3", "sarsa_lambda", (*SEQUENCE, SEQ_A_T * 0 + 3, 0.9))
    refuses(r"q_lambda: truncated_t is float32", "q_lambda", (*SEQUENCE, 0.9, SEQ_R_T))
    refuses(r"retrace: mu_t holds -", "retrace", (*RETRACE[:7], -MU_T, 0.9))
    refuses(r"retrace: pi_t has shape \(4, 5\)", "retrace", (*RETRACE[:6], MU_T, MU_T, 0.9))
    refuses(r"retrace_continuous: log_rhos is int", "retrace_continuous", (*CONTINUOUS[:5], SEQ_A_T, 0.9))
