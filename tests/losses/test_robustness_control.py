"""Extreme inputs: no NaN that the definition does not have. Each example is a batch of rows."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_fn import losses, policies, random

B, A = 12, 4
KEY = random.key(0)
EXTREMES = [0.0, 1.0, -1.0, 1e-30, 1e4, -1e4, 1e30, -1e30]

few = settings(max_examples=15, deadline=None, derandomize=True)


def arrays(low, high, shape=(B,), extra=()):
    inside = [np.float32(x) for x in EXTREMES if low <= x <= high]
    values = st.sampled_from([*inside, *map(np.float32, extra)])
    return hnp.arrays(
        np.float32, shape, elements=st.one_of(values, st.floats(-3, 3, width=32).filter(lambda x: low <= x))
    )


@st.composite
def logits(draw, extra=(-np.inf, 3e38, -3e38)):
    """At least the first logit of a row is finite."""
    rows = draw(arrays(-1e30, 1e30, (B, A), extra))
    rows[:, 0] = draw(arrays(-1e30, 1e30))
    return rows


masks = hnp.arrays(bool, (B, A)).map(lambda mask: mask | (np.arange(A) == 1))


def evaluate(function, args, with_gradient):
    """Values and gradients as NumPy arrays, after checking that none is NaN."""
    tensors = [tf.constant(arg) for arg in args]
    watched = [tensors[i] for i in with_gradient]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        values = tf.nest.flatten(function(*tensors))
    gradients = [g for g in tape.gradient(values, watched) if g is not None]
    for result in [*values, *gradients]:
        assert not np.any(np.isnan(result)), [arg.tolist() for arg in args]
    return [value.numpy() for value in values], [np.asarray(g) for g in gradients]


@few
@given(logits(), arrays(-1e30, 1e30))
def test_softmax_losses(logits_t, adv_t):
    best = logits_t.argmax(axis=-1)
    evaluate(losses.policy_gradient_loss, (logits_t, best, adv_t), [0])
    (entropy,), (gradient,) = evaluate(losses.entropy_loss, (logits_t,), [0])
    assert np.all((entropy <= 1e-6) & (entropy >= -np.log(A) - 1e-6))
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient[np.isneginf(logits_t)] == 0)


@few
@given(arrays(0, 1e30, extra=(np.inf,)), arrays(-1e4, 1e4))
def test_surrogates_at_any_ratio(ratios, adv_t):
    (value,), (gradient,) = evaluate(losses.clipped_surrogate_pg_loss, (ratios, adv_t), [0])
    assert np.all(value[adv_t == 0] == 0)
    assert np.all(gradient[adv_t == 0] == 0)
    assert np.all(np.isfinite(value[adv_t >= 0]))
    dual = lambda ratios, adv: losses.clipped_surrogate_pg_loss(ratios, adv, 0.2, 3.0)
    (value,), _ = evaluate(dual, (ratios, adv_t), [0])
    assert np.all(np.abs(value) <= 3 * np.abs(adv_t) + 1e-6)


@few
@given(arrays(-1e4, 3, extra=(-np.inf, 80)), arrays(-1e4, 1e4))
def test_discovered_objective_at_any_ratio(log_ratios, adv_t):
    evaluate(losses.discovered_policy_optimisation_loss, (log_ratios, adv_t), [0])
    larger = np.where(log_ratios == 80, np.float32(1e4), log_ratios)  # whose ratio is infinite
    evaluate(losses.discovered_policy_optimisation_loss, (larger, np.abs(adv_t)), [0])


@few
@given(arrays(-1e30, 1e30, extra=(np.inf, -np.inf)), arrays(-1e4, 0))
def test_advantage_weights_are_bounded(adv_t, log_prob):
    (weights,), _ = evaluate(losses.advantage_weights, (adv_t,), [0])
    assert np.all((weights >= 0) & (weights <= 20))
    (value,), _ = evaluate(losses.advantage_weighted_regression_loss, (log_prob, adv_t), [0])
    assert np.all(np.isfinite(value))


@few
@given(logits(), arrays(-1e4, 1e4, (B, A)))
def test_all_action_losses(logits_t, q_t):
    for function in (losses.qpg_loss, losses.rm_loss, losses.rpg_loss):
        (value,), gradients = evaluate(function, (logits_t, q_t), [0])
        assert np.all(np.isfinite(value))
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    (value,), (gradient,) = evaluate(lambda a, d: losses.dpg_loss(a, d, 1.0), (q_t, q_t), [0])
    assert np.all(np.linalg.norm(gradient, axis=-1) <= 1.01)


@few
@given(logits(), arrays(-1e30, 1e30, (B, 2, A)), arrays(0, 1e4))
def test_categorical_sac(logits_t, q_t, alpha):
    evaluate(losses.categorical_sac_actor_loss, (logits_t, q_t, alpha), [0])
    evaluate(lambda alpha, x: losses.categorical_sac_temperature_loss(alpha, x, 0.5), (alpha, logits_t), [0])
    zeros, ones = np.zeros(B, np.int32), np.ones(B, np.float32)
    evaluate(losses.categorical_sac_critic_error, (q_t, zeros, ones, ones, q_t, logits_t, alpha), [0])


@few
@given(logits(extra=(-np.inf,)), arrays(-1e4, 1e4, (B, A)))
def test_conservative_losses(q_t, log_prob):
    best = q_t.argmax(axis=-1)
    (value,), (gradient,) = evaluate(losses.cql_loss, (q_t, best), [0])
    assert np.all((value >= 0) & (value <= np.log(A) + 1e-6))
    assert np.all(np.isfinite(gradient))
    evaluate(losses.sampled_cql_loss, (q_t, log_prob, np.zeros(B, np.float32)), [0])


@few
@given(arrays(-1e30, 1e30, (B, A)), arrays(-1e30, 1e30), arrays(1e-30, 1e30, (1,)), hnp.arrays(bool, B))
def test_mpo_at_any_temperature(q_t, adv_t, temperature, valid):
    weights, loss = losses.mpo_weights(q_t, temperature[0], 0.1)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-5)
    assert np.all(np.isfinite(loss))
    weights, loss = losses.vmpo_weights(adv_t, temperature[0], 0.1, 0.5, valid)
    np.testing.assert_allclose(np.sum(weights), valid.any(), rtol=1e-5)
    assert not np.any(weights.numpy()[~valid])
    assert np.isfinite(loss)


@few
@given(arrays(-1e4, 1e4, (B, A)), arrays(1e-3, 1e4, (1,)), hnp.arrays(bool, B))
def test_mpo_temperature_gradients(q_t, temperature, valid):
    evaluate(lambda q, t: losses.mpo_weights(q, t[0], 0.1).temperature_loss, (q_t, temperature), [1])
    vmpo = lambda adv, t, valid: losses.vmpo_weights(adv, t[0], 0.1, 0.5, valid).temperature_loss
    evaluate(vmpo, (q_t[:, 0], temperature, valid), [1])


@few
@given(logits(extra=(-np.inf,)), masks)
def test_selection_takes_legal_actions_only(q, legal):
    q[:, 1] = np.where(np.isfinite(q[:, 1]), q[:, 1], 0)  # the action that is always legal
    temperatures = [1e-6, 1.0, 1e30]
    probs = [policies.greedy_probs(q, legal), policies.epsilon_greedy_probs(q, 0.3, legal)]
    probs += [policies.boltzmann_probs(q, temperature, legal) for temperature in temperatures]
    for p in probs:
        np.testing.assert_allclose(np.sum(p, axis=-1), 1, rtol=1e-5)
        assert not np.any(p.numpy()[~legal])
    actions = [policies.greedy(KEY, q, legal), policies.epsilon_greedy(KEY, q, 0.5, legal)]
    actions += [policies.boltzmann(KEY, q, temperature, legal) for temperature in temperatures]
    actions += [np.argmax(policies.gumbel_softmax(KEY, q, 0.5, legal, straight_through=True), axis=-1)]
    for action in actions:
        assert np.all(np.take_along_axis(legal, np.asarray(action)[:, None], axis=-1))


@tf.function(autograph=False)
def categorical_summary(x, legal):
    distribution = policies.categorical(x, legal)
    other = policies.categorical(tf.zeros_like(x), legal)
    return distribution.entropy(), distribution.kl_divergence(other), distribution.log_prob(tf.argmax(x, axis=-1))


@few
@given(arrays(-1e30, 1e30, (B, A)), masks)
def test_categorical_distributions_are_finite(logits_t, legal):
    args = np.where(legal, logits_t, -np.float32(3e38)), legal
    (entropy, kl, _), (gradient,) = evaluate(categorical_summary, args, [0])
    assert np.all((entropy >= -1e-6) & (entropy <= np.log(A) + 1e-6))
    assert np.all((kl >= -1e-6) & (kl <= np.log(A) + 1e-6))
    assert np.all(gradient[~legal] == 0)


@tf.function(autograph=False)
def squashed_summary(pre_tanh, mean, stddev):
    distribution = policies.squashed_gaussian(mean, stddev, -2.0, 1.0)
    return policies.squashed_log_prob(distribution, pre_tanh), policies.squash(distribution, pre_tanh)


@few
@given(arrays(-1e4, 1e4, (B, 1)), arrays(-1e4, 1e4, (B, 1)), arrays(1e-3, 1e4, (B, 1)))
def test_squashed_gaussians_are_exact_far_out(pre_tanh, mean, stddev):
    (value, action), gradients = evaluate(squashed_summary, (pre_tanh, mean, stddev), [0, 1, 2])
    assert np.all(np.isfinite(value))
    assert np.all((action >= -2) & (action <= 1))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
