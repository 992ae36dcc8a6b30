"""One training iteration as a function of the state, and a run of them in chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops.compile import Compiled
from rl_fn._src.loops.rollout import ActorsState, init_actors, rollout
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import Metrics, Nest


class TrainState(NamedTuple):
    """Everything a run is: equal states have equal futures."""

    agent: Any
    actors: ActorsState
    key: tf.Tensor  # uint32[2]: never changes; an iteration folds its number in
    iteration: tf.Tensor  # int32[]: rollouts (and updates) so far
    policies: Nest  # [actor_lag, ...]: what actors are still to act with, the next one first; () without a lag


def init_state(agent: Agent, env: Env, key: random.Key) -> TrainState:
    """The state at the start of a run, a function of the key alone.

    Args:
      agent: whose `init` makes its state.
      env: the environments.
      key: `uint32[2]`.
    """
    agent_key, env_key, run_key = tf.unstack(random.split(key, 3))
    agent_state = agent.init(agent_key)
    lag = agent.schedule.actor_lag
    policies = struct.stack([agent_state.policy] * lag) if lag else ()
    actors = init_actors(agent, env, agent.schedule.num_envs, env_key)
    return TrainState(agent_state, actors, run_key, tf.constant(0), policies)


def train_step(agent: Agent, env: Env) -> Callable[[TrainState], tuple[TrainState, Metrics]]:
    """Makes one training iteration: a rollout, and the agent's update on it.

    Args:
      agent: what acts and learns, as its schedule says: the acting policy is `actor_lag` updates behind the learner,
        as the actors of an asynchronous system are; the first rollouts act with the initial one.
      env: the environments.

    Returns:
      A pure function `TrainState -> (TrainState, metrics)`. Its metrics are the agent's, and
      `episode_count`, `episode_return_sum` and `episode_length_sum` of the episodes that ended.
    """

    _, rollout_length, actor_lag = agent.schedule

    def step(state: TrainState) -> tuple[TrainState, Metrics]:
        rollout_key, update_key = tf.unstack(random.split(random.fold_in(state.key, state.iteration)))
        acting = tf.nest.map_structure(lambda leaf: leaf[0], state.policies) if actor_lag else state.agent.policy
        actors, (trajectory, episodes) = rollout(agent, env, acting, state.actors, rollout_key, rollout_length)
        agent_state, metrics = agent.update(state.agent, trajectory, update_key)
        totals = {
            f"episode_{name}": tf.cast(tf.reduce_sum(total), tf.float32) for name, total in episodes._asdict().items()
        }
        policies = _pushed(state.policies, state.agent.policy) if actor_lag else ()
        return TrainState(agent_state, actors, state.key, state.iteration + 1, policies), {**metrics, **totals}

    return step


def _pushed(policies: Nest, newest: Nest) -> Nest:
    return tf.nest.map_structure(lambda old, new: tf.concat([old[1:], new[tf.newaxis]], axis=0), policies, newest)


class Chunk(NamedTuple):
    """What `train` reports between two compiled calls."""

    iteration: int  # iterations done in all
    iterations: int  # of these, in this chunk
    seconds: float  # this chunk took; the first of a run includes compilation
    compiled: bool  # whether this chunk compiled the step
    metrics: dict[str, np.ndarray]  # means over the chunk; episodes as `summarize` says


def train(
    compiled: Compiled,
    iterations: int,
    *,
    start: int = 0,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
) -> Iterator[Chunk]:
    """Runs a compiled training step in chunks, and hands over between them.

    Whatever belongs between chunks (logging, evaluation, checkpoints, a signal to stop) is the body of
    the caller's `for` loop. The length of the chunks has no influence on the state.

    Args:
      compiled: from `compile(train_step(...), ...)`, or of its copies.
      iterations: the number of iterations to reach.
      start: the number of iterations done already.
      chunk_seconds: how long a chunk should take.
      max_chunk: the largest number of iterations in a chunk.
      pause_every: end a chunk at every multiple of this number of iterations.

    Yields:
      A Chunk after each compiled call.
    """
    done, size, first = start, 1, True
    while done < iterations:
        size = min(size, iterations - done, max_chunk or iterations)
        if pause_every:
            size = min(size, pause_every - done % pause_every)
        begin = time.perf_counter()
        sums = compiled.run(size)
        seconds = time.perf_counter() - begin
        done += size
        yield Chunk(done, size, seconds, first, summarize(sums, size))
        # The first call compiles, so the speed is first known after the second.
        size = size if first else max(1, min(int(size * chunk_seconds / max(seconds, 1e-9)), 8 * size))
        first = False


def summarize(sums: dict[str, np.ndarray], iterations: int) -> dict[str, np.ndarray]:
    """Turns sums over iterations into means, and episode totals into means over episodes.

    `episode_return` and `episode_length` are NaN where no episode ended.
    """
    means = {name: value / iterations for name, value in sums.items() if not name.startswith("episode_")}
    if "episode_count" in sums:
        count = sums["episode_count"]
        some = np.where(count > 0, count, np.nan)
        means["episode_return"] = sums["episode_return_sum"] / some
        means["episode_length"] = sums["episode_length_sum"] / some
        means["episode_count"] = count
    return means
