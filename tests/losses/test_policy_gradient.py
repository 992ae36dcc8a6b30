import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import losses
from tests.support import (
    assert_bfloat16,
    assert_gradients,
    assert_modes_agree,
    assert_refuses,
    reference_case,
    together,
)

rng = np.random.default_rng(1)
B, A = 6, 4
LOGITS, Q, ACTION, DQDA = (rng.normal(size=(B, A)).astype(np.float32) for _ in range(4))
ADV, LOG_RATIO, V, V_OLD, TARGET = (rng.normal(size=B).astype(np.float32) for _ in range(5))
A_T = np.array([0, 3, 1, 1, 2, 0])
RATIO = np.array([0.3, 0.9, 1.1, 1.7, 2.9, 5.0], np.float32)
SIGNED = np.array([1.0, -0.5, 2.0, -1.0, 0.7, -2.0], np.float32)
KL = np.abs(V)


def softmax(logits):
    weights = [math.exp(x) for x in logits]
    return [w / sum(weights) for w in weights]


def per_example(definition):
    """The definition takes one example of each argument."""
    return lambda *args: np.array([definition(*example) for example in zip(*args, strict=True)])


def clipped_surrogate(ratio, adv, epsilon=0.2):
    return -min(ratio * adv, min(max(ratio, 1 - epsilon), 1 + epsilon) * adv)


def dual_clipped_surrogate(ratio, adv):
    objective = -clipped_surrogate(ratio, adv)
    return -(max(objective, 3.0 * adv) if adv < 0 else objective)


def clipped_value(v, v_old, target):
    clipped = v_old + min(max(v - v_old, -0.2), 0.2)
    return 0.5 * max((v - target) ** 2, (clipped - target) ** 2)


def discovered(log_ratio, adv, alpha=2.0, beta=0.6):
    ratio = math.exp(log_ratio)
    if adv >= 0:
        gain = (ratio - 1) * adv
        drift = max(gain - alpha * math.tanh(gain / alpha), 0)
    else:
        gain = math.log(ratio) * adv
        drift = max(gain - beta * math.tanh(gain / beta), 0)
    return -(ratio * adv - drift)


def clipped_dpg(action, dqda, largest=1.5):
    norm = math.sqrt(sum(d * d for d in dqda))
    return 0.5 * sum((d * min(1, largest / norm)) ** 2 for d in dqda)


def advantages(logits, q):
    baseline = sum(p * x for p, x in zip(softmax(logits), q, strict=True))
    return [x - baseline for x in q]


def qpg(logits, q):
    return -sum(p * x for p, x in zip(softmax(logits), advantages(logits, q), strict=True))


def rm(logits, q):
    return -sum(p * max(x, 0) for p, x in zip(softmax(logits), advantages(logits, q), strict=True))


# name: function, arguments, which of them get a gradient, definition
CASES = {
    "policy_gradient_loss": (
        losses.policy_gradient_loss,
        (LOGITS, A_T, ADV),
        [0],
        lambda logits, a, adv: -math.log(softmax(logits)[a]) * adv,
    ),
    "entropy_loss": (
        losses.entropy_loss,
        (LOGITS,),
        [0],
        lambda logits: sum(p * math.log(p) for p in softmax(logits)),
    ),
    "clipped_surrogate_pg_loss": (losses.clipped_surrogate_pg_loss, (RATIO, SIGNED), [0], clipped_surrogate),
    "dual_clipped_surrogate_pg_loss": (
        lambda ratio, adv: losses.clipped_surrogate_pg_loss(ratio, adv, 0.2, dual_clip=3.0),
        (RATIO, SIGNED),
        [0],
        dual_clipped_surrogate,
    ),
    "clipped_value_loss": (losses.clipped_value_loss, (V, V_OLD, TARGET), [0], clipped_value),
    "kl_penalised_surrogate_loss": (
        lambda ratio, adv, kl: losses.kl_penalised_surrogate_loss(ratio, adv, kl, 0.3),
        (RATIO, SIGNED, KL),
        [0, 2],
        lambda ratio, adv, kl: -(ratio * adv - 0.3 * kl),
    ),
    "discovered_policy_optimisation_loss": (
        losses.discovered_policy_optimisation_loss,
        (3 * LOG_RATIO, SIGNED),
        [0],
        discovered,
    ),
    "advantage_weights": (
        lambda adv: losses.advantage_weights(adv, 0.5, 3.0),
        (ADV,),
        [],
        lambda adv: min(math.exp(adv / 0.5), 3.0),
    ),
    "advantage_weighted_regression_loss": (
        lambda log_prob, adv: losses.advantage_weighted_regression_loss(log_prob, adv, 0.5, 3.0),
        (-KL, ADV),
        [0],
        lambda log_prob, adv: -log_prob * min(math.exp(adv / 0.5), 3.0),
    ),
    "clipped_dpg_loss": (lambda a, dqda: losses.dpg_loss(a, dqda, 1.5), (ACTION, DQDA), [0], clipped_dpg),
    "qpg_loss": (losses.qpg_loss, (LOGITS, Q), [0], qpg),
    "rm_loss": (losses.rm_loss, (LOGITS, Q), [0], rm),
    "rpg_loss": (
        losses.rpg_loss,
        (LOGITS, Q),
        [0],
        lambda logits, q: sum(max(x, 0) for x in advantages(logits, q)),
    ),
}
# The gradient of these is not that of the loss's value, as something in it that depends on the policy is a constant.
STOPPED = {"advantage_weights", "clipped_dpg_loss", "qpg_loss", "rm_loss"}


@pytest.mark.parametrize("name", CASES)
def test_values_follow_the_definition(name):
    function, args, _, definition = CASES[name]
    args = [arg.astype(np.float64) if arg.dtype == np.float32 else arg for arg in args]
    np.testing.assert_allclose(function(*args), per_example(definition)(*args), rtol=1e-12, atol=1e-15)


def test_modes_agree():
    assert_modes_agree(*together(CASES))


@pytest.mark.parametrize("name", sorted(CASES.keys() - STOPPED))
def test_gradients_reach_the_policy_and_not_the_advantage(name):
    function, args, with_gradient, _ = CASES[name]
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, *_ = CASES[name]
    assert_bfloat16(function, *args)


def gradients_of_sum(function, *args):
    tensors = [tf.constant(arg, tf.float64) for arg in args]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors))
    return tape.gradient(total, tensors)


def test_the_gradient_of_dpg_is_minus_that_of_the_action_value():
    gradient, none = gradients_of_sum(losses.dpg_loss, ACTION, DQDA)
    np.testing.assert_allclose(gradient, -DQDA, rtol=1e-6)
    assert none is None
    gradient, _ = gradients_of_sum(lambda a, d: losses.dpg_loss(a, d, 1.0), ACTION, DQDA)
    shortened = DQDA / np.maximum(np.linalg.norm(DQDA, axis=-1, keepdims=True), 1)
    np.testing.assert_allclose(gradient, -shortened, rtol=1e-6)
    gradient, _ = gradients_of_sum(lambda a, d: losses.dpg_loss(a, d, 1.0), ACTION, np.zeros_like(DQDA))
    np.testing.assert_array_equal(gradient, np.zeros_like(DQDA))


@pytest.mark.parametrize(("function", "weigh"), [(losses.qpg_loss, lambda x: x), (losses.rm_loss, np.maximum)])
def test_gradients_of_all_action_losses_treat_advantages_as_constants(function, weigh):
    logits, q = LOGITS.astype(np.float64), Q.astype(np.float64)
    probs = np.array([softmax(row) for row in logits])
    weights = np.array([advantages(*row) for row in zip(logits, q, strict=True)])
    weights = weights if weigh is not np.maximum else np.maximum(weights, 0)
    expected = -probs * (weights - np.sum(probs * weights, axis=-1, keepdims=True))
    gradient, none = gradients_of_sum(function, logits, q)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9)
    assert none is None


@pytest.mark.parametrize("function", [losses.qpg_loss, losses.rm_loss, losses.rpg_loss])
def test_gradients_flow_through_advantages_where_asked(function):
    with_gradient = [0, 1] if function is losses.rpg_loss else [0]
    assert_gradients(lambda *args: function(*args, stop_target_gradients=False), (LOGITS, Q), with_gradient)


def test_dpg_gradient_flows_to_the_action_value_where_asked():
    assert_gradients(lambda *args: losses.dpg_loss(*args, 1.5, stop_target_gradients=False), (ACTION, DQDA), [1])


def test_advantage_weights_get_no_gradient():
    (gradient,) = gradients_of_sum(losses.advantage_weights, ADV)
    assert gradient is None


def test_policy_gradient_reference_case():
    x, expected = reference_case("policy_gradient_loss")
    actual = losses.policy_gradient_loss(x["logits"], x["actions"], x["adv"]) * x["w"]
    np.testing.assert_allclose(tf.reduce_mean(actual, axis=-1), expected, rtol=1e-12)


def test_entropy_reference_case():
    x, expected = reference_case("entropy_loss")
    actual = tf.reduce_mean(losses.entropy_loss(x["logits"]) * x["w"], axis=-1)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_clipped_surrogate_reference_case():
    x, expected = reference_case("ppo_clip_0.2")
    new, old = (losses.batched_index(tf.nn.log_softmax(x[name]), x["actions"]) for name in ("logits", "old_logits"))
    actual = losses.clipped_surrogate_pg_loss(tf.exp(new - old)[tf.newaxis], x["adv"], 0.2)
    np.testing.assert_allclose(tf.reduce_mean(actual, axis=-1), expected, rtol=1e-12)


def test_within_the_clip_range_rounding_does_not_bring_the_old_value_in():
    v_old, v_t = tf.constant(np.random.default_rng(0).uniform(-0.1, 0.1, size=(2, 1_000)).astype(np.float32))
    target = tf.constant(np.random.default_rng(1).normal(size=1_000).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(v_t)
        loss = losses.clipped_value_loss(v_t, v_old, target)
    np.testing.assert_array_equal(loss, 0.5 * tf.square(v_t - target))
    np.testing.assert_array_equal(tape.gradient(loss, v_t), v_t - target)


def test_entropy_of_impossible_actions_and_of_certainty():
    np.testing.assert_allclose(losses.entropy_loss([[0.0, -np.inf, 0.0], [9.0, -np.inf, -np.inf]]), [-math.log(2), 0])


def test_kl_coefficient_adapts_outside_a_band_around_the_target():
    for kl, expected in [(0.001, 0.5), (0.0066, 0.5), (0.0067, 1.0), (0.0149, 1.0), (0.0151, 2.0), (1.0, 2.0)]:
        np.testing.assert_allclose(losses.adaptive_kl_coefficient(1.0, kl, 0.01), expected)
    for coefficient, kl, end in [(1.0, 0.0, 1e-6), (0.0, 1.0, 1e6), (1.0, 1.0, 1e6)]:
        for _ in range(200):
            coefficient = losses.adaptive_kl_coefficient(coefficient, kl, 0.01)
        np.testing.assert_allclose(coefficient, end)
    half = losses.adaptive_kl_coefficient(tf.constant(60_000.0, tf.float16), 1.0, 0.01)
    np.testing.assert_equal(np.asarray(half), np.float16(65_504.0))
    assert_modes_agree(losses.adaptive_kl_coefficient, np.float32(0.3), np.float32(0.02), np.float32(0.01))
    assert_bfloat16(losses.adaptive_kl_coefficient, np.float32(0.3), np.float32(0.05), np.float32(0.01))


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"clipped_surrogate_pg_loss: dual_clip holds 1", losses.clipped_surrogate_pg_loss, V, V, 0.2, 1.0)
    assert_refuses(r"clipped_surrogate_pg_loss: epsilon holds -1", losses.clipped_surrogate_pg_loss, V, V, -1.0)
    assert_refuses(r"policy_gradient_loss: a_t holds 4.*\[0, 4\)", losses.policy_gradient_loss, LOGITS, A_T + 1, ADV)
    assert_refuses(r"clipped_value_loss: target_t.*broadcast", losses.clipped_value_loss, V, V, TARGET[:4])
    assert_refuses(r"kl_penalised_surrogate_loss: kl_t is int", losses.kl_penalised_surrogate_loss, V, V, A_T, 1.0)
    assert_refuses(r"target_kl holds 0", losses.adaptive_kl_coefficient, 1.0, 0.1, 0.0)
    assert_refuses(r"alpha holds 0", losses.discovered_policy_optimisation_loss, V, V, 0.0)
    assert_refuses(r"temperature holds 0", losses.advantage_weights, V, 0.0)
    assert_refuses(r"temperature holds -1", losses.advantage_weighted_regression_loss, V, V, -1.0)
    assert_refuses(r"entropy_loss: logits_t has shape \(\)", losses.entropy_loss, 1.0)
    assert_refuses(r"dpg_loss: dqda_t has shape \(6, 3\).*A = 4", losses.dpg_loss, ACTION, DQDA[:, :3])
    for function in (losses.qpg_loss, losses.rm_loss, losses.rpg_loss):
        assert_refuses(r"q_t has shape \(6, 3\).*A = 4", function, LOGITS, Q[:, :3])
