"""Losses of agents of continuous control against numbers worked out by hand."""

import math

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, random, struct
from rl_fn.agents import (
    crossq,
    d4pg,
    ddpg,
    mpo,
    redq,
    sac,
    td3,
    tqc,
)
from tests.agents.by_hand import KEY, sample

LN_2 = math.log(2)


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
