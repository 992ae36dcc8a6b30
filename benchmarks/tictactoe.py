"""Whether what has learned TicTacToe ever loses: its moves against all that the other side can do.

    python benchmarks/tictactoe.py runs/tictactoe

Connect Four has too many positions for that; it is judged in games against a search with games at random:

    rl-fn evaluate runs/connect_four --env_kwargs "opponent=search,simulations=200" --episodes 100
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf

from rl_fn import random, runs
from rl_fn.agents.base import Agent
from rl_fn.envs.compiled import in_a_row
from rl_fn.struct import Nest

GAME = in_a_row.GAMES["tic_tac_toe"]
BATCH = 128  # positions that are searched together


def results(agent: Agent, policy: Nest) -> Counter[str]:
    """How all games end that the other side can choose, with the agent first and with the agent second."""

    @tf.function(jit_compile=True, autograph=False)
    def chosen(policy: Nest, boards: tf.Tensor) -> tf.Tensor:
        observation = in_a_row.observe(in_a_row.State(boards[:, 0], boards[:, 1]), game=GAME)
        return agent.act(policy, agent.init_actor(BATCH), observation, random.key(0), "eval").action

    def moved(boards: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        state, reward, ended = in_a_row.play(
            in_a_row.State(boards[:, 0], boards[:, 1]), tf.constant(actions), game=GAME
        )
        return np.stack([state.mine, state.theirs], axis=1), reward.numpy(), ended.numpy()

    def answers(boards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        which, actions = np.nonzero(~boards.any(axis=1).reshape(len(boards), 9))
        return boards[which], actions.astype(np.int32)

    ends: Counter[str] = Counter()
    empty = np.zeros((1, 2, 3, 3), bool)
    waiting = np.concatenate([empty, moved(*answers(empty))[0]])
    while len(waiting):
        padded = np.concatenate([waiting, np.zeros((-len(waiting) % BATCH, 2, 3, 3), bool)])
        batches = [chosen(policy, tf.constant(part)) for part in np.split(padded, len(padded) // BATCH)]
        boards, reward, ended = moved(waiting, np.concatenate(batches)[: len(waiting)])
        ends["invalid"] += int(np.sum(reward < 0))
        ends["won"] += int(np.sum(reward > 0))
        ends["drawn"] += int(np.sum(ended & (reward == 0)))
        boards, reward, ended = moved(*answers(boards[~ended]))
        ends["lost"] += int(np.sum(reward > 0))
        ends["drawn"] += int(np.sum(ended & (reward == 0)))
        waiting = np.unique(boards[~ended], axis=0)
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    loaded = runs.load(parser.parse_args().run)
    print(dict(results(loaded.agent, loaded.policy.params)))
