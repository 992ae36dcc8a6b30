import numpy as np
import pytest
import tensorflow as tf

from rl_fn import returns
from tests.returns import definitions
from tests.returns.support import joined
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, reference_case

rng = np.random.default_rng(0)
T, B, A = 5, 3, 3
R_T, V_TM1, V_T, Q_T = (rng.normal(size=(T, B)).astype(np.float32) for _ in range(4))
Q_TA, LOGITS, OTHER_LOGITS = (rng.normal(size=(T, B, A)).astype(np.float32) for _ in range(3))
PI_T = (np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)).astype(np.float32)
A_T = rng.integers(A, size=(T, B))
DISCOUNT_T = np.where(rng.random((T, B)) < 0.2, 0.0, 0.9).astype(np.float32)
C_T, LAMBDA = rng.random((2, T, B)).astype(np.float32)
RHO = (2 * rng.random((T, B))).astype(np.float32)
TRUNCATED_T = rng.random((T, B)) < 0.25
TRUNCATED_T[1, 0] = True
MASK_T = np.arange(T)[:, None] < np.array([T, 3, 1])


STEPS = (V_TM1, V_T, R_T, DISCOUNT_T, RHO, LAMBDA, TRUNCATED_T)


def vtrace(*steps, stop=False):
    *steps, truncated_t = steps
    return returns.vtrace(*steps, 1.3, 0.8, truncated_t, stop_target_gradients=stop)


def leaky_vtrace(*steps, stop=False):
    *steps, lambda_, truncated_t = steps
    return returns.leaky_vtrace(*steps, 0.6, lambda_, 1.3, 0.8, truncated_t, stop_target_gradients=stop)


def corrected(*steps, stop=False):
    return returns.importance_corrected_td_errors(*steps, stop_target_gradients=stop)


CASES = {
    "importance_sampling_ratios": (returns.importance_sampling_ratios, (V_T, V_TM1), [0, 1]),
    "categorical_importance_sampling_ratios": (
        returns.categorical_importance_sampling_ratios,
        (LOGITS, OTHER_LOGITS, A_T),
        [0, 1],
    ),
    "off_policy_returns_from_q_and_v": (
        returns.off_policy_returns_from_q_and_v,
        (Q_T, V_T, R_T, DISCOUNT_T, C_T, TRUNCATED_T),
        [0, 1, 2, 3, 4],
    ),
    "off_policy_returns_from_action_values": (
        returns.off_policy_returns_from_action_values,
        (Q_TA, A_T, R_T, DISCOUNT_T, C_T, PI_T, TRUNCATED_T),
        [0, 2, 3, 4, 5],
    ),
    "importance_corrected_td_errors": (corrected, STEPS, [0, 1, 2, 3, 4, 5]),
    "vtrace": (vtrace, STEPS, [0, 1, 2, 3, 5]),
    "leaky_vtrace": (leaky_vtrace, STEPS, [0, 1, 2, 3, 5]),
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


@pytest.mark.parametrize("function", [vtrace, leaky_vtrace, corrected])
def test_only_the_prediction_gets_a_gradient_by_default(function):
    tensors = [tf.constant(x) for x in STEPS[:6]]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.add_n([tf.reduce_sum(x) for x in tf.nest.flatten(function(*tensors, TRUNCATED_T, stop=True))])
    gradients = tape.gradient(total, tensors)
    np.testing.assert_array_equal(gradients[0], -np.ones((T, B)))
    assert all(gradient is None or not np.any(gradient) for gradient in gradients[1:])


def in_float64(*arrays):
    return [x.astype(np.float64) if x.dtype == np.float32 else x for x in arrays]


@pytest.mark.parametrize("clips", [(1.0, 1.0), (0.7, 1.5), (3.0, 0.4), (np.inf, np.inf)])
def test_vtrace_follows_the_definition(clips):
    steps = in_float64(*STEPS)
    targets, advantages = definitions.vtrace(*steps[:6], *clips, TRUNCATED_T)
    actual = returns.vtrace(*steps[:6], *clips, TRUNCATED_T)
    np.testing.assert_allclose(actual.targets, targets, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual.errors, targets - steps[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual.advantages, advantages, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["vtrace_errors", "vtrace_errors_clip_rho3.7"])
def test_vtrace_errors_reference_case(name):
    x, expected = reference_case(name)
    actual = reference_vtrace(x, 3.7 if "3.7" in name else 1.0, 1.0)
    np.testing.assert_allclose(tf.transpose(actual.errors), expected, rtol=1e-10)


@pytest.mark.parametrize(("name", "clips"), [("clip1", (1.0, 1.0)), ("clip3.7_2.2", (3.7, 2.2))])
def test_vtrace_advantages_reference_case(name, clips):
    x, expected = reference_case(f"vtrace_pg_advantage_{name}")
    np.testing.assert_allclose(tf.transpose(reference_vtrace(x, *clips).advantages), expected, rtol=1e-10)


def reference_vtrace(x, *clips):
    rhos = returns.categorical_importance_sampling_ratios(x["target_logits"], x["behaviour_logits"], x["actions"])
    v_t = np.concatenate([x["v_tm1"][:, 1:], x["bootstrap"][:, None]], axis=1)
    steps = [x["v_tm1"].T, v_t.T, x["r_t"].T, x["discount_t"].T, tf.transpose(rhos)]
    return returns.vtrace(*steps, 1.0, *clips)


def test_vtrace_targets_are_returns_on_policy():
    v_tm1, r_t, discount_t = in_float64(V_TM1, R_T, DISCOUNT_T)
    v_t = np.concatenate([v_tm1[1:], np.float64(V_T[:1])])
    actual = returns.vtrace(v_tm1, v_t, r_t, discount_t, np.ones((T, B)))
    expected = returns.discounted_returns(r_t, discount_t, v_t)
    np.testing.assert_allclose(actual.targets, expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(actual.targets, returns.n_step_returns(r_t, discount_t, v_t, T), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(actual.advantages, expected - v_tm1, rtol=1e-13, atol=1e-14)


def test_vtrace_without_trace_is_one_step():
    actual = returns.vtrace(V_TM1, V_T, R_T, DISCOUNT_T, np.ones_like(R_T), 0.0)
    np.testing.assert_allclose(actual.errors, R_T + DISCOUNT_T * V_T - V_TM1, rtol=1e-5, atol=1e-6)


def test_leaky_vtrace_between_its_ends():
    steps = in_float64(*STEPS)[:5]
    clipped = returns.leaky_vtrace(*steps, 1.0, 0.9, truncated_t=TRUNCATED_T)
    for actual, expected in zip(clipped, returns.vtrace(*steps, 0.9, truncated_t=TRUNCATED_T), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-13)
    free = returns.leaky_vtrace(*steps, 0.0, 0.9, truncated_t=TRUNCATED_T)
    expected = definitions.importance_corrected_td_errors(*steps, np.full((T, B), 0.9), TRUNCATED_T)
    # Without clips rho_t is in the trace of the step itself, so the errors are those of importance sampling.
    np.testing.assert_allclose(free.errors, expected, rtol=1e-12, atol=1e-12)


def test_off_policy_returns_follow_the_definition():
    q_t, v_t, r_t, discount_t, c_t, q_ta, pi_t = in_float64(Q_T, V_T, R_T, DISCOUNT_T, C_T, Q_TA, PI_T)
    expected = definitions.off_policy_returns(q_t, v_t, r_t, discount_t, c_t, TRUNCATED_T)
    actual = returns.off_policy_returns_from_q_and_v(q_t, v_t, r_t, discount_t, c_t, TRUNCATED_T)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    taken = np.take_along_axis(q_ta, A_T[..., None], -1)[..., 0]
    expected = definitions.off_policy_returns(taken, (pi_t * q_ta).sum(-1), r_t, discount_t, c_t, TRUNCATED_T)
    actual = returns.off_policy_returns_from_action_values(q_ta, A_T, r_t, discount_t, c_t, pi_t, TRUNCATED_T)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_importance_corrected_td_errors_follow_the_definition():
    steps = in_float64(*STEPS)
    expected = definitions.importance_corrected_td_errors(*steps)
    np.testing.assert_allclose(corrected(*steps), expected, rtol=1e-12, atol=1e-12)


def test_ratios_by_hand():
    np.testing.assert_allclose(returns.importance_sampling_ratios(np.log([0.5, 0.1]), np.log([0.25, 0.2])), [2, 0.5])
    ratios = returns.categorical_importance_sampling_ratios(np.log([[0.5, 0.5]]), np.log([[0.2, 0.8]]), [1])
    np.testing.assert_allclose(ratios, [0.5 / 0.8])


MASKED = {
    "discounted_returns": lambda x, **k: returns.discounted_returns(x["r"], x["d"], x["v"], **k),
    "lambda_returns": lambda x, **k: returns.lambda_returns(x["r"], x["d"], x["v"], x["l"], **k),
    "n_step_returns": lambda x, **k: returns.n_step_returns(x["r"], x["d"], x["v"], 2, **k),
    "generalized_advantage_estimation": lambda x, **k: returns.generalized_advantage_estimation(
        x["r"], x["d"], x["v0"], x["v"], x["l"], **k
    ),
    "off_policy_returns_from_q_and_v": lambda x, **k: returns.off_policy_returns_from_q_and_v(
        x["q"], x["v"], x["r"], x["d"], x["c"], **k
    ),
    "off_policy_returns_from_action_values": lambda x, **k: returns.off_policy_returns_from_action_values(
        x["qa"], x["a"], x["r"], x["d"], x["c"], x["pi"], **k
    ),
    "importance_corrected_td_errors": lambda x, **k: returns.importance_corrected_td_errors(
        x["v0"], x["v"], x["r"], x["d"], x["rho"], x["l"], **k
    ),
    "vtrace": lambda x, **k: returns.vtrace(x["v0"], x["v"], x["r"], x["d"], x["rho"], x["l"], **k),
}


@pytest.mark.parametrize("name", MASKED)
def test_padding_is_like_a_shorter_sequence(name):
    x = {"r": R_T, "d": DISCOUNT_T, "v": V_T, "v0": V_TM1, "l": LAMBDA, "q": Q_T, "c": C_T, "rho": RHO}
    x |= {"qa": Q_TA, "a": A_T, "pi": PI_T}
    floats = [key for key in x if key not in ("a", "l", "rho")]
    padding = lambda y: ~MASK_T.reshape(MASK_T.shape + (1,) * (y.ndim - 2))
    dirty = {key: tf.constant(np.where(padding(x[key]), np.nan, x[key]).astype(np.float32)) for key in floats}
    with tf.GradientTape() as tape:
        tape.watch(dirty)
        actual = MASKED[name](x | dirty, mask_t=MASK_T)
    for leaf in tf.nest.flatten(actual):
        assert not np.any(leaf.numpy()[~MASK_T])
    for column, length in enumerate(MASK_T.sum(axis=0)):
        alone = MASKED[name]({key: value[:length, column] for key, value in x.items()})
        for leaf, expected in zip(tf.nest.flatten(actual), tf.nest.flatten(alone), strict=True):
            np.testing.assert_allclose(leaf[:length, column], expected, rtol=1e-6, atol=1e-6)
    for gradient in tape.gradient(actual, dirty).values():
        assert gradient is None or np.all(np.isfinite(gradient))


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"vtrace: rho_tm1 has shape \(4, 3\).*T = 5", returns.vtrace, *STEPS[:4], RHO[:4])
    assert_refuses(r"rho_tm1 holds -1", returns.vtrace, *STEPS[:4], RHO - 3 - RHO + 2)
    assert_refuses(r"clip_rho_threshold holds 0", returns.vtrace, *STEPS[:5], 1.0, 0.0)
    assert_refuses(r"alpha_ holds 2", returns.leaky_vtrace, *STEPS[:5], 2.0)
    assert_refuses(r"a_t holds 3.*\[0, 3\)", returns.categorical_importance_sampling_ratios, LOGITS, LOGITS, A_T + 1)
    assert_refuses(r"mask_t is float32", returns.vtrace, *STEPS[:5], mask_t=R_T)
    action_values = (Q_TA, A_T, R_T, DISCOUNT_T, C_T, PI_T[..., :2])
    assert_refuses(r"pi_t has shape \(5, 3, 2\).*A = 3", returns.off_policy_returns_from_action_values, *action_values)
