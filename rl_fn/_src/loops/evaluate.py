"""Whole episodes with exploration off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops.rollout import ActorsState, Episodes, advance, init_actors
from rl_fn._src.scan import scan
from rl_fn._src.xla.copies import vectorized_map
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import Nest


def evaluate(
    agent: Agent, env: Env, num_episodes: int, copies: bool = False, chunk: int = 100
) -> Callable[[Nest, random.Key], tuple[np.ndarray, np.ndarray]]:
    """Makes a compiled evaluation of whole episodes with exploration off.

    Every one of `num_episodes` environments plays one episode to its end, so long episodes count as
    often as short ones. Nothing of the training environments is touched.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: the environment.
      num_episodes: the number of episodes.
      copies: whether policy and key have a leading copy axis.
      chunk: the number of steps per compiled call.

    Returns:
      A function `(policy, key) -> (returns, lengths)`, both `[num_episodes]` arrays, or
      `[copies, num_episodes]`.
    """

    def start(key: random.Key) -> tuple[ActorsState, Episodes]:
        none = tf.zeros([num_episodes], tf.int32)
        return init_actors(agent, env, num_episodes, random.fold_in(key, 0)), Episodes(
            none, tf.zeros([num_episodes]), none
        )

    def play(policy: Nest, state: tuple[ActorsState, Episodes], key: random.Key, call: tf.Tensor) -> tuple:
        def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, None]:
            actors, first = carry
            acted = agent.act(policy, actors.actor, actors.observation, keys[0], "eval")
            env_state, outcome = env.step(actors.env, acted.action, keys[1])
            actors, ended = advance(agent, actors, acted.actor_state, env_state, outcome.observation, outcome)
            return (actors, struct.where(first.count > 0, first, ended)), None

        keys = tf.reshape(random.split(random.fold_in(key, call), 2 * chunk), [chunk, 2, 2])
        return scan(step, state, keys)[0]

    def start_copies(keys: random.Key) -> Nest:
        return vectorized_map(start, keys)

    def play_copies(policies: Nest, states: Nest, keys: random.Key, call: tf.Tensor) -> Nest:
        return vectorized_map(lambda copy: play(copy[0], copy[1], copy[2], call), (policies, states, keys))

    start_fn = tf.function(start_copies if copies else start, autograph=False)
    play_fn = tf.function(play_copies if copies else play, jit_compile=True, autograph=False)

    def run(policy: Nest, key: random.Key) -> tuple[np.ndarray, np.ndarray]:
        state, calls = start_fn(key), 0
        while not np.all(state[1].count.numpy()):
            calls += 1
            state = play_fn(policy, state, key, tf.constant(calls))
        return state[1].return_sum.numpy(), state[1].length_sum.numpy()

    return run
