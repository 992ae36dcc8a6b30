"""DiscountingChain-bsuite, compiled: the first action chooses how long to wait for the only reward.

From the Behaviour Suite of Osband et al. (2020), "Behaviour Suite for reinforcement learning": its experiment
on discounting.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.envs.drawing.grids import Mark, Strip
from rl_fn.struct import EnvSpec

LENGTH = 100  # of an episode, in steps
REWARD_TIMES = (1, 3, 10, 30, 100)  # the step that pays, by chain
BONUS = 0.1


class State(NamedTuple):
    time: tf.Tensor  # int32[B]: steps taken
    chain: tf.Tensor  # int32[B]: the first action, -1 before it


def make(mapping_seed: int = 0) -> Env:
    """Makes DiscountingChain; an episode terminates after 100 steps.

    Observations are `float32[1, 2]`: the chain, -1 before the first action, and the part of the time that
    has passed. The first of the five actions chooses a chain, which pays 1 after 1, 3, 10, 30 or 100
    steps; the others have no effect. One chain pays 1.1.

    Args:
      mapping_seed: at least 0; the chain that pays more is this, modulo 5.

    Raises:
      ValueError: if it is not an integer, or negative.
    """
    best = arguments.integer("mapping_seed", mapping_seed, 0) % len(REWARD_TIMES)
    low, high = np.array([[-1, 0]], np.float32), np.array([[len(REWARD_TIMES) - 1, 1]], np.float32)
    spec = EnvSpec("DiscountingChain-bsuite", spaces.Box(low, high), spaces.Discrete(len(REWARD_TIMES)))
    return auto_reset(spec, start, partial(dynamics, best=best), observe, partial(render, best=best))


def start(key: random.Key, batch_size: int) -> State:
    """States in which no chain is chosen yet."""
    del key  # always the same
    return State(tf.zeros([batch_size], tf.int32), tf.fill([batch_size], -1))


def dynamics(state: State, action: tf.Tensor, key: random.Key, *, best: int) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions; `best` is the chain that pays more."""
    del key  # deterministic
    chain = tf.where(state.time == 0, tf.cast(action, tf.int32), state.chain)
    time = state.time + 1
    pays = time == tf.gather(REWARD_TIMES, chain)
    reward = tf.where(pays, tf.where(chain == best, 1 + BONUS, 1.0), 0.0)
    return State(time, chain), reward, time == LENGTH


def observe(state: State) -> tf.Tensor:
    """The chain and the part of the time that has passed, `float32[B, 1, 2]`."""
    passed = tf.cast(state.time, tf.float32) / LENGTH
    return tf.stack([tf.cast(state.chain, tf.float32), passed], axis=1)[:, tf.newaxis]


def render(state: State, *, best: int) -> np.ndarray:
    """The time, and a row for each chain with the step that pays."""
    strips = [grids.progress(int(state.time), LENGTH)]
    for chain, reward_time in enumerate(REWARD_TIMES):
        chosen = chain == int(state.chain)
        colors = [grids.BLUE if chosen else grids.LINE] * (LENGTH + 1)
        colors[reward_time] = grids.YELLOW
        pay = 1 + BONUS * (chain == best)
        label = f"CHAIN {chain} PAYS {pay:.1f} AFTER {reward_time}{': CHOSEN' if chosen else ''}"
        strips.append(Strip(label, colors, [Mark(0, int(state.time), grids.ORANGE)] if chosen else ()))
    return grids.draw_strips(strips)
