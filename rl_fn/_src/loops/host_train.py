"""Training in host environments: the agent's functions compiled, the steps in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import tensorflow as tf

from rl_fn._src.loops.chunks import (
    Chunk,
    StepReport,
    Stop,
    Stopped,
    chunked,
    iterations_done,
    never,
)
from rl_fn._src.loops.compile import Compiled
from rl_fn._src.loops.host_actors import HostActors, check_host, env_seed, iteration_keys
from rl_fn._src.loops.learners import HostState, make_learner
from rl_fn.agents.base import Agent
from rl_fn.envs.host.base import HostEnv


def host_train(
    agent: Agent,
    env: HostEnv,
    compiled: Compiled,
    iterations: int,
    *,
    start: int | None = None,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
    stop: Stop = never,
) -> Iterator[Chunk]:
    """Trains in host environments and hands over between chunks, as `train` does in compiled ones.

    The environments begin new episodes, with seeds that follow from the state's key and its iteration. Where the state
    has seen others, `agent.cut` ends there what waits for their next steps.

    Args:
      agent: the agent, by whose schedule acting and updating take turns, or overlap: see `InTurnLearner` and
        `LaggingLearner`.
      env: the environments.
      compiled: from `compile(host_step(agent), init_host_state(agent, key))`.
      iterations: the number of iterations to reach.
      start: the number of iterations done already; as the state says unless given.
      chunk_seconds: how long a chunk should take.
      max_chunk: the largest number of iterations in a chunk.
      pause_every: end a chunk at every multiple of this number of iterations.
      stop: asked before each step, and twice a second while environments in threads or processes are awaited. Where it
        says true, the rollout is abandoned; a chunk with the iterations done before it is the last.

    Returns:
      An iterator that yields a Chunk when all updates of its iterations are done. Where the environments cannot be gone
      on with, it raises EnvFailed or NonFiniteError, as HostActors does, after the chunk with the iterations before.

    Raises:
      TypeError: if the environment is a compiled one.
      ValueError: if the number of environments is not that of the agent's schedule, or `start` is not where the state
        is.
    """
    check_host("host_train", env)
    if env.num_envs != agent.schedule.num_envs:
        raise ValueError(
            f"host_train: {env.spec.name} has num_envs {env.num_envs}, "
            f"expected {agent.schedule.num_envs} as in the agent's schedule"
        )
    done = iterations_done("host_train", compiled, start)
    return _chunks(agent, env, compiled, done, iterations, chunk_seconds, max_chunk, pause_every, stop)


def _chunks(
    agent: Agent,
    env: HostEnv,
    compiled: Compiled,
    done: int,
    iterations: int,
    chunk_seconds: float,
    max_chunk: int | None,
    pause_every: int | None,
    stop: Stop,
) -> Iterator[Chunk]:
    if done:
        compiled.replacer(lambda state: state._replace(agent=agent.cut(state.agent)))()
    with closing(make_learner(agent, compiled)) as learner:
        try:
            actors = HostActors(agent, env, _env_seed(compiled, done), stop)
        except Stopped:
            return
        iterate = lambda iteration: learner.learn(actors.rollout(learner.acting(), iteration))
        drain = lambda: StepReport(learner.drain(), actors.ended())
        yield from chunked(iterate, drain, done, iterations, chunk_seconds, max_chunk, pause_every)


def _env_seed(compiled: Compiled, iteration: int) -> int:
    key = compiled.read(_key)
    _, _, env_key = iteration_keys(key, tf.constant(iteration))
    return env_seed(env_key)


def _key(state: HostState) -> tf.Tensor:
    return state.key
