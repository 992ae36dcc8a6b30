"""AlphaZero and MuZero: what they learn from, worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, networks, planning, random, replay, sets
from rl_fn.agents import alphazero, muzero
from rl_fn.envs import wrappers
from rl_fn.struct import Transition

LN_2 = math.log(2)


def test_what_is_good_for_the_next_player_is_bad_for_this_one():
    column = lambda values: tf.constant(values)[:, tf.newaxis]
    steps = Transition(
        observation=column([10, 11, 12, 13]),
        action=column([0, 0, 0, 0]),
        reward=column([0.0, 1.0, 0.0, 0.0]),
        terminated=column([False, True, False, False]),
        truncated=column([False] * 4),
        next_observation=column([11, 12, 13, 14]),
        extras={"action_weights": tf.ones([4, 1, 9]) / 9, "next_value": column([0.1, 0.2, 0.3, 0.4])},
    )
    # Who moved second has won; the other game goes on, and looks worth 0.4 for who moves next.
    made = alphazero.positions(steps, 2, alphazero.AlphaZeroHParams())
    np.testing.assert_allclose(made.value, [-1, 1, 0.4, -0.4])
    np.testing.assert_array_equal(made.observation, [10, 11, 12, 13])
    short = alphazero.positions(steps, 2, alphazero.AlphaZeroHParams(n_step=1))
    np.testing.assert_allclose(short.value, [-0.1, 1, -0.3, -0.4])
    alone = alphazero.positions(steps, 1, alphazero.AlphaZeroHParams(gamma=0.5))
    np.testing.assert_allclose(alone.value, [0.5, 1, 0.1, 0.2])


def test_alphazero_does_not_learn_of_what_cannot_be_done():
    spec = envs.make("TicTacToe-v0").spec
    board = np.zeros([1, 3, 3, 3], np.float32)
    board[0, 0, 0, :2], board[0, :, :, 2] = 1, 0
    board[0, 1, 1, 0] = board[0, 0, 1, 1] = 1
    free = 9 - 3  # the model looks at the stones
    item = alphazero.Position(tf.constant(board), tf.one_hot([8], 9), tf.constant([1.0]))
    flat = networks.ActorCritic(None, None, lambda params, state, x: ((params[:1, :9], params[:1, 9]), state), None)
    value, learned = alphazero.loss(
        flat, spec.model, lambda x: x, tf.zeros([1, 10]), replay.Sample(item, None, None), alphazero.AlphaZeroHParams()
    )
    np.testing.assert_allclose(learned.metrics["policy_loss"], math.log(free), rtol=1e-5)
    np.testing.assert_allclose(value, math.log(free) + 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("env", "values", "message"),
    [
        ("CartPole-v1", {}, "alphazero needs an environment whose spec has a model to plan with, CartPole-v1 has none"),
        ("TicTacToe-v0", {"memory": "gru"}, "memory is 'gru', expected 'none'"),
    ],
)
def test_alphazero_needs_rules_and_no_memory(env, values, message):
    with pytest.raises(ValueError, match=message):
        alphazero.make(envs.make(env).spec, alphazero.AlphaZeroHParams(**values))


def test_a_wrapper_that_changes_what_is_seen_hides_the_rules():
    assert wrappers.frame_stack(envs.make("TicTacToe-v0"), 2).spec.model is None


def test_muzero_knows_what_follows_an_end_and_not_what_follows_a_cut():
    last = tf.constant([[False, True, False, False], [False, False, True, False]])
    cut = tf.constant([[False, False, False, False], [False, False, True, False]])
    here, known = muzero._reached(tf.transpose(last), tf.transpose(cut), 3)
    np.testing.assert_array_equal(tf.transpose(here), [[1, 1, 0, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(tf.transpose(known), [[1, 1, 1, 1], [1, 1, 1, 0]])


def test_muzero_loss():
    """A model whose parameters are all that it says, and bins at -1, 0 and 1."""
    model = networks.LatentModel(
        None,
        lambda params, x: tf.zeros([*x.shape[:-1], 1]),
        lambda params, s: (tf.zeros([*s.shape[:-1], 2]), tf.zeros([*s.shape[:-1], 3])),
        lambda params, s, a: (s + params, tf.zeros([1, 3])),
    )
    hparams = muzero.MuZeroHParams(
        unroll_steps=1, n_step=1, num_bins=3, support=1.0, reanalyse_fraction=0.0, value_cost=0.5, num_simulations=1
    )
    steps = Transition(
        observation=tf.zeros([2, 1, 1]),
        action=tf.zeros([2, 1], tf.int32),
        reward=tf.constant([[0.0], [0.0]]),
        terminated=tf.constant([[True], [False]]),
        truncated=tf.zeros([2, 1], tf.bool),
        next_observation=tf.zeros([2, 1, 1]),
        extras={"action_weights": tf.constant([[[0.5, 0.5]], [[1.0, 0.0]]])},
    )
    sample = replay.Sample(replay.Sequence(steps, ()), None, tf.constant([2.0]))
    value, learned = muzero.loss(model, lambda x: x, tf.zeros([]), tf.zeros([]), sample, random.key(0), hparams)
    # The policy counts before the end only; values and the reward are 0 before and behind it.
    np.testing.assert_allclose(learned.metrics["policy_loss"], LN_2, rtol=1e-5)
    np.testing.assert_allclose(learned.metrics["value_loss"], 2 * math.log(3), rtol=1e-5)
    np.testing.assert_allclose(learned.metrics["reward_loss"], math.log(3), rtol=1e-5)
    np.testing.assert_allclose(value, 2 * (LN_2 + 0.5 * 2 * math.log(3) + math.log(3)), rtol=1e-5)
    np.testing.assert_allclose(learned.priorities, [0.001], atol=1e-6)  # not 0, which would never be drawn again


class Seen(muzero.MuZeroHParams):
    def look(self, model, params, inputs, key, mode):
        return planning.PolicyOutput(None, tf.concat([inputs, inputs], axis=-1), None, None)


def test_each_sequence_has_its_turn_to_be_searched_again():
    hparams = Seen(unroll_steps=1, reanalyse_fraction=0.5, batch_size=8)  # of 8, which two devices share
    observation = tf.reshape(tf.range(1.0, 13.0), [3, 4, 1])
    steps = Transition(observation, *[None] * 5, {"action_weights": tf.zeros([3, 4, 2])})
    counts = np.zeros(4)
    for seed in range(60):
        weights = muzero._action_weights(None, lambda x: x, None, steps, random.key(seed), hparams).numpy()
        again = weights[0, :, 0] > 0
        np.testing.assert_array_equal(weights, np.where(again[:, np.newaxis], observation[:2], 0) * np.ones(2))
        assert again.sum() == 2
        counts += again
    assert (counts >= 15).all()  # 30 are expected


def test_the_states_of_a_model_are_from_0_to_1_and_its_heads_begin_at_zero():
    torso = networks.mlp((4,), activate_final=True)
    model = networks.latent_model(torso, 3, state_size=5, hidden_sizes=(6,), num_value_outputs=7, num_reward_outputs=8)
    params = model.init(random.key(0), tf.TensorSpec([2], tf.float32))
    state = model.represent(params, tf.constant([[1.0, -2.0], [0.5, 3.0]]))
    following, reward = model.advance(params, state, tf.constant([0, 2]))
    for each in (state, following):
        assert each.shape == [2, 5]
        np.testing.assert_allclose([tf.reduce_min(each), tf.reduce_max(each)], [0, 1], atol=1e-3)
    logits, value = model.predict(params, following)
    assert (logits.shape, value.shape, reward.shape) == ([2, 3], [2, 7], [2, 8])
    assert not any(np.any(outputs) for outputs in (logits, value, reward))


def test_the_sets_are_searched_as_they_say():
    assert sets.make(sets.SETS["alphazero_tictactoe"]).search == "gumbel"
    with pytest.raises(ValueError, match="search is 'beam', expected one of gumbel, puct"):
        muzero.MuZeroHParams(search="beam")


class OfOnePolicy(alphazero.AlphaZeroHParams):
    """Every state is worth a little less than nothing, and the last cell is the one to take."""

    def make_network(self, spec, policy=None):
        def step(params, state, x):
            return (params + tf.zeros([x.shape[0], 1]), tf.fill([x.shape[0]], -0.01)), state

        init = lambda key, spec: tf.constant([0.0, 0, 0, 0, 0, 0, 0, 0, 2])
        return networks.ActorCritic(init, lambda batch_size: (), step, None), tf.TensorSpec([27]), lambda x: x


@pytest.mark.parametrize(
    ("search", "simulations", "found"),
    [
        ("gumbel", {"num_simulations": 25}, 2),
        ("puct", {"num_simulations": 25}, 2),
        ("puct", {"num_simulations": 2}, 8),
        ("puct", {"num_simulations": 2, "eval_simulations": 25}, 2),
        ("puct", {"num_simulations": 25, "eval_simulations": 2}, 8),
    ],
)
def test_a_win_is_found_that_the_policy_hardly_thinks_of(search, simulations, found):
    agent = alphazero.make(envs.make("TicTacToe-v0").spec, OfOnePolicy(search=search, **simulations))
    board = np.zeros([1, 3, 3, 3], np.float32)
    board[0, 0, :2, 0] = board[0, 1, :2, 1] = 1  # each has two stones in a row
    board[0, ..., 2] = 1 - board[0].sum(axis=-1)
    policy = agent.init(random.key(0)).policy
    acted = tf.function(agent.act, autograph=False)(policy, (), tf.constant(board), random.key(0), "eval")
    np.testing.assert_array_equal(acted.action, [found])
