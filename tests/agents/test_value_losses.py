"""Losses of agents that learn action values against numbers worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, networks, random, replay, struct
from rl_fn.agents import (
    bootstrapped,
    c51,
    dqn,
    fqf,
    iqn,
    munchausen,
    pqn,
    qrdqn,
    r2d2,
    rainbow,
)
from tests.agents.by_hand import KEY, sample


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


def test_fqf_weighs_its_fractions_as_its_values():
    multiples = lambda params, observation: tf.gather(params, observation)[:, tf.newaxis]
    quantiles = lambda params, observation, tau, key: multiples(params, observation) * tau[..., None] ** 2
    bounds = tf.Variable([[0.0, 0.3, 1.0]])
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        batch = sample(2.0, discount=[0.5])._replace(weights=tf.constant([weight]))
        params = tf.constant([[9.0, 4.0], [1.0, 0.0]])
        with tf.GradientTape() as tape:
            value, _ = fqf.loss(quantiles, lambda *_: bounds, params, params, batch, KEY, fqf.FQFHParams())
        gradients.append(tape.gradient(value, bounds).numpy())
    assert gradients[1][0, 1] != 0
    np.testing.assert_allclose(gradients, [0 * gradients[1], gradients[1], 2 * gradients[1]], rtol=1e-6)


@pytest.mark.parametrize("noise", ["none", *networks.NOISES])
def test_fqf_proposes_fractions_of_what_is_seen_with_noisy_heads_too(noise):
    env = envs.make("CartPole-v1")
    agent = fqf.make(env.spec, fqf.FQFHParams(hidden_sizes=(8,), num_quantiles=4, noise=noise))
    policy = agent.init(random.key(0)).policy
    observation = env.reset(random.key(1), 5)[1]
    for mode in ("train", "eval"):
        assert agent.act(policy, agent.init_actor(5), observation, random.key(2), mode).action.shape == (5,)


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
