"""MemoryChain-bsuite, compiled: bits are shown once, and one of them is asked for at the end.

From the Behaviour Suite of Osband et al. (2020), "Behaviour Suite for reinforcement learning": its experiments
on the length and the size of memory.
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


class State(NamedTuple):
    time: tf.Tensor  # int32[B]: steps taken
    context: tf.Tensor  # bool[B, num_bits]
    query: tf.Tensor  # int32[B]: the bit that will be asked for


def make(memory_length: int = 5, num_bits: int = 1) -> Env:
    """Makes MemoryChain; an episode terminates after `memory_length + 1` steps.

    Observations are `float32[1, 2 + num_bits]`: the time left, the query and the bits, as -1 and 1. As in
    the package bsuite, what a step returns is what was there before it, so the first observation appears
    twice, with the bits; they are zero afterwards. The query is zero except before the last step.
    The only reward is that of the last step: 1 if the action is the bit asked for, else -1.

    Args:
      memory_length: at least 1.
      num_bits: at least 1.

    Raises:
      ValueError: if one is not an integer, or too small.
    """
    memory_length = arguments.integer("memory_length", memory_length, 1)
    num_bits = arguments.integer("num_bits", num_bits, 1)
    low = np.array([[0, 0, *[-1] * num_bits]], np.float32)
    high = np.array([[1, num_bits - 1, *[1] * num_bits]], np.float32)
    spec = EnvSpec("MemoryChain-bsuite", spaces.Box(low, high), spaces.Discrete(2))
    return auto_reset(
        spec,
        start=partial(start, num_bits=num_bits),
        dynamics=partial(dynamics, memory_length=memory_length),
        observe=partial(observe, memory_length=memory_length),
        render=partial(render, memory_length=memory_length),
    )


def start(key: random.Key, batch_size: int, *, num_bits: int) -> State:
    """States with any bits, one of which will be asked for."""
    # One draw for both: with a `randint` for the query the compiled step took several times as long.
    coins = random.coins(key, [batch_size, 24 + num_bits])
    unit = tf.reduce_sum(tf.where(coins[:, :24], 0.5 ** np.arange(1, 25, dtype=np.float32), 0.0), axis=1)
    query = tf.cast(unit * num_bits, tf.int32)
    return State(tf.zeros([batch_size], tf.int32), coins[:, 24:], query)


def dynamics(
    state: State, action: tf.Tensor, key: random.Key, *, memory_length: int
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions, of which only the last has an effect."""
    del key  # deterministic
    asked = tf.range(state.context.shape[1]) == state.query[:, tf.newaxis]
    answer = tf.reduce_any(state.context & asked, axis=1)
    over = state.time == memory_length
    reward = tf.where(tf.cast(action, tf.int32) == tf.cast(answer, tf.int32), 1.0, -1.0)
    return state._replace(time=state.time + 1), tf.where(over, reward, 0.0), over


def observe(state: State, *, memory_length: int) -> tf.Tensor:
    """The time left, the query and the bits, `float32[B, 1, 2 + num_bits]`."""
    time = tf.maximum(state.time - 1, 0)
    left = tf.cast(memory_length - time, tf.float32) / memory_length
    query = tf.cast(tf.where(time == memory_length - 1, state.query, 0), tf.float32)
    bits = tf.where(time[:, tf.newaxis] == 0, tf.where(state.context, 1.0, -1.0), 0.0)
    return tf.concat([left[:, tf.newaxis], query[:, tf.newaxis], bits], axis=1)[:, tf.newaxis]


def render(state: State, *, memory_length: int) -> np.ndarray:
    """The time, the bits, and the one that is asked for."""
    time = int(state.time)
    shown, asked = time <= 1, max(time - 1, 0) == memory_length - 1
    colors = [grids.ORANGE if bit else grids.BLUE for bit in state.context]
    query = [Mark(0, int(state.query), grids.WHITE, "diamond")] if asked else []
    return grids.draw_strips(
        [
            grids.progress(time, memory_length + 1),
            Strip(f"BITS: {'SHOWN' if shown else 'HIDDEN'}, BLUE IS 0, ORANGE IS 1", colors),
            Strip(f"QUERY: {'WHICH BIT WAS HERE' if asked else 'NOT YET'}", [grids.GREY] * len(colors), query),
        ]
    )
