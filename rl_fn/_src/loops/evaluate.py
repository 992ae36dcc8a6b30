"""Whole episodes with exploration off."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops.chunks import Stopped, never
from rl_fn._src.loops.host_actors import HostPlayer
from rl_fn._src.loops.rollout import ActorsState, act_and_step, init_actors
from rl_fn._src.scan import scan
from rl_fn._src.xla.calls import graph
from rl_fn._src.xla.copies import vectorized_map
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env, judged
from rl_fn.envs.host.base import HostEnv
from rl_fn.struct import EnvSpec, Nest

MAX_STEPS = 10_000  # of an episode, where the environment has no limit of its own
_SAMPLED = 10  # of so many steps, the actions of one are shown to who watches
Watch: TypeAlias = Callable[[np.ndarray], None]


class Evaluation(NamedTuple):
    """Episodes, one per environment of a batch: `[num_episodes]`, or `[copies, num_episodes]`."""

    returns: np.ndarray  # float32
    lengths: np.ndarray  # int32
    finished: np.ndarray  # bool: false where the episode was cut at the limit of steps


def step_limit(spec: EnvSpec, max_steps: int | None) -> int:
    """The steps after which an episode is cut: those asked for, the environment's own limit, or `MAX_STEPS`.

    Raises:
      ValueError: if less than 1 is asked for.
    """
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}, expected at least 1")
    return max_steps or spec.max_episode_steps or MAX_STEPS


def evaluate(
    agent: Agent,
    env: Env,
    num_episodes: int,
    copies: bool = False,
    chunk: int = 100,
    max_steps: int | None = None,
    watch: Watch | None = None,
) -> Callable[..., Evaluation]:
    """Makes a compiled evaluation of whole episodes with exploration off, in `envs.judged(env)`.

    Every one of `num_episodes` environments plays one episode to its end, so long episodes count as
    often as short ones. Nothing of the training environments is touched.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: the environment.
      num_episodes: the number of episodes.
      copies: whether policy and key have a leading copy axis.
      chunk: the number of steps per compiled call.
      max_steps: where an episode is cut that has not ended: at the environment's own limit unless given, at
        `MAX_STEPS` if it has none.
      watch: called with a sample of the actions, `[steps, B, ...]` of every tenth step, `[copies, steps, B, ...]` of
        copies. Environments that have played their episode play on, and are in it.

    Returns:
      A function `(policy, key, stop=never) -> Evaluation`. It raises Stopped where `stop`, asked before each compiled
      call, says true.

    Raises:
      ValueError: if `max_steps` is less than 1.
    """
    env = judged(env)
    limit = step_limit(env.spec, max_steps)

    def start(key: random.Key) -> tuple[ActorsState, Evaluation]:
        nothing = Evaluation(
            tf.zeros([num_episodes]), tf.zeros([num_episodes], tf.int32), tf.zeros([num_episodes], tf.bool)
        )
        return init_actors(agent, env, num_episodes, random.fold_in(key, 0)), nothing

    def play(policy: Nest, state: tuple[ActorsState, Evaluation], key: random.Key, call: tf.Tensor) -> tuple:
        def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, tf.Tensor | None]:
            actors, sofar = carry
            actors, transition, ended = act_and_step(agent, env, policy, actors, keys, "eval")
            is_last = transition.is_last
            now = Evaluation(
                tf.where(is_last, ended.return_sum, actors.episode_return),
                tf.where(is_last, ended.length_sum, actors.episode_length),
                is_last,
            )
            return (actors, struct.where(_playing(sofar, limit), now, sofar)), transition.action if watch else None

        keys = tf.reshape(random.split(random.fold_in(key, call), 2 * chunk), [chunk, 2, 2])
        state, actions = scan(step, state, keys)
        return state, actions[::_SAMPLED] if watch else None

    def start_copies(keys: random.Key) -> Nest:
        return vectorized_map(start, keys)

    def play_copies(policies: Nest, states: Nest, keys: random.Key, call: tf.Tensor) -> Nest:
        return vectorized_map(lambda copy: play(copy[0], copy[1], copy[2], call), (policies, states, keys))

    start_fn = graph(start_copies if copies else start)
    play_fn = graph(play_copies if copies else play, jit_compile=True)

    def run(policy: Nest, key: random.Key, stop: Callable[[], bool] = never) -> Evaluation:
        state, calls = start_fn(key), 0
        while np.any(_playing(state[1], limit)):
            if stop():
                raise Stopped(f"the evaluation in {env.spec.name} was told to stop")
            calls += 1
            state, actions = play_fn(policy, state, key, tf.constant(calls))
            if watch:
                watch(actions.numpy())
        return Evaluation(*[leaf.numpy() for leaf in state[1]])

    return run


def _playing(sofar: Evaluation, limit: int) -> tf.Tensor:
    return ~sofar.finished & (sofar.lengths < limit)


def host_evaluate(
    agent: Agent, env: HostEnv, num_episodes: int, max_steps: int | None = None, watch: Watch | None = None
) -> Callable[..., Evaluation]:
    """Makes an evaluation of whole episodes in host environments, with exploration off.

    How many episodes each environment plays is settled beforehand, so long ones count as often as short ones.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: environments of their own, not those of the training; they begin anew each time.
      num_episodes: the number of episodes, over all environments.
      max_steps: where an episode is cut that has not ended: at the environment's own limit unless given, at
        `MAX_STEPS` if it has none.
      watch: called with the actions `[1, B, ...]` of every tenth step.

    Returns:
      A function `(policy, key, stop=never) -> Evaluation`. It raises Stopped where `stop`, asked before each step,
      says true.

    Raises:
      TypeError: if the environment is a compiled one.
      ValueError: if `max_steps` is less than 1.
    """
    limit = step_limit(env.spec, max_steps)
    player = HostPlayer(agent, env)
    # Episode e belongs to environment e % num_envs.
    quota = np.array([len(range(index, num_episodes, env.num_envs)) for index in range(env.num_envs)])

    def run(policy: Nest, key: random.Key, stop: Callable[[], bool] = never) -> Evaluation:
        result = Evaluation(
            np.zeros(num_episodes, np.float32), np.zeros(num_episodes, np.int32), np.zeros(num_episodes, bool)
        )
        played = np.zeros(env.num_envs, np.int64)
        steps = 0
        while np.any(played < quota):
            actors = player.begin(policy, key, stop)
            playing = played < quota  # an environment whose episode was cut cannot begin another alone
            while playing.any():
                action = actors.step(player.act).action
                if watch and steps % _SAMPLED == 0:
                    watch(action[None])
                steps += 1
                over = (actors.is_first | (actors.last_length >= limit)) & playing
                if over.any():
                    episodes = played[over] * env.num_envs + np.flatnonzero(over)
                    result.returns[episodes] = actors.last_return[over]
                    result.lengths[episodes] = actors.last_length[over]
                    result.finished[episodes] = actors.is_first[over]
                    played += over
                    playing &= (played < quota) & (~over | actors.is_first)
            key = random.fold_in(key, 0)
        return result

    return run
