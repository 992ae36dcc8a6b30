import time

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, networks, random, struct
from rl_fn.agents import a2c, dqn, ppo, r2d2
from tests.support import assert_modes_agree

T, B, F, UNITS = 5, 3, 4, 6
SPEC = tf.TensorSpec([F])
RNG = np.random.default_rng(0)
INPUTS = tf.constant(RNG.normal(size=(T, B, F)), tf.float32)
IS_FIRST = tf.constant([[False, True, False], [False] * 3, [True, False, False], [False, False, True], [False] * 3])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(params, state, x):
    projected = x @ params["kernel"] + params["bias"]
    recurrent = state @ params["recurrent_kernel"] + params["recurrent_bias"]
    reset, update = (sigmoid(projected[i] + recurrent[i]) for i in (slice(0, UNITS), slice(UNITS, 2 * UNITS)))
    candidate = np.tanh(projected[2 * UNITS :] + reset * recurrent[2 * UNITS :])
    state = update * state + (1 - update) * candidate
    return state, state


def lstm_step(params, state, x):
    hidden, cell = state
    gates = x @ params["kernel"] + params["bias"] + hidden @ params["recurrent_kernel"] + params["recurrent_bias"]
    forget, enter, leave, new = np.split(gates, 4)
    cell = sigmoid(forget + 1) * cell + sigmoid(enter) * np.tanh(new)
    hidden = sigmoid(leave) * np.tanh(cell)
    return hidden, (hidden, cell)


KINDS = {"gru": (networks.gru, gru_step), "lstm": (networks.lstm, lstm_step)}


@pytest.fixture(scope="module", params=KINDS)
def network(request):
    make, step = KINDS[request.param]
    network = make(UNITS)
    params = network.init(random.key(1), SPEC)
    noise = lambda leaf: leaf + tf.constant(RNG.normal(size=leaf.shape, scale=0.3), tf.float32)
    return network, tf.nest.map_structure(noise, params), step


def test_an_unroll_is_the_definition_and_starts_anew_where_episodes_begin(network):
    network, params, step = network
    start = tf.nest.map_structure(lambda leaf: leaf + 0.5, network.initial_state(B))
    unroll = tf.function(network.unroll, jit_compile=True)
    outputs, last = unroll(params, start, INPUTS, IS_FIRST)
    numbers = tf.nest.map_structure(lambda leaf: leaf.numpy().astype(np.float64), params)
    for b in range(B):
        state = tf.nest.map_structure(lambda leaf, b=b: leaf.numpy()[b], start)
        for t in range(T):
            if IS_FIRST[t, b]:
                state = tf.nest.map_structure(np.zeros_like, state)
            expected, state = step(numbers, state, INPUTS.numpy()[t, b])
            np.testing.assert_allclose(outputs[t, b], expected, rtol=1e-4, atol=1e-5)
        for actual, wanted in zip(tf.nest.flatten(last), tf.nest.flatten(state), strict=True):
            np.testing.assert_allclose(actual[b], wanted, rtol=1e-4, atol=1e-5)


def test_a_step_is_an_unroll_of_one_and_takes_any_batch_axes(network):
    network, params, _ = network
    start = tf.nest.map_structure(lambda leaf: leaf + 0.5, network.initial_state(B))
    outputs, state = network.step(params, start, INPUTS[0])
    unrolled, last = network.unroll(params, start, INPUTS[:1], tf.zeros([1, B], tf.bool))
    np.testing.assert_allclose(outputs, unrolled[0], rtol=1e-5, atol=1e-6)
    twice = tf.nest.map_structure(lambda leaf: tf.stack([leaf, leaf]), start)
    deep, deep_state = network.step(params, twice, tf.stack([INPUTS[0], INPUTS[0]]))
    np.testing.assert_allclose(deep[1], outputs, rtol=1e-5, atol=1e-6)
    for a, b, c in zip(*map(tf.nest.flatten, (state, last, deep_state)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a, c[0], rtol=1e-5, atol=1e-6)


def test_gradients_reach_every_parameter_in_all_modes(network):
    network, params, _ = network
    leaves = [leaf.numpy() for leaf in tf.nest.flatten(params)]

    def gradient(*leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            packed = tf.nest.pack_sequence_as(params, leaves)
            outputs, _ = network.unroll(packed, network.initial_state(B), INPUTS, IS_FIRST)
            total = tf.reduce_sum(outputs**2)
        return tape.gradient(total, leaves)

    assert all(np.any(gradient(*map(tf.constant, leaves))[i]) for i in range(4))
    assert_modes_agree(gradient, *leaves, rtol=1e-3, atol=1e-4)


def test_the_gradient_through_64_steps_is_that_of_the_steps_written_out():
    network, length = networks.gru(UNITS), 64
    params = network.init(random.key(1), SPEC)
    inputs = tf.constant(RNG.normal(size=(length, B, F)), tf.float32)
    is_first = tf.constant(RNG.random((length, B)) < 0.05)

    def looped(params):
        outputs, _ = network.unroll(params, network.initial_state(B), inputs, is_first)
        return tf.reduce_mean(outputs**2), ()

    def written_out(params):
        state, squares = network.initial_state(B), []
        for x, begins in zip(tf.unstack(inputs), tf.unstack(is_first), strict=True):
            output, state = network.step(params, tf.where(begins[:, tf.newaxis], tf.zeros_like(state), state), x)
            squares.append(tf.reduce_mean(output**2))
        return tf.reduce_mean(squares), ()

    (loss, _), gradient = tf.function(lambda: struct.value_and_gradient(looped, params))()
    (expected_loss, _), expected = tf.function(lambda: struct.value_and_gradient(written_out, params))()
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for (name, leaf), (_, wanted) in zip(*map(struct.named_leaves, (gradient, expected)), strict=True):
        assert np.any(wanted), name
        np.testing.assert_allclose(leaf, wanted, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_compiled_gradient_is_not_compiled_again_for_other_values():
    network = networks.gru(4)
    params = network.init(random.key(0), tf.TensorSpec([3], tf.float32))

    @tf.function(jit_compile=True)
    def gradient(params, inputs):
        def loss(params):
            outputs, _ = network.unroll(params, network.initial_state(2), inputs, tf.zeros([5, 2], tf.bool))
            return tf.reduce_sum(outputs**2), ()

        return struct.value_and_gradient(loss, params)[1]

    times = [time.perf_counter()]
    for value in range(4):
        tf.nest.map_structure(lambda leaf: leaf.numpy(), gradient(params, tf.fill([5, 2, 3], float(value))))
        times.append(time.perf_counter())
    first, *others = np.diff(times)
    assert min(others) < 0.2 * first


def test_an_actor_critic_with_a_memory_gives_the_same_step_by_step_and_unrolled():
    network = networks.actor_critic(
        networks.mlp((8,), activate_final=True), networks.dense(2), networks.dense(1), networks.gru(UNITS)
    )
    params = network.init(random.key(2), SPEC)
    policy, value = network.unroll(params, network.initial_state(B), INPUTS, IS_FIRST)
    state = network.initial_state(B)
    for t in range(T):
        state = tf.where(IS_FIRST[t][:, tf.newaxis], 0.0, state)
        (logits, v), state = network.step(params, state, INPUTS[t])
        np.testing.assert_allclose(policy[t], logits, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(value[t], v, rtol=1e-5, atol=1e-6)


def test_an_unknown_memory_is_refused():
    with pytest.raises(ValueError, match="memory is 'rnn', expected one of none, gru, lstm, MODULE:NAME"):
        networks.memory("rnn", 4)


def leaky(units):
    """A memory of one's own, whose state is no matrix product away: it forgets a tenth of what it holds."""

    def init(key, spec):
        return {"enter": random.normal(key, [spec.shape[-1], units])}

    def step(params, state, inputs):
        state = 0.9 * state + tf.tanh(inputs @ params["enter"])
        return tf.concat([state, -state], axis=-1), state

    return networks.recurrent(init, lambda batch_size: tf.zeros([batch_size, units]), step)


def test_a_memory_of_ones_own_starts_anew_where_episodes_begin():
    network = leaky(2)
    params = {"enter": tf.ones([F, 2])}
    outputs, last = network.unroll(params, tf.fill([B, 2], 5.0), INPUTS, IS_FIRST)
    expected = np.full([B, 2], 5.0)
    for t in range(T):
        expected = 0.9 * expected * ~IS_FIRST.numpy()[t][:, np.newaxis] + np.tanh(INPUTS.numpy()[t] @ np.ones([F, 2]))
        np.testing.assert_allclose(outputs[t], np.concatenate([expected, -expected], axis=1), rtol=1e-5)
    np.testing.assert_allclose(last, expected, rtol=1e-5)


def test_a2c_learns_with_a_memory_of_ones_own():
    env = envs.make("Catch-bsuite")
    small = {"num_envs": 2, "rollout_length": 4, "hidden_sizes": (4,)}
    agent = a2c.make(env.spec, a2c.A2CHParams(**small, memory=leaky, memory_units=6))
    state = loops.init_state(agent, env, random.key(0))
    compiled = loops.compile(loops.train_step(agent, env), state)
    compiled.run(2)
    before, after = (of.agent.policy.params["memory"]["enter"] for of in (state, compiled.read()))
    assert before.shape == (4, 6)
    assert np.any(before != after)


def test_r2d2_takes_a_memory_of_ones_own():
    agent = r2d2.make(envs.make("Catch-bsuite").spec, r2d2.R2D2HParams(hidden_sizes=(4,), memory=leaky(6)))
    params = agent.init(random.key(0)).policy.params
    assert params["memory"]["enter"].shape == (4, 6)
    acted = agent.act(
        agent.init(random.key(0)).policy, agent.init_actor(16), tf.zeros([16, 10, 5]), random.key(1), "eval"
    )
    assert acted.action.shape == (16,)


def test_a_memory_of_ones_own_is_named_like_a_network():
    assert ppo.PPOHParams().with_network(leaky(3)).memory.initial_state(2).shape == (2, 3)
    with pytest.raises(ValueError, match="DQNHParams has no place for a network of one's own"):
        dqn.DQNHParams().with_network(leaky(3))
    with pytest.raises(ValueError, match=r"memory is a Network, expected a networks\.RecurrentNetwork"):
        networks.memory(networks.mlp([3]), 3)
