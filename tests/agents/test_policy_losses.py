"""Losses of agents that learn on their policy against numbers worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import learning, networks, policies, struct
from rl_fn.agents import (
    a2c,
    appo,
    dpo,
    impala,
    ppg,
    ppo,
    trpo,
    vmpo,
    vpg,
)
from rl_fn.agents.on_policy import Model

LN_2 = math.log(2)


def fixed(logits, values, next_values=None):
    """An actor-critic whose outputs are given."""
    return networks.ActorCritic(
        init=lambda key, spec: (),
        initial_state=lambda batch_size: (),
        step=lambda params, state, inputs: ((logits, next_values), state),
        unroll=lambda params, state, inputs, is_first: (logits, values),
    )


HEAD = policies.PolicyHead(2, policies.categorical, tf.identity)


def two_steps(old_probs, advantages, old_logits=(0.0, 0.0)):
    """The first action was taken, then the second; with `fixed(tf.zeros([1, 2, 2]))` each has a probability of 1/2."""
    return learning.Sequences(
        inputs=tf.zeros([1, 2, 1]),
        raw_action=tf.constant([[0, 1]]),
        log_prob=tf.math.log([old_probs]),
        value=tf.zeros([1, 2]),
        outputs=tf.constant([[old_logits] * 2]),
        recurrent_state=(),
        is_first=tf.zeros([1, 2], tf.bool),
        advantage=tf.constant([advantages]),
    )


def test_ppo():
    batch = two_steps([0.5, 0.25], [1.0, -1.0])  # the ratios are 1 and 2
    network = fixed(tf.zeros([1, 2, 2]), values=tf.constant([[1.0, 2.0]]))
    hparams = ppo.PPOHParams(normalize_advantages=False, clip_epsilon=0.2, value_cost=0.5, entropy_cost=0.01)
    total, metrics = ppo.loss(network, HEAD, (), batch, hparams)
    # The surrogates are 1 and min(2 * -1, 1.2 * -1) = -2; the values miss their targets 1 and -1 by 0 and 3.
    np.testing.assert_allclose(metrics["policy_loss"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(metrics["value_loss"], 0.5 * 9 / 2, rtol=1e-6)
    np.testing.assert_allclose(metrics["entropy"], LN_2, rtol=1e-6)
    np.testing.assert_allclose(metrics["clip_fraction"], 0.5)
    np.testing.assert_allclose(metrics["approx_kl"], (0 + 1 - LN_2) / 2, rtol=1e-5)
    np.testing.assert_allclose(total, 0.5 + 0.5 * 2.25 - 0.01 * LN_2, rtol=1e-6)
    # Clipped, the values moved from 0 to 0.2 at most: misses of 0.8 and 1.2, and the larger loss of the two counts.
    clipped = ppo.loss(network, HEAD, (), batch, hparams.override(clip_value_loss=True))[1]
    np.testing.assert_allclose(clipped["value_loss"], (0.5 * 0.8**2 + 0.5 * 3**2) / 2, rtol=1e-6)
    # Normalised, advantages of 1 and -1 are what they were.
    normalized, _ = ppo.loss(network, HEAD, (), batch, hparams.override(normalize_advantages=True))
    np.testing.assert_allclose(normalized, total, rtol=1e-6)


def test_ppo_with_a_penalty_and_no_clip():
    batch = two_steps([0.25, 0.75], [1.0, -1.0], old_logits=(0.0, math.log(3)))
    network = fixed(tf.zeros([1, 2, 2]), values=tf.zeros([1, 2]))
    hparams = ppo.PPOHParams(normalize_advantages=False, clip_epsilon=1e6, kl_cost=2.0).override(
        value_cost=0.0, entropy_cost=0.0
    )
    total, metrics = ppo.loss(network, HEAD, (), batch, hparams)
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(metrics["policy_loss"], -(2 - 2 / 3) / 2, rtol=1e-5)
    np.testing.assert_allclose(total, -(2 - 2 / 3) / 2 + 2 * kl, rtol=1e-5)


def test_dpo():
    batch = two_steps([0.5, 1.0], [1.0, -1.0])  # the ratios are 1 and 1/2
    network = fixed(tf.zeros([1, 2, 2]), values=tf.zeros([1, 2]))
    _, metrics = dpo.loss(network, HEAD, (), batch, dpo.DPOHParams(normalize_advantages=False))
    drift = LN_2 - 0.6 * math.tanh(LN_2 / 0.6)
    np.testing.assert_allclose(metrics["policy_loss"], (-1 + 0.5 + drift) / 2, rtol=1e-5)


def test_a2c():
    batch = two_steps([0.5, 0.5], [1.0, -2.0])
    network = fixed(tf.zeros([1, 2, 2]), values=tf.constant([[1.0, 2.0]]))
    total, metrics = a2c.loss(network, HEAD, (), batch, a2c.A2CHParams(value_cost=0.5, entropy_cost=0.01))
    np.testing.assert_allclose(metrics["policy_loss"], (LN_2 * 1 - LN_2 * 2) / 2, rtol=1e-5)
    np.testing.assert_allclose(metrics["value_loss"], (0 + 0.5 * 4**2) / 2, rtol=1e-6)
    np.testing.assert_allclose(total, -LN_2 / 2 + 0.5 * 4 - 0.01 * LN_2, rtol=1e-5)


def test_trpo():
    batch = two_steps([0.5, 0.25], [1.0, -1.0])
    network = fixed(tf.zeros([1, 2, 2]), values=tf.constant([[1.0, 2.0]]))
    hparams = trpo.TRPOHParams(normalize_advantages=False, entropy_cost=0.01)
    total = trpo.loss(network, HEAD, (), batch, hparams)
    np.testing.assert_allclose(total, -(1 * 1 + 2 * -1) / 2 - 0.01 * LN_2, rtol=1e-5)
    np.testing.assert_allclose(trpo.value_loss(network, (), batch), (0 + 0.5 * 3**2) / 2, rtol=1e-6)


def test_vmpo():
    batch = two_steps([0.5, 0.5], [1.0, -1.0])
    network = fixed(tf.zeros([1, 2, 2]), values=tf.constant([[1.0, 2.0]]))
    hparams = vmpo.VMPOHParams(temperature_epsilon=0.1, kl_epsilon=0.2, value_cost=0.5)
    dual = vmpo.Dual(temperature=tf.math.log(2.0), multipliers=[tf.math.log(3.0)])
    total, metrics = vmpo.loss(network, HEAD, (), dual, batch, hparams)
    # Only the better half, which is the first step, is imitated. The policy is the old one: a divergence of 0.
    np.testing.assert_allclose(metrics["policy_loss"], LN_2, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], 0, atol=1e-6)
    temperature_loss, multiplier_loss = 2 * 0.1 + 1, 3 * 0.2
    np.testing.assert_allclose(total, LN_2 + temperature_loss + multiplier_loss + 0.5 * 9 / 4, rtol=1e-5)


def test_vmpo_bounds_means_and_deviations_of_gaussians_apart():
    old, new = policies.gaussian([[0.0]], [[1.0]]), policies.gaussian([[1.0]], [[2.0]])
    np.testing.assert_allclose(vmpo.divergences(old, new), [[0.5], [0.5 * (1 / 4 - 1) + LN_2]], rtol=1e-5)
    assert len(vmpo.divergences(*[policies.categorical(tf.zeros([1, 2]))] * 2)) == 1


def test_vpg():
    batch = vpg.Batch(
        inputs=tf.zeros([2, 1, 1]),
        raw_action=tf.constant([[0], [1]]),
        recurrent_state=(),
        is_first=tf.zeros([2, 1], tf.bool),
        returns=tf.constant([[3.0], [100.0]]),
        weight=tf.constant([[1.0], [0.0]]),  # the second is not ready
    )
    network = fixed(tf.zeros([2, 1, 2]), values=tf.constant([[1.0], [7.0]]))
    hparams = vpg.VPGHParams(normalize_advantages=False, value_cost=0.5, entropy_cost=0.01)
    total, metrics = vpg.loss(network, HEAD, (), batch, hparams)
    np.testing.assert_allclose(metrics["policy_loss"], LN_2 * (3 - 1), rtol=1e-5)
    np.testing.assert_allclose(metrics["value_loss"], 0.5 * (3 - 1) ** 2, rtol=1e-6)
    np.testing.assert_allclose(total, 2 * LN_2 + 0.5 * 2 - 0.01 * LN_2, rtol=1e-5)
    total, metrics = vpg.loss(network, HEAD, (), batch, hparams.override(baseline=False))
    assert "value_loss" not in metrics
    np.testing.assert_allclose(total, LN_2 * 3 - 0.01 * LN_2, rtol=1e-5)


def test_vpg_waits_for_the_end_of_an_episode_and_no_longer_than_its_patience():
    # Four rewards of 1, an end after the second; the first was learned from, and the first two leave the window.
    flags = lambda *x: tf.constant(x)[:, tf.newaxis]
    steps = vpg.Steps(
        inputs=tf.zeros([4, 1, 1]),
        raw_action=tf.zeros([4, 1]),
        recurrent_state=(),
        is_last=flags(False, True, False, False),
        reward=tf.ones([4, 1]),
        discount=flags(0.5, 0.0, 0.5, 0.5),
        v_t=flags(9.0, 9.0, 9.0, 8.0),
        is_learned=flags(True, False, False, False),
    )
    batch = vpg.ready(steps, rollout_length=2)
    np.testing.assert_allclose(batch.returns[:, 0], [1.5, 1.0, 1 + 0.5 * 5, 1 + 0.5 * 8])
    np.testing.assert_array_equal(batch.weight[:, 0], [0, 1, 0, 0])
    np.testing.assert_array_equal(vpg.ready(steps, rollout_length=3).weight[:, 0], [0, 1, 1, 0])
    np.testing.assert_array_equal(batch.is_first[:, 0], [False, False, True, False])


def test_the_auxiliary_phase_of_ppg():
    outputs = tf.constant([[0.0, 0.0, 5.0]])  # two logits and the auxiliary value
    steps = {"new": outputs, "old": tf.constant([[0.0, math.log(3), 9.0]])}
    step = lambda params, state, inputs: ((steps[params], tf.constant([2.0])), state)
    head = HEAD._replace(distribution=lambda x: policies.categorical(x[..., :-1]))
    model = Model(fixed((), ())._replace(step=step), head, (), ())
    batch = ppg.Kept(inputs=tf.zeros([1, 1]), target=tf.constant([4.0]))
    total = ppg.auxiliary_loss(model, "new", "old", batch, ppg.PPGHParams(clone_cost=2.0))
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    np.testing.assert_allclose(total, 0.5 * (5 - 4) ** 2 + 0.5 * (2 - 4) ** 2 + 2 * kl, rtol=1e-5)


def one_step(behaviour):
    """From a value of 1 to one of 2, with a reward of 1; the action was taken with that probability."""
    observation, number = tf.zeros([1, 1, 1]), lambda x: tf.constant([[x]])
    trajectory = struct.Transition(
        observation=observation,
        action=number(0),
        reward=number(1.0),
        terminated=number(False),
        truncated=number(False),
        next_observation=observation,
        extras={"recurrent_state": (), "raw_action": number(0), "log_prob": number(math.log(behaviour))},
    )
    return fixed(tf.zeros([1, 1, 2]), values=number(1.0), next_values=tf.constant([2.0])), trajectory


@pytest.mark.parametrize(("behaviour", "ratio", "rho"), [(0.5, 1.0, 1.0), (1.0, 0.5, 0.5), (0.25, 1.3, 1.0)])
def test_appo(behaviour, ratio, rho):
    # Probability 1/2 now: the ratio is 1, 1/2, or 2, which is clipped to 1.3 in the surrogate and to 1 in V-trace.
    network, trajectory = one_step(behaviour)
    hparams = appo.APPOHParams(gamma=0.9, value_cost=0.5, entropy_cost=0.01, clip_epsilon=0.3)
    total, metrics = appo.loss(network, HEAD, tf.identity, (), trajectory, hparams)
    error = 1 + 0.9 * 2 - 1
    np.testing.assert_allclose(metrics["policy_loss"], -ratio * error, rtol=1e-5)
    np.testing.assert_allclose(total, -ratio * error + 0.25 * (rho * error) ** 2 - 0.01 * LN_2, rtol=1e-5)


@pytest.mark.parametrize(("behaviour", "rho"), [(0.5, 1.0), (1.0, 0.5), (0.25, 1.0)])
def test_impala(behaviour, rho):
    # Probability 1/2 now: the ratio is 1, 1/2, or 2, which is clipped to 1.
    network, trajectory = one_step(behaviour)
    hparams = impala.IMPALAHParams(gamma=0.9, value_cost=0.5, entropy_cost=0.01)
    total, metrics = impala.loss(network, HEAD, tf.identity, (), trajectory, hparams)
    error = 1 + 0.9 * 2 - 1
    np.testing.assert_allclose(metrics["policy_loss"], LN_2 * rho * error, rtol=1e-5)
    np.testing.assert_allclose(metrics["value_loss"], 0.5 * (rho * error) ** 2, rtol=1e-5)
    np.testing.assert_allclose(
        total, LN_2 * rho * error + 0.25 * (rho * error) ** 2 - 0.01 * LN_2, rtol=1e-5, err_msg="their weighted sum"
    )
