"""UmbrellaChain-bsuite, compiled: the first action decides on the last reward, and noise lies between.

From the Behaviour Suite of Osband et al. (2020), "Behaviour Suite for reinforcement learning": its experiments
on the length of credit assignment and on distractors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing import grids
from rl_fn.envs.drawing.grids import Strip
from rl_fn.struct import EnvSpec


class State(NamedTuple):
    time: tf.Tensor  # int32[B]: steps taken
    need: tf.Tensor  # bool[B]: whether it will rain
    has: tf.Tensor  # bool[B]: whether the agent has an umbrella
    distractors: tf.Tensor  # bool[B, n_distractor]: new in every step


def make(chain_length: int = 10, n_distractor: int = 0) -> Env:
    """Makes UmbrellaChain; an episode terminates after `chain_length` steps.

    Observations are `float32[1, 3 + n_distractor]`: whether an umbrella is needed, whether the agent has
    one, the time left, and the distractors, fair coins. The first action takes an umbrella (1) or leaves
    it (0), the others have no effect. The last reward is 1 if the agent has what it needs, else -1; those
    before are 1 or -1 by a fair coin.

    Args:
      chain_length: at least 1.
      n_distractor: at least 0.

    Raises:
      ValueError: if one is not an integer, or too small.
    """
    chain_length = arguments.integer("chain_length", chain_length, 1)
    n_distractor = arguments.integer("n_distractor", n_distractor, 0)
    spec = EnvSpec("UmbrellaChain-bsuite", spaces.Box(0, 1, (1, 3 + n_distractor), np.float32), spaces.Discrete(2))
    return auto_reset(
        spec,
        start=partial(start, n_distractor=n_distractor),
        dynamics=partial(dynamics, chain_length=chain_length),
        observe=partial(observe, chain_length=chain_length),
        render=partial(render, chain_length=chain_length),
    )


def start(key: random.Key, batch_size: int, *, n_distractor: int) -> State:
    """States in which it will rain or not, with an umbrella or without one."""
    coins = random.coins(key, [batch_size, 2 + n_distractor])
    return State(tf.zeros([batch_size], tf.int32), coins[:, 0], coins[:, 1], coins[:, 2:])


def dynamics(
    state: State, action: tf.Tensor, key: random.Key, *, chain_length: int
) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions, of which only the first has an effect."""
    coins = random.coins(key, [state.time.shape[0], 1 + state.distractors.shape[1]])
    has = tf.where(state.time == 0, tf.cast(action, tf.int32) == 1, state.has)
    time = state.time + 1
    over = time == chain_length
    reward = tf.where(tf.where(over, has == state.need, coins[:, 0]), 1.0, -1.0)
    return State(time, state.need, has, coins[:, 1:]), reward, over


def observe(state: State, *, chain_length: int) -> tf.Tensor:
    """Need, umbrella, time left and distractors, `float32[B, 1, 3 + n_distractor]`."""
    left = tf.cast(chain_length - state.time, tf.float32) / chain_length
    need, has, distractors = (tf.cast(x, tf.float32) for x in (state.need, state.has, state.distractors))
    return tf.concat([tf.stack([need, has, left], axis=1), distractors], axis=1)[:, tf.newaxis]


def render(state: State, *, chain_length: int) -> np.ndarray:
    """The time, the need, the umbrella, and the distractors where there are some."""
    strips = [
        grids.progress(int(state.time), chain_length),
        _lamps(f"UMBRELLA NEEDED: {'YES' if state.need else 'NO'}", [state.need]),
        _lamps(f"UMBRELLA AT HAND: {'YES' if state.has else 'NO'}", [state.has]),
    ]
    return grids.draw_strips([*strips, _lamps("DISTRACTORS", state.distractors)] if len(state.distractors) else strips)


def _lamps(label: str, values: Sequence[Any]) -> Strip:
    return Strip(label, [grids.ORANGE if value else grids.BLUE for value in values])
