"""TicTacToe and Connect Four, compiled: two players in turns, and who first has enough stones in a row wins.

The one who moves sees the board as theirs, so that one policy plays both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import planning, random, struct
from rl_fn._src import arguments
from rl_fn._src.shapes import sizes_of
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.struct import EnvSpec, Model

OPPONENTS = ("self", "random", "search")


class Game(NamedTuple):
    """What tells the games apart."""

    name: str
    rows: int
    columns: int
    length: int  # of the row that wins
    falls: bool  # whether stones fall down a column, which is the action; else the action is the cell

    @property
    def actions(self) -> np.ndarray:
        """Of each cell the action that fills it, `int32[rows, columns]`."""
        cells = np.arange(self.rows * self.columns, dtype=np.int32).reshape(self.rows, self.columns)
        return cells % self.columns if self.falls else cells

    @property
    def lines(self) -> np.ndarray:
        """All rows that win, `float32[rows * columns, lines]`, 1 where a cell is part of one."""
        found = []
        for row, column in np.ndindex(self.rows, self.columns):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                cells = [(row + down * step, column + right * step) for step in range(self.length)]
                if 0 <= cells[-1][1] < self.columns and cells[-1][0] < self.rows:
                    board = np.zeros((self.rows, self.columns), np.float32)
                    board[tuple(zip(*cells, strict=True))] = 1
                    found.append(board.reshape(-1))
        return np.stack(found, axis=-1)


GAMES = {
    "tic_tac_toe": Game("TicTacToe-v0", 3, 3, 3, falls=False),
    "connect_four": Game("ConnectFour-v0", 6, 7, 4, falls=True),
}
# (state, key) -> action int32[B]
Opponent = Callable[["State", random.Key], tf.Tensor]


class State(NamedTuple):
    mine: tf.Tensor  # bool[B, rows, columns]: the stones of the one who moves
    theirs: tf.Tensor  # bool[B, rows, columns]


def make(game: str, opponent: str = "self", simulations: int = 200, opening: int = 0) -> Env:
    """Makes one of the games; it terminates with a win, a full board, or an invalid action, which loses.

    Observations are `float32[rows, columns, 3]`, 1 where the one who moves has a stone, where the other has one, and
    where one can be put now: what is 0 there is invalid. Rewards are 1 for winning and -1 for losing, of the one who
    moved. Where both sides are played, the loser's never moves, and is given nothing; evaluations play against moves at
    random.

    Args:
      game: one of GAMES. In TicTacToe an action is one of 9 cells, in Connect Four one of 7 columns.
      opponent: "self", where each step is a move of the one or the other side, with rules to plan with; or who else
        moves after each action, and first in every second game: "random", or "search", a Monte-Carlo tree search with
        random games to the end.
      simulations: of that search, for each of its moves.
      opening: moves at random, up to so many, before a game of both sides begins; they cannot end it. What plays
        against itself sees the same few games otherwise.

    Raises:
      ValueError: if a value is not allowed; the message names it.
    """
    if game not in GAMES:
        raise ValueError(f"game is {game!r}, expected one of {', '.join(GAMES)}")
    if opponent not in OPPONENTS:
        raise ValueError(f"opponent is {opponent!r}, expected one of {', '.join(OPPONENTS)}")
    simulations, rules = arguments.integer("simulations", simulations, 1), GAMES[game]
    opening, shortest = arguments.integer("opening", opening, 0), 2 * rules.length - 1
    if opening >= shortest:
        raise ValueError(f"opening is {opening}, expected less than {shortest}, the moves of the shortest game")
    model = Model(from_observation, partial(observe, game=rules), partial(valid_actions, game=rules), _played(rules))
    spec = EnvSpec(
        rules.name,
        spaces.Box(0, 1, (rules.rows, rules.columns, 3), np.float32),
        spaces.Discrete(int(rules.actions.max()) + 1),
        model=model if opponent == "self" else None,  # which has no opponent in it
        num_players=2 if opponent == "self" else 1,
    )
    other: dict[str, Opponent | None] = {
        "self": None,
        "random": partial(random_move, game=rules),
        "search": partial(searched_move, game=rules, simulations=simulations),
    }
    env = auto_reset(
        spec,
        start=partial(start, game=rules, opponent=other[opponent], opening=opening),
        dynamics=partial(dynamics, game=rules, opponent=other[opponent]),
        observe=model.observe,
        render=render,
    )
    return env._replace(evaluation=make(game, "random") if opponent == "self" else None)


def start(key: random.Key, batch_size: int, *, game: Game, opponent: Opponent | None, opening: int) -> State:
    """Empty boards, or after an opening; where there is an opponent, every second time with a stone of theirs."""
    nothing = tf.zeros([batch_size, game.rows, game.columns], tf.bool)
    state = State(nothing, nothing)
    count_key, move_key = tf.unstack(random.split(key))
    most = opening if opponent is None else 1
    count = random.randint(count_key, [batch_size], 0, most + 1)
    for index in range(most):
        move = opponent or partial(random_move, game=game)
        moved, *_ = play(state, move(state, random.fold_in(move_key, index)), game=game)
        state = struct.where(index < count, moved, state)
    return state


def dynamics(
    state: State, action: tf.Tensor, key: random.Key, *, game: Game, opponent: Opponent | None
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """A move under `int[B]` actions and, where there is an opponent, the answer."""
    moved, reward, ended = play(state, action, game=game)
    if opponent is None:
        return moved, reward, ended
    answered, their_reward, their_end = play(moved, opponent(moved, key), game=game)
    # What ended with the first of the two moves is seen by the one who lost it, as where both sides are played.
    return struct.where(ended, moved, answered), tf.where(ended, reward, 0.0 - their_reward), ended | their_end


def play(state: State, action: tf.Tensor, *, game: Game) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One move of the one whose turn it is; the state after it is the other's."""
    chosen = tf.constant(game.actions) == tf.cast(action, tf.int32)[:, tf.newaxis, tf.newaxis]
    put = playable(state, game=game) & chosen
    is_valid = tf.reduce_any(put, axis=[1, 2])
    mine = state.mine | put
    stones = tf.reshape(tf.cast(mine, tf.float32), [-1, game.rows * game.columns])
    won = tf.reduce_max(tf.matmul(stones, tf.constant(game.lines)), axis=-1) > game.length - 0.5
    full = tf.reduce_all(mine | state.theirs, axis=[1, 2])
    reward = tf.where(is_valid, tf.cast(won, tf.float32), -1.0)
    return State(state.theirs, mine), reward, won | full | ~is_valid


def playable(state: State, *, game: Game) -> tf.Tensor:
    """Where a stone can be put, `bool[B, rows, columns]`."""
    free = ~(state.mine | state.theirs)
    if not game.falls:
        return free
    bottom = tf.reduce_sum(tf.cast(free, tf.int32), axis=1, keepdims=True) - 1  # the last free row of each column
    return tf.range(game.rows)[:, tf.newaxis] == bottom


def valid_actions(state: State, *, game: Game) -> tf.Tensor:
    """The actions of the cells where a stone can be put, `bool[B, A]`; all of them on a full board."""
    can = playable(state, game=game)
    can = tf.reduce_any(can, axis=1) if game.falls else tf.reshape(can, [-1, game.rows * game.columns])
    return can | ~tf.reduce_any(can, axis=-1, keepdims=True)


def observe(state: State, *, game: Game) -> tf.Tensor:
    """What there is in each cell, `float32[B, rows, columns, 3]`."""
    return tf.cast(tf.stack([state.mine, state.theirs, playable(state, game=game)], axis=-1), tf.float32)


def from_observation(observation: tf.Tensor) -> State:
    """The state that looks like this."""
    return State(observation[..., 0] > 0.5, observation[..., 1] > 0.5)


def random_move(state: State, key: random.Key, *, game: Game) -> tf.Tensor:
    """A valid action, each with the same probability."""
    return random.categorical(key, _logits(valid_actions(state, game=game)))


def searched_move(state: State, key: random.Key, *, game: Game, simulations: int) -> tf.Tensor:
    """The action of most visits in a Monte-Carlo tree search without anything learned.

    Each simulation ends with a game of random moves on both sides, whose result is the value of where it begins.
    """

    def recurrent_fn(params: None, key: random.Key, action: tf.Tensor, state: State) -> tuple:
        state, reward, ended = play(state, action, game=game)
        logits = _logits(valid_actions(state, game=game))
        return planning.ModelStep(reward, tf.cast(ended, tf.float32) - 1, logits, playout(state, key, game=game)), state

    root = planning.Root(_logits(valid_actions(state, game=game)), tf.zeros(sizes_of(state.mine)[:1]), state)
    tree = planning.search(None, key, root, recurrent_fn, planning.uct, planning.uct, simulations)
    return tf.argmax(planning.root_node(tree).child_visits, axis=-1, output_type=tf.int32)


def playout(state: State, key: random.Key, *, game: Game) -> tf.Tensor:
    """The result of a game at random, `float32[B]`, for the one who moves first in it."""

    def move(count: tf.Tensor, state: State, ended: tf.Tensor, result: tf.Tensor) -> tuple:
        after, reward, over = play(state, random_move(state, random.fold_in(key, count), game=game), game=game)
        sign = 1 - 2 * tf.cast(count % 2, tf.float32)
        return count + 1, after, ended | over, tf.where(ended, result, sign * reward)

    nothing = tf.zeros_like(state.mine[:, 0, 0])
    begin = (tf.constant(0), state, nothing, tf.cast(nothing, tf.float32))
    return tf.while_loop(lambda count, state, ended, result: ~tf.reduce_all(ended), move, begin)[3]


def render(state: State) -> np.ndarray:
    """The board, with the stones of the one who began in orange."""
    mine, theirs = np.asarray(state.mine), np.asarray(state.theirs)
    first, second = (mine, theirs) if mine.sum() == theirs.sum() else (theirs, mine)
    colors = np.full((*mine.shape, 3), grids.EMPTY, np.uint8)
    stones = [(first, grids.ORANGE), (second, grids.SKY_BLUE)]
    marks = [grids.Mark(int(row), int(column), color) for who, color in stones for row, column in np.argwhere(who)]
    return grids.draw_cells(colors, marks)


def _played(game: Game) -> Callable[[State, tf.Tensor, random.Key], tuple[State, tf.Tensor, tf.Tensor]]:
    return lambda state, action, key: play(state, action, game=game)


def _logits(valid: tf.Tensor) -> tf.Tensor:
    return tf.where(valid, 0.0, float("-inf"))
