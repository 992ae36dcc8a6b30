"""TicTacToe and Connect Four against rules written down again in plain Python, over random games."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.envs import wrappers
from rl_fn.envs.compiled import in_a_row

BOARDS = 64


def wins(board, length):
    """Whether a player who has the true cells has so many in a row."""
    rows, columns = board.shape
    for row, column in np.argwhere(board):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            cells = [(row + down * n, column + right * n) for n in range(length)]
            if all(0 <= r < rows and 0 <= c < columns and board[r, c] for r, c in cells):
                return True
    return False


class Board:
    """One game in plain Python."""

    def __init__(self, rows, columns, length, falls):
        self.cells, self.length, self.falls = np.zeros((2, rows, columns), bool), length, falls

    def places(self):
        """The cell that each valid action fills."""
        columns, free = self.cells.shape[2], ~self.cells.any(axis=0)
        if self.falls:
            return {c: (max(np.flatnonzero(free[:, c])), c) for c in range(columns) if free[:, c].any()}
        return {r * columns + c: (r, c) for r, c in np.argwhere(free).tolist()}

    def observation(self):
        can = np.zeros(self.cells.shape[1:], bool)
        for place in self.places().values():
            can[place] = True
        return np.stack([*self.cells, can], axis=-1)

    def move(self, action):
        """Returns the reward of who moves, and whether it is over; the board is turned."""
        place = self.places().get(action)
        if place is None:
            self.cells = self.cells[::-1].copy()
            return -1, True
        self.cells[0][place] = True
        won = wins(self.cells[0], self.length)
        self.cells = self.cells[::-1].copy()
        return int(won), won or not self.places()


SIZES = {"TicTacToe-v0": (3, 3, 3, False), "ConnectFour-v0": (6, 7, 4, True)}


@pytest.mark.parametrize("name", SIZES)
def test_random_games_are_as_the_rules_say(name):
    env, rng = envs.make(name), np.random.default_rng(0)
    boards = [Board(*SIZES[name]) for _ in range(BOARDS)]
    state, observation = env.reset(random.key(0), BOARDS)
    step, key = tf.function(env.step), random.key(1)
    seen = {"won": 0, "drawn": 0, "invalid": 0}
    for _ in range(60):
        np.testing.assert_array_equal(observation, [board.observation() for board in boards])
        valid = env.spec.model.valid_actions(env.spec.model.state(observation)).numpy()
        assert [set(np.flatnonzero(row)) for row in valid] == [set(board.places()) for board in boards]
        invalid = (rng.random(BOARDS) < 0.05) & ~valid.all(axis=-1)
        actions = [
            rng.choice(list(set(range(env.spec.action_space.n)) - set(board.places()) if wrong else board.places()))
            for board, wrong in zip(boards, invalid, strict=True)
        ]
        expected = [board.move(int(action)) for board, action in zip(boards, actions, strict=True)]
        state, outcome = step(state, tf.constant(actions, tf.int32), key)
        rewards, ends = (np.array(column) for column in zip(*expected, strict=True))
        np.testing.assert_array_equal(outcome.reward, rewards)
        np.testing.assert_array_equal(outcome.terminated, ends)
        assert not np.any(outcome.truncated)
        full = [not board.places() for board in boards]
        np.testing.assert_array_equal(outcome.next_observation, [board.observation() for board in boards])
        seen["won"] += np.sum(rewards == 1)
        seen["invalid"] += np.sum(rewards == -1)
        seen["drawn"] += np.sum(ends & full & (rewards == 0))
        boards = [Board(*SIZES[name]) if end else board for board, end in zip(boards, ends, strict=True)]
        observation = outcome.observation
    assert all(count or (name, what) == ("ConnectFour-v0", "drawn") for what, count in seen.items())


@pytest.mark.parametrize("name", SIZES)
def test_against_chance_the_other_side_answers_and_begins_every_second_game(name):
    env = envs.make(name).evaluation
    state, first = env.reset(random.key(0), 1_000)
    counts = np.sum(first, axis=(1, 2))[:, :2]
    assert set(map(tuple, counts.tolist())) == {(0, 0), (0, 1)}
    assert 400 < np.sum(counts[:, 1]) < 600
    _, outcome = tf.function(env.step)(state, tf.zeros([1_000], tf.int32), random.key(1))
    begins = counts[:, 1] == 0
    after = np.sum(outcome.next_observation, axis=(1, 2))[:, :2]
    goes_on = ~outcome.terminated.numpy()
    np.testing.assert_array_equal(after[begins & goes_on], [[1, 1]] * np.sum(begins & goes_on))
    np.testing.assert_array_equal(after[~begins & goes_on], [[1, 2]] * np.sum(~begins & goes_on))
    # Only who found the first cell taken has lost so early.
    np.testing.assert_array_equal(outcome.reward[begins], 0)
    np.testing.assert_array_equal(outcome.reward == -1, ~goes_on)


def test_games_of_both_sides_may_begin_after_moves_at_random():
    env = envs.make("ConnectFour-v0", opening=2)
    boards = env.reset(random.key(0), 300)[1].numpy()
    counts = boards[..., :2].sum(axis=(1, 2, 3))
    assert set(counts) == {0, 1, 2}
    assert np.all((boards[..., 1].sum(axis=(1, 2)) - boards[..., 0].sum(axis=(1, 2))) == counts % 2)
    assert len(np.unique(boards[counts == 1], axis=0)) == 7
    assert not np.any(env.evaluation.reset(random.key(0), 300)[1][..., 0])


def test_the_other_side_wins_what_the_agent_loses():
    game = in_a_row.GAMES["tic_tac_toe"]
    cells = tf.reshape(tf.constant([[1, 1, 0, 2, 2, 0, 0, 0, 0], [1, 1, 0, 2, 2, 0, 0, 0, 0]]), [2, 3, 3])
    third = lambda state, key: tf.constant([2, 5])
    _, reward, ended = in_a_row.dynamics(
        in_a_row.State(cells == 1, cells == 2), tf.constant([2, 8]), random.key(0), game=game, opponent=third
    )
    np.testing.assert_array_equal(reward, [1, -1])
    np.testing.assert_array_equal(ended, [True, True])


def test_rules_to_plan_with_are_there_where_there_is_no_opponent_in_the_steps():
    spec = envs.make("TicTacToe-v0").spec
    assert (spec.model is not None, spec.num_players) == (True, 2)
    others = [envs.make("TicTacToe-v0", opponent=name).spec for name in ("random", "search")]
    assert [(spec.model, spec.num_players) for spec in others] == [(None, 1)] * 2


@pytest.mark.parametrize("wrap", [wrappers.flatten_observation, partial(wrappers.scale_reward, factor=10.0)])
def test_a_wrapper_leaves_no_rules_that_are_not_its_own_but_both_players(wrap):
    spec = wrap(envs.make("TicTacToe-v0")).spec
    assert (spec.model, spec.num_players) == (None, 2)


def test_a_game_at_random_is_valued_for_who_moves_first():
    game = in_a_row.GAMES["tic_tac_toe"]
    board = tf.constant([[1, 1, 0, 2, 1, 2, 2, 1, 2], [2, 2, 0, 1, 2, 1, 1, 2, 1], [1, 2, 1, 1, 2, 2, 2, 1, 0]])
    cells = tf.reshape(board, [3, 3, 3])
    # One cell is left: who moves wins, draws, and draws.
    value = in_a_row.playout(in_a_row.State(cells == 1, cells == 2), random.key(0), game=game)
    np.testing.assert_array_equal(value, [1, 1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opponent": "nobody"}, "opponent is 'nobody', expected one of self, random, search"),
        ({"opening": 5}, "opening is 5, expected less than 5, the moves of the shortest game"),
        ({"simulations": 0}, "simulations is 0, expected an integer of at least 1"),
        ({"game": "chess"}, "game is 'chess', expected one of tic_tac_toe, connect_four"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.make("TicTacToe-v0", **arguments)
