import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from rl_fn import losses, policies, random
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, together

rng = np.random.default_rng(2)
B, A, N, M, S = 5, 3, 2, 4, 6
Q_TM1, Q_T, Q_SAMPLED, LOG_PROB_SAMPLED, LOGITS, ACTION = (
    rng.normal(size=(B, size)).astype(np.float32) for size in (N, M, S, S, A, A)
)
Q_TM1_ALL, Q_T_ALL = (rng.normal(size=(B, size, A)).astype(np.float32) for size in (N, M))
A_TM1 = np.array([0, 2, 1, 1, 0])
R_T, LOG_PROB, V_T, Q_TAKEN = (rng.normal(size=B).astype(np.float32) for _ in range(4))
DISCOUNT_T = np.array([0.9, 0.0, 1.0, 0.5, 0.99], np.float32)
ALPHA = np.array([0.1, 0.5, 1.0, 0.0, 2.0], np.float32)


def per_example(definition):
    return lambda *args: np.array([definition(*example) for example in zip(*args, strict=True)])


def log_softmax(logits):
    total = math.log(sum(math.exp(x) for x in logits))
    return [x - total for x in logits]


def soft_value(logits, q, alpha):
    """The expectation of min_n q(n, a) - alpha log pi(a)."""
    return sum(
        math.exp(log_p) * (min(q[n][a] for n in range(len(q))) - alpha * log_p)
        for a, log_p in enumerate(log_softmax(logits))
    )


def sac_critic(q_tm1, r, discount, q, log_prob, alpha):
    return [r + discount * (min(q) - alpha * log_prob) - x for x in q_tm1]


def categorical_sac_critic(q_tm1, a, r, discount, q, logits, alpha):
    return [r + discount * soft_value(logits, q, alpha) - row[a] for row in q_tm1]


def expectile(v, q):
    u = q - v
    return abs(0.8 - (u < 0)) * u * u


def sampled_cql(q_sampled, log_prob, q):
    return math.log(np.mean([math.exp(x - y) for x, y in zip(q_sampled, log_prob, strict=True)])) - q


# name: function, arguments, which of them get a gradient, definition
CASES = {
    "sac_actor_loss": (
        losses.sac_actor_loss,
        (LOG_PROB, V_T, ALPHA),
        [0, 1],
        lambda log_prob, q, alpha: alpha * log_prob - q,
    ),
    "sac_critic_error": (
        losses.sac_critic_error,
        (Q_TM1, R_T, DISCOUNT_T, Q_T, LOG_PROB, ALPHA),
        [0],
        sac_critic,
    ),
    "sac_temperature_loss": (
        lambda alpha, log_prob: losses.sac_temperature_loss(alpha, log_prob, -2.0),
        (ALPHA, LOG_PROB),
        [0],
        lambda alpha, log_prob: -alpha * (log_prob - 2.0),
    ),
    "categorical_sac_actor_loss": (
        losses.categorical_sac_actor_loss,
        (LOGITS, Q_T_ALL, ALPHA),
        [0],
        lambda logits, q, alpha: -soft_value(logits, q, alpha),
    ),
    "categorical_sac_critic_error": (
        losses.categorical_sac_critic_error,
        (Q_TM1_ALL, A_TM1, R_T, DISCOUNT_T, Q_T_ALL, LOGITS, ALPHA),
        [0],
        categorical_sac_critic,
    ),
    "categorical_sac_temperature_loss": (
        lambda alpha, logits: losses.categorical_sac_temperature_loss(alpha, logits, 0.5),
        (ALPHA, LOGITS),
        [0],
        lambda alpha, logits: alpha * (-sum(math.exp(p) * p for p in log_softmax(logits)) - 0.5),
    ),
    "clipped_double_q_learning": (
        losses.clipped_double_q_learning,
        (Q_TM1, R_T, DISCOUNT_T, Q_T),
        [0],
        lambda q_tm1, r, discount, q: [r + discount * min(q) - x for x in q_tm1],
    ),
    "expectile_value_loss": (
        lambda v, q: losses.expectile_value_loss(v, q, 0.8),
        (V_T, Q_TAKEN),
        [0],
        expectile,
    ),
    "cql_loss": (losses.cql_loss, (LOGITS, A_TM1), [0], lambda q, a: -log_softmax(q)[a]),
    "sampled_cql_loss": (
        losses.sampled_cql_loss,
        (Q_SAMPLED, LOG_PROB_SAMPLED, V_T),
        [0, 2],
        sampled_cql,
    ),
}
TARGETS = {
    "sac_critic_error": [0, 1, 2, 3, 4, 5],
    "categorical_sac_critic_error": [0, 2, 3, 4, 5, 6],
    "clipped_double_q_learning": [0, 1, 2, 3],
}


@pytest.mark.parametrize("name", CASES)
def test_values_follow_the_definition(name):
    function, args, _, definition = CASES[name]
    args = [arg.astype(np.float64) if arg.dtype == np.float32 else arg for arg in args]
    np.testing.assert_allclose(function(*args), per_example(definition)(*args), rtol=1e-12, atol=1e-15)


def test_modes_agree():
    assert_modes_agree(*together(CASES))


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_what_is_trained_and_nothing_else(name):
    function, args, with_gradient, _ = CASES[name]
    assert_gradients(function, [np.where(arg == 0, 0.3, arg) if arg is ALPHA else arg for arg in args], with_gradient)


@pytest.mark.parametrize("name", TARGETS)
def test_gradients_flow_through_the_target_where_asked(name):
    function, args, *_ = CASES[name]
    args = [np.where(arg == 0, 0.3, arg) if arg is ALPHA else arg for arg in args]
    assert_gradients(lambda *args: function(*args, stop_target_gradients=False), args, TARGETS[name])


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, *_ = CASES[name]
    assert_bfloat16(function, *args)


def test_impossible_actions_take_no_part():
    logits = np.array([[0.3, -np.inf, -0.2]])
    q = np.array([[[1.0, 99.0, 2.0], [3.0, -99.0, 0.5]]])
    alpha = np.array([0.4])
    possible = logits[:, [0, 2]], q[..., [0, 2]], alpha
    np.testing.assert_allclose(
        losses.categorical_sac_actor_loss(logits, q, alpha), losses.categorical_sac_actor_loss(*possible)
    )
    np.testing.assert_allclose(
        losses.categorical_sac_temperature_loss(alpha, logits, 0.1),
        losses.categorical_sac_temperature_loss(alpha, possible[0], 0.1),
    )
    args = q, [0], [1.0], [0.9]
    np.testing.assert_allclose(
        losses.categorical_sac_critic_error(*args, q, logits, alpha),
        losses.categorical_sac_critic_error(q[..., [0, 2]], *args[1:], possible[1], possible[0], alpha),
    )
    with tf.GradientTape() as tape:
        tensor = tf.constant(logits)
        tape.watch(tensor)
        loss = losses.categorical_sac_actor_loss(tensor, q, alpha)
    gradient = tape.gradient(loss, tensor).numpy()
    assert np.all(np.isfinite(gradient))
    assert gradient[0, 1] == 0
    np.testing.assert_allclose(losses.cql_loss([1.0, -np.inf, 2.0], 2), losses.cql_loss([1.0, 2.0], 1))


def test_an_entropy_above_the_target_lowers_the_temperature():
    alpha = tf.constant(0.5)
    for log_prob, sign in [(-3.0, 1), (-1.0, -1)]:
        with tf.GradientTape() as tape:
            tape.watch(alpha)
            loss = losses.sac_temperature_loss(alpha, log_prob, 2.0)
        assert np.sign(tape.gradient(loss, alpha)) == sign


def test_the_expectile_loss_is_least_at_the_expectile():
    q = rng.normal(size=2000)
    for tau in (0.2, 0.5, 0.9):
        values = np.linspace(-2, 2, 2001)
        total = np.mean(losses.expectile_value_loss(values[:, None], q[None], tau), axis=1)
        np.testing.assert_allclose(values[np.argmin(total)], stats.expectile(q, tau), atol=2e-3)


def test_sampled_cql_estimates_the_integral():
    # The integral of exp(-a**2 / 2) is sqrt(2 pi); the samples are uniform on [-8, 8].
    actions = np.linspace(-8, 8, 1001)
    loss = losses.sampled_cql_loss(-0.5 * actions**2, np.full(1001, -math.log(16)), np.float64(0.3))
    np.testing.assert_allclose(loss, 0.5 * math.log(2 * math.pi) - 0.3, atol=2e-3)


def test_target_policy_smoothing_adds_clipped_noise_inside_the_bounds():
    draw = lambda dtype: losses.target_policy_smoothing(
        random.key(0), tf.zeros([50_000, 2], dtype), [-9.0, -0.1], [9.0, 0.3], 0.2, 0.5
    )
    free, bounded = draw(tf.float32).numpy().T
    assert np.abs(free).max() == np.float32(0.5)
    np.testing.assert_allclose(np.mean(np.abs(free) == np.float32(0.5)), 2 * stats.norm.sf(2.5), rtol=0.1)
    inside = free[np.abs(free) < 0.5]
    assert stats.kstest(inside, stats.truncnorm(-2.5, 2.5, scale=0.2).cdf).pvalue > 1e-3
    assert bounded.min() == np.float32(-0.1)
    assert bounded.max() == np.float32(0.3)
    assert draw(tf.bfloat16).dtype == tf.bfloat16


def test_target_policy_smoothing_modes_and_gradient():
    function = lambda a, low, high: losses.target_policy_smoothing(random.key(3), a, low, high)
    bounds = np.float32([-0.5, -0.1, -2.0]), np.float32([0.2, 0.5, 2.0])
    assert_modes_agree(function, ACTION, *bounds)
    assert_gradients(function, (ACTION, *bounds), [0, 1, 2])


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"sac_actor_loss: alpha holds -1", losses.sac_actor_loss, LOG_PROB, V_T, -1.0)
    assert_refuses(r"sac_critic_error: q_t .*broadcast", losses.sac_critic_error, *CASES["sac_critic_error"][1][:3],
                   Q_T[:3], LOG_PROB, ALPHA)  # fmt: skip
    assert_refuses(r"sac_temperature_loss: log_prob_t is int", losses.sac_temperature_loss, 0.1, A_TM1, 1.0)
    assert_refuses(r"categorical_sac_actor_loss: q_t has shape \(5, 4, 2\).*A = 3", losses.categorical_sac_actor_loss,
                   LOGITS, Q_T_ALL[..., :2], ALPHA)  # fmt: skip
    assert_refuses(r"categorical_sac_critic_error: a_tm1 holds 3", losses.categorical_sac_critic_error, Q_TM1_ALL,
                   A_TM1 + 1, R_T, DISCOUNT_T, Q_T_ALL, LOGITS, ALPHA)  # fmt: skip
    assert_refuses(r"categorical_sac_temperature_loss: logits_t has shape \(\)",
                   losses.categorical_sac_temperature_loss, 0.1, 0.0, 1.0)  # fmt: skip
    assert_refuses(r"clipped_double_q_learning: q_tm1 has shape \(\)", losses.clipped_double_q_learning, 1.0, R_T,
                   DISCOUNT_T, Q_T)  # fmt: skip
    assert_refuses(r"expectile holds 1", losses.expectile_value_loss, V_T, V_T, 1.0)
    assert_refuses(r"cql_loss: a_tm1 holds 3", losses.cql_loss, LOGITS, A_TM1 + 1)
    assert_refuses(r"log_prob_sampled has shape \(5, 5\).*S = 6", losses.sampled_cql_loss, Q_SAMPLED,
                   LOG_PROB_SAMPLED[:, :5], V_T)  # fmt: skip
    assert_refuses(r"target_policy_smoothing: low has shape \(2,\)", losses.target_policy_smoothing, random.key(0),
                   ACTION, [0.0, 1.0], 1.0)  # fmt: skip


def test_bounds_are_in_order():
    key = random.key(0)
    assert_refuses("smoothing: low is 1 and high -1", losses.target_policy_smoothing, key, [0.0], 1.0, [-1.0])
    assert_refuses("gradient_min is 1 and gradient_max -1", losses.clip_gradient, 0.0, 1.0, -1.0)
    assert_refuses("low is 1 and high -1", policies.clipped_gaussian, key, [0.0], [1.0], 1.0, -1.0)
    assert_refuses("low is 1 and high -1", policies.squashed_gaussian, [0.0], [1.0], 1.0, -1.0)
