"""One training iteration as a function of the state, and a run of them in chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import shards
from rl_fn._src.loops import answers
from rl_fn._src.loops.chunks import Chunk, StepReport, Stop, iterations_done, never, nonfinite_metrics, summarize
from rl_fn._src.loops.compile import Running, check_specs
from rl_fn._src.loops.rollout import ActorsState, Episodes, init_actors, rollout
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import Nest


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
      env: the environments, as many as the agent's schedule says.
      key: `uint32[2]`.

    Raises:
      TypeError: if the environment is not a compiled one, or the agent's state has no field `policy`.
    """
    _check_compiled("init_state", env)
    agent_key, env_key, run_key = tf.unstack(random.split(key, 3))
    agent_state = answers.begun(agent, agent_key)
    lag = agent.schedule.actor_lag
    policies = struct.stack([agent_state.policy] * lag) if lag else ()
    actors = init_actors(agent, env, agent.schedule.num_envs, env_key)
    return TrainState(agent_state, actors, run_key, tf.constant(0), policies)


def train_step(agent: Agent, env: Env) -> Callable[[TrainState], tuple[TrainState, StepReport]]:
    """Makes one training iteration: a rollout, and the agent's update on it.

    Args:
      agent: what acts and learns, as its schedule says: the acting policy is `actor_lag` updates behind the learner,
        as the actors of an asynchronous system are; the first rollouts act with the initial one.
      env: the environments.

    Returns:
      A pure function `TrainState -> (TrainState, StepReport)`. It raises ValueError for a state of another number of
      environments or another lag than the schedule's, or of other environments.

    Raises:
      TypeError: if the environment is not a compiled one.
    """
    _check_compiled("train_step", env)
    actor_lag = agent.schedule.actor_lag

    def step(state: TrainState) -> tuple[TrainState, StepReport]:
        _check_state(state, agent, env)
        rollout_key, update_key = tf.unstack(random.split(random.fold_in(state.key, state.iteration)))
        acting = tf.nest.map_structure(lambda leaf: leaf[0], state.policies) if actor_lag else state.agent.policy
        actors, (trajectory, episodes) = rollout(agent, env, acting, state.actors, rollout_key)
        trajectory = shards.gathered(trajectory, axis=1)
        agent_state, metrics = answers.updated(agent, state.agent, trajectory, update_key)
        totals = shards.total(Episodes(*[tf.cast(tf.reduce_sum(total), tf.float32) for total in episodes]))
        policies = _pushed(state.policies, state.agent.policy) if actor_lag else ()
        after = TrainState(agent_state, actors, state.key, state.iteration + 1, policies)
        return after, StepReport(metrics, totals)

    return step


def _pushed(policies: Nest, newest: Nest) -> Nest:
    return tf.nest.map_structure(lambda old, new: tf.concat([old[1:], new[tf.newaxis]], axis=0), policies, newest)


def train(
    compiled: Running,
    iterations: int,
    *,
    start: int | None = None,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
    stop: Stop = never,
) -> Iterator[Chunk]:
    """Runs a compiled training step in chunks, and hands over between them.

    Whatever belongs between chunks (logging, evaluation, checkpoints) is the body of the caller's `for`
    loop. The length of the chunks has no influence on the state.

    Args:
      compiled: from `compile(train_step(...), ...)`, or of its copies.
      iterations: the number of iterations to reach.
      start: the number of iterations done already; as the state says unless given.
      chunk_seconds: how long a chunk should take.
      max_chunk: the largest number of iterations in a chunk.
      pause_every: end a chunk at every multiple of this number of iterations.
      stop: asked before each chunk; where it says true, there are no more.

    Returns:
      An iterator that yields a Chunk after each compiled call.

    Raises:
      ValueError: if `start` is not where the state is.
    """
    done = iterations_done("train", compiled, start)
    return _chunks(compiled, done, iterations, chunk_seconds, max_chunk, pause_every, stop)


def _chunks(
    compiled: Running,
    done: int,
    iterations: int,
    chunk_seconds: float,
    max_chunk: int | None,
    pause_every: int | None,
    stop: Stop,
) -> Iterator[Chunk]:
    size, first = 1, True
    while done < iterations and not stop():
        size = min(size, iterations - done, max_chunk or iterations)
        if pause_every:
            size = min(size, pause_every - done % pause_every)
        begin = time.perf_counter()
        sums = compiled.run(size)
        seconds = time.perf_counter() - begin
        done += size
        yield Chunk(done, size, seconds, first, *summarize(sums, size), nonfinite_metrics(sums))
        # The first call compiles, so the speed is first known after the second.
        size = size if first else max(1, min(int(size * chunk_seconds / max(seconds, 1e-9)), 8 * size))
        first = False


def _check_compiled(label: str, env: Any) -> None:
    if not isinstance(env, Env):
        raise TypeError(f"{label}: env is a {type(env).__name__}, expected a compiled one (envs.Env); see `host_train`")


def _check_state(state: TrainState, agent: Agent, env: Env) -> None:
    num_envs, _, lag = agent.schedule
    num_envs //= shards.count()
    if (given := state.actors.episode_return.shape[0]) != num_envs:
        raise ValueError(f"train_step: the state has {given} environments, expected the schedule's num_envs {num_envs}")
    waiting = tf.nest.flatten(state.policies)
    if (given := waiting[0].shape[0] if waiting else 0) != lag:
        raise ValueError(f"train_step: the state keeps {given} policies, expected the schedule's actor_lag {lag}")
    ahead = lambda size: lambda leaf: tf.TensorSpec([size, *leaf.shape], leaf.dtype)
    expected = {
        "observation": tf.nest.map_structure(ahead(num_envs), struct.space_spec(env.spec.observation_space)),
        "actor": agent.init_actor(num_envs),
        "policies": tf.nest.map_structure(ahead(lag), state.agent.policy) if lag else (),
    }
    given = {"observation": state.actors.observation, "actor": state.actors.actor, "policies": state.policies}
    check_specs(f"train_step: the state does not fit the agent and {env.spec.name}", given, expected)
