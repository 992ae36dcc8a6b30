"""Each agent's loss against numbers worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, networks, policies, random, replay, struct
from rl_fn.agents import (
    a2c,
    appo,
    bootstrapped,
    c51,
    crossq,
    d4pg,
    ddpg,
    dpo,
    dqn,
    fqf,
    impala,
    iqn,
    mpo,
    munchausen,
    ppg,
    ppo,
    pqn,
    qrdqn,
    r2d2,
    rainbow,
    redq,
    sac,
    td3,
    tqc,
    trpo,
    vmpo,
    vpg,
)
from rl_fn.agents.on_policy import Model

KEY = random.key(0)
LN_2 = math.log(2)


def sample(weight, **items):
    """One transition from state 0 by action 1 to state 1, and its weight."""
    settled = {"observation": [0], "action": [1], "reward": [1.0], "discount": [0.9], "next_observation": [1]}
    settled.update(items)
    transition = replay.NStepTransition(**{name: tf.constant(x) for name, x in settled.items()}, extras={})
    return replay.Sample(transition, slots=tf.constant([0]), weights=tf.constant([weight]))


def table(params, observation, key=None):
    """A network whose parameters are its outputs, by state."""
    del key
    return tf.gather(params, observation)


@pytest.mark.parametrize(
    ("settings", "error", "loss"),
    [
        # The online network prefers action 1 in state 1, which the target values 5: 1 + 0.9 * 5 - 2 = 3.5.
        ({"double_q": True, "loss": "huber"}, 3.5, 0.5 * 3.0),
        ({"double_q": True, "loss": "l2"}, 3.5, 0.5 * 6.125),
        # The target itself prefers action 0, worth 10: 1 + 0.9 * 10 - 2 = 8.
        ({"double_q": False, "loss": "huber"}, 8.0, 0.5 * 7.5),
    ],
)
def test_dqn(settings, error, loss):
    params, target_params = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[0.5, 0.0], [10.0, 5.0]])
    hparams = dqn.DQNHParams(**settings)
    with tf.GradientTape() as tape:
        tape.watch([params, target_params])
        value, learned = dqn.loss(table, params, target_params, sample(0.5), KEY, hparams)
    np.testing.assert_allclose(value, loss, rtol=1e-6)
    np.testing.assert_allclose(learned.priorities, [error], rtol=1e-6)
    gradient, none = tape.gradient(value, [params, target_params])
    slope = 1.0 if settings["loss"] == "huber" else error
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), [[0, -0.5 * slope], [0, 0]], rtol=1e-6)
    assert none is None


def test_rainbow():
    # p = (1/4, 3/4) of the action taken; the online network prefers action 0 in state 1, where the target's
    # distribution is (1/2, 1/2). Reward 1/2 and discount 1/2 put it on 1/2 and 1, that is 1/4 on 0 and 3/4 on 1.
    quarter = [0.0, math.log(3)]
    params = tf.constant([[[9.0, -9.0], quarter], [[0.0, 5.0], [5.0, 0.0]]])
    target_params = tf.constant([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 30.0]]])
    hparams = rainbow.RainbowHParams(v_min=0.0, v_max=1.0, num_atoms=2)
    value, learned = rainbow.loss(table, params, target_params, sample(2.0, reward=[0.5], discount=[0.5]), KEY, hparams)
    cross_entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    np.testing.assert_allclose(learned.priorities, [cross_entropy], rtol=1e-5)
    np.testing.assert_allclose(value, 2 * cross_entropy, rtol=1e-5)


@pytest.mark.parametrize(
    ("double_q", "probability"),
    # The online network prefers action 0, as above; the target itself action 1, which surely returns 1: 1/2 + 1/2.
    [(True, (0.25, 0.75)), (False, (0.0, 1.0))],
)
def test_c51(double_q, probability):
    quarter = [0.0, math.log(3)]
    params = tf.constant([[[9.0, -9.0], quarter], [[0.0, 5.0], [5.0, 0.0]]])
    target_params = tf.constant([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 30.0]]])
    hparams = c51.C51HParams(v_min=0.0, v_max=1.0, num_atoms=2, double_q=double_q)
    value, learned = c51.loss(table, params, target_params, sample(2.0, reward=[0.5], discount=[0.5]), KEY, hparams)
    cross_entropy = -(probability[0] * math.log(0.25) + probability[1] * math.log(0.75))
    np.testing.assert_allclose(learned.priorities, [cross_entropy], rtol=1e-5)
    np.testing.assert_allclose(value, 2 * cross_entropy, rtol=1e-5)


@pytest.mark.parametrize(
    ("double_q", "loss", "error"),
    [
        # The target prefers action 0, with quantiles 1 and 3: 1.5 and 2.5 after the reward. The source's are 0 and 2:
        # 0.25 (1.5 + 2.5) / 2 and (0.25 * 0.5 + 0.75 * 0.5) / 2.
        (False, 0.75, 1.0),
        # The online network prefers action 1, with 0 and 1: 1 and 1.5. 0.25 * 1.25, and 0.25 (1 + 0.5) / 2.
        (True, 0.5, 0.25),
    ],
)
def test_qrdqn(double_q, loss, error):
    params = tf.constant([[[9.0, 9.0], [0.0, 2.0]], [[0.0, 0.0], [5.0, 5.0]]])
    target_params = tf.constant([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 3.0], [0.0, 1.0]]])
    hparams = qrdqn.QRDQNHParams(num_quantiles=2, huber_param=0.0, double_q=double_q)
    value, learned = qrdqn.loss(table, params, target_params, sample(2.0, discount=[0.5]), KEY, hparams)
    np.testing.assert_allclose(value, 2 * loss, rtol=1e-6)
    np.testing.assert_allclose(learned.priorities, [error], rtol=1e-6)


def test_iqn():
    drawn = []

    def quantiles(params, observation, tau, key):
        drawn.append(tau.numpy())
        return tf.tile(tf.gather(params, observation)[:, tf.newaxis], [1, tau.shape[1], 1])

    params, target_params = tf.constant([[9.0, 0.0], [1.0, 0.0]]), tf.constant([[0.0, 0.0], [2.0, 1.0]])
    hparams = iqn.IQNHParams(num_quantiles=3, num_target_quantiles=4, num_acting_quantiles=5)
    value, learned = iqn.loss(quantiles, params, target_params, sample(2.0, discount=[0.5]), KEY, hparams)
    assert [tau.shape for tau in drawn] == [(1, 3), (1, 4), (1, 5)]
    assert all(((tau >= 0) & (tau < 1)).all() and len(np.unique(tau)) == tau.size for tau in drawn)
    # Every error is 1 + 0.5 * 2 - 0 = 2, and its Huber loss 1.5.
    np.testing.assert_allclose(value, 2 * 1.5 * drawn[0].sum(), rtol=1e-5)
    np.testing.assert_allclose(learned.priorities, [2.0], rtol=1e-6)


def test_fqf():
    # The value of either action at a fraction is a multiple of its square.
    quantiles = lambda params, observation, tau, key: (
        tf.gather(params, observation)[:, tf.newaxis] * tau[..., None] ** 2
    )
    bounds = tf.Variable([[0.0, 0.5, 1.0]])
    params, target_params = tf.constant([[9.0, 0.0], [1.0, 0.0]]), tf.constant([[0.0, 0.0], [16.0, -1.0]])
    hparams = fqf.FQFHParams(num_quantiles=2)
    with tf.GradientTape() as tape:
        value, learned = fqf.loss(
            quantiles, lambda *_: bounds, params, target_params, sample(2.0, discount=[0.5]), KEY, hparams
        )
    # Middles 0.25 and 0.75, whose values are 0 at the action taken, and 1 and 9 at the best one of the successor:
    # targets 1.5 and 5.5 with Huber losses 1 and 5, and errors of the means (1.5 + 5.5) / 2.
    np.testing.assert_allclose(learned.metrics["loss"], 2 * (0.25 + 0.75) * (1 + 5) / 2, rtol=1e-6)
    np.testing.assert_allclose(learned.priorities, [3.5], rtol=1e-6)
    np.testing.assert_allclose(learned.metrics["fraction_entropy"], math.log(2), rtol=1e-6)
    np.testing.assert_allclose(value, learned.metrics["loss"], rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(value, bounds), [[0, 0, 0]])


def test_fqf_moves_bounds_to_where_the_wasserstein_error_falls():
    quantile = lambda tau: tau**2

    def error(bound):
        """Of steps at the middles, over the area between them and the quantiles."""
        tau = np.linspace(0, 1, 100_001)
        steps = np.where(tau < bound, quantile(bound / 2), quantile((bound + 1) / 2))
        return np.mean(np.abs(quantile(tau) - steps))

    bounds = tf.Variable([[0.0, 0.4, 1.0]])
    middle = fqf.middles(bounds)
    np.testing.assert_allclose(middle, [[0.2, 0.7]], rtol=1e-6)
    with tf.GradientTape() as tape:
        value = fqf.fraction_loss(quantile(bounds[:, 1:-1]), quantile(middle), bounds)
    slope = (error(0.41) - error(0.39)) / 0.02
    np.testing.assert_allclose(tape.gradient(value, bounds), [[0.0, 2 * 0.16 - 0.04 - 0.49, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(slope, 2 * 0.16 - 0.04 - 0.49, rtol=1e-2)


@pytest.mark.parametrize("clip", [-1.0, -0.5])
def test_munchausen(clip):
    params, target_params = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[0.5, 0.0], [10.0, 5.0]])
    hparams = munchausen.MunchausenHParams(temperature=1.0, munchausen_scale=0.8, munchausen_clip=clip, loss="l2")
    value, learned = munchausen.loss(table, params, target_params, sample(0.5), KEY, hparams)
    log_policy = -math.log(math.exp(0.5) + 1)  # of action 1 in state 0: -0.97
    error = 1 + 0.8 * max(log_policy, clip) + 0.9 * math.log(math.exp(10) + math.exp(5)) - 2
    np.testing.assert_allclose(learned.priorities, [error], rtol=1e-5)
    np.testing.assert_allclose(value, 0.5 * 0.5 * error**2, rtol=1e-5)


def test_pqn():
    column = lambda *x: tf.constant([[y] for y in x])
    trajectory = struct.Transition(
        observation=column(0, 1, 0),
        action=column(1, 0, 1),
        reward=column(1.0, 2.0, 4.0),
        terminated=column(False, False, True),
        truncated=column(False, True, False),
        next_observation=column(1, 2, 1),
        extras={},
    )
    params = tf.constant([[1.0, 3.0], [4.0, 2.0], [5.0, 6.0]])
    hparams = pqn.PQNHParams(gamma=0.5, trace_lambda=0.5)
    target = pqn.targets(table, params, trajectory, hparams)
    # From the end: 4 at the termination; 2 + 0.5 * 6, cut there; 1 + 0.5 (0.5 * 4 + 0.5 * 5).
    np.testing.assert_allclose(target[:, 0], [3.25, 5.0, 4.0], rtol=1e-6)
    batch = pqn.Steps(trajectory.observation, trajectory.action, target)
    value, _ = pqn.loss(table, params, batch)
    np.testing.assert_allclose(value, 0.5 * (0.25**2 + 1 + 1) / 3, rtol=1e-6)


@pytest.mark.parametrize(("ends", "before"), [(False, 3.0), (True, 0.0)])
def test_r2d2(ends, before):
    def step(params, state, inputs):
        state = state + params * inputs
        return state, state

    def unroll(params, state, inputs, is_first):
        outputs = []
        for x, first in zip(tf.unstack(inputs), tf.unstack(is_first), strict=True):
            output, state = step(params, tf.where(first[:, tf.newaxis], 0.0, state), x)
            outputs.append(output)
        return tf.stack(outputs), state

    same = networks.Network(lambda key, spec: {}, lambda params, inputs: inputs)
    head = networks.Network(lambda key, spec: {}, lambda params, inputs: params * tf.concat([inputs, 0 * inputs], -1))
    memory = networks.RecurrentNetwork(None, None, step, unroll)
    network = networks.recurrent_values(same, memory, head)
    column = lambda *x: tf.constant([[y] for y in x])
    steps = struct.Transition(
        observation=tf.constant([[[2.0]], [[3.0]]]),
        action=column(1, 0),
        reward=column(5.0, 1.0),
        terminated=column(False, False),
        truncated=column(ends, False),
        next_observation=tf.constant([[[3.0]], [[1.0]]]),
        extras={},
    )
    batch = replay.Sample(replay.Sequence(steps, tf.constant([[1.0]])), tf.constant([0]), tf.constant([2.0]))
    hparams = r2d2.R2D2HParams(gamma=0.5, n_step=1, burn_in=1, sequence_length=1, value_transform="identity")
    params = {"torso": {}, "memory": tf.constant(1.0), "head": tf.constant(1.0)}
    targets = {**params, "head": tf.constant(2.0)}
    with tf.GradientTape() as tape:
        tape.watch(params)
        value, learned = r2d2.loss(network, tf.identity, params, targets, batch, hparams)
    # Burnt in, the state is 1 + 2, unless that step ended an episode; the second step adds 3, its successor 1.
    error = 1 + 0.5 * 2 * (before + 4) - (before + 3)
    np.testing.assert_allclose(learned.priorities, [error], rtol=1e-6)
    np.testing.assert_allclose(value, 2 * 0.5 * error**2, rtol=1e-6)
    # The memory's gain gets the gradient of the step that is learned from, 3, and none of the one burnt in, 2.
    np.testing.assert_allclose(tape.gradient(value, params["memory"]), -2 * error * 3, rtol=1e-6)


def test_the_priority_of_a_sequence_mixes_its_largest_and_its_mean_error():
    error = tf.constant([[1.0], [-3.0]])
    np.testing.assert_allclose(r2d2.priorities(error, 0.9), [0.9 * 3 + 0.1 * 2], rtol=1e-6)


def test_bootstrapped():
    q_values = lambda params, observation: tf.gather(params, observation, axis=1)
    params = tf.constant([[[1.0, 2.0], [0.0, 0.0]], [[1.0, 7.0], [0.0, 0.0]]])
    targets = tf.constant([[[0.0, 0.0], [4.0, 1.0]], [[0.0, 0.0], [0.0, 9.0]]])
    batch = sample(1.0, discount=[0.5])
    batch = batch._replace(items=batch.items._replace(extras={"mask": tf.constant([[True, False]])}))
    with tf.GradientTape() as tape:
        tape.watch(params)
        value, _ = bootstrapped.loss(q_values, params, targets, batch, KEY, bootstrapped.BootstrappedHParams())
    # The first value function sees the transition, and its own target is 1 + 0.5 * 4; the second does not see it.
    np.testing.assert_allclose(value, 0.5 * (3 - 2) ** 2, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(value, params), [[[0, -1], [0, 0]], [[0, 0], [0, 0]]], rtol=1e-6)


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
    return fixed(tf.zeros([1, 1, 2]), values=number(1.0), next_values=number(2.0)), trajectory


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


def test_sac_with_discrete_actions():
    spec = struct.EnvSpec("Two", None, spaces.Discrete(2))
    policy = learning.soft_policy("sac", spec, tf.TensorSpec([1], tf.float32))
    critics = lambda inputs: tf.constant([[[1.0, 2.0], [3.0, 4.0]]])  # two critics of two actions
    targets = lambda inputs: tf.constant([[[2.0, 4.0], [3.0, 1.0]]])  # the smaller ones are 2 and 1
    batch = sac.Batch(sample(1.0, discount=[0.5]), tf.zeros([1, 1]), tf.zeros([1, 1]), next_outputs=tf.zeros([1, 2]))
    loss, (error, _) = sac.critic_loss(policy, critics, targets, batch, tf.constant(0.1), KEY)
    target = 1 + 0.5 * (1.5 + 0.1 * LN_2)
    np.testing.assert_allclose(error, [[target - 2, target - 4]], rtol=1e-5)
    np.testing.assert_allclose(loss, 0.5 * (target - 2) ** 2 + 0.5 * (target - 4) ** 2, rtol=1e-5)
    loss, log_prob = sac.actor_loss(policy, critics, tf.zeros([1, 1]), tf.zeros([1, 2]), tf.constant(0.1), KEY)
    np.testing.assert_allclose(loss, -0.1 * LN_2 - 1.5, rtol=1e-5)
    np.testing.assert_allclose(log_prob, [-LN_2], rtol=1e-5)


def test_the_temperature_of_sac_rises_below_the_target_entropy_and_falls_above():
    log_temperature = tf.constant(0.0)
    for log_prob, gradient in [(-0.5, 1.5), (1.5, -0.5)]:  # an entropy of 0.5 is over the target, one of -1.5 under it
        with tf.GradientTape() as tape:
            tape.watch(log_temperature)
            loss = sac.temperature_loss(log_temperature, tf.constant([log_prob]), target_entropy=-1.0)
        np.testing.assert_allclose(loss, -(log_prob - 1.0))
        np.testing.assert_allclose(tape.gradient(loss, log_temperature), gradient)


def test_td3():
    loss, error = td3.critic_loss(
        tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4.0]]), sample(2.0, reward=[1.0], discount=[0.5])
    )
    np.testing.assert_allclose(error, [[1.5, 0.5]])  # 1 + 0.5 * 3 less 1 and 2
    np.testing.assert_allclose(loss, 2 * (0.5 * 1.5**2 + 0.5 * 0.5**2))
    values = lambda inputs, unit_action: tf.constant([[2.0, 9.0], [4.0, 9.0]]) * unit_action
    np.testing.assert_allclose(td3.actor_loss(values, tf.zeros([2, 1]), tf.constant([[1.0], [0.5]])), -2.0)


def test_ddpg():
    loss, (error, _) = ddpg.critic_loss(tf.constant([[2.0]]), tf.constant([[4.0]]), sample(2.0, discount=[0.5]))
    np.testing.assert_allclose(error, [1.0])  # 1 + 0.5 * 4 less 2
    np.testing.assert_allclose(loss, 2 * 0.5 * 1.0**2)
    outputs = tf.constant([[1.0, 3.0], [-1.0, 1.0]])  # their mean square is 3
    np.testing.assert_allclose(ddpg.actor_loss(tf.constant([2.0, 4.0]), outputs, 0.1), 0.1 * 3 - 3, rtol=1e-6)


def test_d4pg():
    atoms = tf.constant([0.0, 1.0])
    # As in Rainbow's test: reward 1/2 and discount 1/2 put the target's (1/2, 1/2) on 1/2 and 1.
    settled = sample(2.0, reward=[0.5], discount=[0.5])
    loss, (error, q) = d4pg.critic_loss(tf.constant([[0.0, math.log(3)]]), tf.zeros([1, 2]), settled, atoms=atoms)
    cross_entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    np.testing.assert_allclose(error, [cross_entropy], rtol=1e-5)
    np.testing.assert_allclose(loss, 2 * cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(q, [0.75], rtol=1e-6)


TWO = learning.soft_policy("any", struct.EnvSpec("Two", None, spaces.Discrete(2)), tf.TensorSpec([1], tf.float32))


def test_redq_takes_the_smallest_of_a_few_targets_and_the_mean_for_its_policy():
    batch = sac.Batch(sample(1.0, discount=[0.5]), tf.zeros([1, 1]), tf.zeros([1, 1]), next_outputs=tf.zeros([1, 2]))
    critics = lambda inputs: tf.constant([[[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]])  # three critics of two actions
    targets = lambda inputs: tf.constant([[[2.0, 2.0], [4.0, 4.0], [8.0, 8.0]]])
    seen = set()
    for seed in range(20):
        key = random.key(seed)
        _, (error, _) = redq.critic_loss(TWO, critics, targets, batch, tf.constant(0.0), key, num_targets=2)
        smallest = (error.numpy()[0] + [1, 2, 3] - 1) / 0.5
        np.testing.assert_allclose(smallest, smallest[0], rtol=1e-6)
        seen.add(round(float(smallest[0]), 4))
    assert seen == {2.0, 4.0}  # of two drawn without replacement; 8 would need the largest twice
    loss, _ = redq.actor_loss(TWO, critics, tf.zeros([1, 1]), tf.zeros([1, 2]), tf.constant(0.0), KEY)
    np.testing.assert_allclose(loss, -1.0)  # of an action's mean values 0 and 2


BOX = spaces.Box(-1, 1, (1,))
# A policy that always takes its mean, 0.
STILL = tf.constant([[0.0, -20.0]])


def test_tqc_drops_the_largest_quantiles_of_all_target_critics_together():
    squashed = learning.squashed_policy(BOX)
    batch = sac.Batch(
        sample(2.0, action=[[0.5]], discount=[0.5]), tf.zeros([1, 1]), tf.zeros([1, 1]), next_outputs=STILL
    )
    critics = lambda inputs: tf.constant([[[1.0, 3.0], [2.0, 2.0]]])  # two critics of two quantiles
    targets = lambda inputs: tf.constant([[[2.0, 4.0], [100.0, 50.0]]])
    loss, (error, _) = tqc.critic_loss(
        TWO, critics, targets, batch, tf.constant(0.0), KEY, squashed=squashed, num_dropped=1
    )
    # 2 and 4 are kept: targets 2 and 3. Huber losses of 1 - 2 and 1 - 3 at tau 1/4 are 0.5 and 1.5, and so on.
    first = (0.25 * (0.5 + 1.5) + (0.25 * 0.5 + 0)) / 2  # 3 - 2 is over its target, at tau 3/4: weight 1/4
    second = (0.25 * (0 + 0.5) + 0.75 * (0 + 0.5)) / 2
    np.testing.assert_allclose(loss, 2 * (first + second) / 2, rtol=1e-6)
    np.testing.assert_allclose(error, [[0.5, 0.5]])  # means 2.5 less 2
    policy = learning.soft_policy("tqc", struct.EnvSpec("Box", None, BOX), tf.TensorSpec([1], tf.float32))
    loss, _ = tqc.actor_loss(policy, critics, tf.zeros([1, 1]), STILL, tf.constant(0.0), KEY)
    np.testing.assert_allclose(loss, -2.0)  # the mean of all quantiles


def test_crossq():
    q_tm1, q_t = tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch([q_tm1, q_t])
        loss, error = crossq.critic_loss(q_tm1, q_t, tf.constant([-1.0]), tf.constant(0.5), sample(1.0, discount=[0.5]))
    np.testing.assert_allclose(error, [[1.75, 0.75]])  # 1 + 0.5 * (3 + 0.5 * 1) less 1 and 2
    np.testing.assert_allclose(loss, 0.5 * 1.75**2 + 0.5 * 0.75**2)
    gradient, none = tape.gradient(loss, [q_tm1, q_t])
    np.testing.assert_allclose(gradient, [[-1.75, -0.75]])
    assert none is None  # though both come of one pass


def test_mpo():
    loss, error = mpo.critic_loss(tf.constant([2.0]), tf.constant([[4.0, 8.0]]), sample(2.0, discount=[0.5]))
    np.testing.assert_allclose(error, [2.0])  # 1 + 0.5 * 6 less 2
    np.testing.assert_allclose(loss, 2 * 0.5 * 2.0**2)
    old = mpo.Gaussian(tf.constant([[0.0]]), tf.constant([[1.0]]))
    new = mpo.Gaussian(tf.constant([[1.0]]), tf.constant([[2.0]]))
    actions, duals = (
        tf.constant([[[0.0]], [[1.0]]]),
        mpo.Duals(tf.constant(1.0), tf.constant([3.0]), tf.constant([5.0])),
    )
    hparams = mpo.MPOHParams(epsilon=0.1, epsilon_mean=0.1, epsilon_stddev=0.2)
    parts = mpo.actor_loss(old, new, actions, tf.constant([[0.0, math.log(3)]]), duals, hparams)
    np.testing.assert_allclose(parts.weights, [[0.25, 0.75]], rtol=1e-6)
    constant = 0.5 * math.log(2 * math.pi)
    # log N(a; new mean, old deviation) + log N(a; old mean, new deviation), of actions 0 and 1
    log_probs = (-0.5 - constant) + (-LN_2 - constant), (-constant) + (-0.125 - LN_2 - constant)
    np.testing.assert_allclose(parts.policy_loss, [-0.25 * log_probs[0] - 0.75 * log_probs[1]], rtol=1e-5)
    kl_mean, kl_stddev = 0.5, 0.5 * (0.25 - 1) + LN_2
    np.testing.assert_allclose(parts.kl_loss, [3 * kl_mean + 5 * kl_stddev], rtol=1e-5)
    np.testing.assert_allclose(parts.alpha_loss, [3 * (0.1 - kl_mean) + 5 * (0.2 - kl_stddev)], rtol=1e-5)
    np.testing.assert_allclose(parts.temperature_loss, [0.1 + math.log((1 + 3) / 2)], rtol=1e-5)
