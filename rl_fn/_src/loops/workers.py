"""Training on what workers act in processes of their own: the acting there, and the learning here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.loops.chunks import Chunk, StepReport, Stop, chunked, iterations_done, never
from rl_fn._src.loops.compile import Compiled, compile, compile_once
from rl_fn._src.loops.host_actors import HostActors, PolicyAndKey, act_function, env_seed
from rl_fn._src.loops.lanes import Taken
from rl_fn._src.loops.layout import Layout, trajectory_spec
from rl_fn._src.loops.learners import HostState, Sums
from rl_fn._src.loops.rollout import ActorsState, Episodes, init_actors, rollout
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.struct import EnvSpec, Nest, Transition

# (policy, number of rollouts before) -> (Transition [T, B / workers, ...], the totals of the episodes that ended)
Rollout = Callable[[Nest, int], tuple[Transition, Episodes]]


class Fleet(Protocol):
    """The workers, as the learner sees them."""

    def publish(self, policy: np.ndarray, updates: int) -> None:
        """Hands out the policy after so many updates, as one buffer; the update on what was taken is done."""

    def take(self, stop: Stop) -> Taken:
        """Waits for what makes a trajectory.

        Raises:
          Stopped: if `stop` says so.
          EnvFailed, NonFiniteError: if the workers cannot be gone on with.
        """

    def ended(self) -> Episodes:
        """The totals of the episodes that ended since the last call."""


def worker_rollouts(agent: Agent, env: Env | HostEnv, num_envs: int, key: random.Key, stop: Stop = never) -> Rollout:
    """Begins episodes in a worker's share of the environments, and makes what acts in them.

    Args:
      agent: whose schedule says how long a rollout is.
      env: a compiled environment, which becomes a program of its own; or so many host environments.
      num_envs: the share.
      key: of the worker.
      stop: see `HostActors`.

    Raises:
      Stopped, EnvFailed, NonFiniteError: as `HostActors`, and so do the rollouts.
    """
    env_key, act_key = tf.unstack(random.split(key))
    if not isinstance(env, Env):
        actors, act = (
            HostActors(agent, env, env_seed(env_key), stop),
            compile_once(act_function(agent, num_envs, "train")),
        )

        def in_steps(policy: Nest, number: int) -> tuple[Transition, Episodes]:
            held = PolicyAndKey(policy, act_key)
            return actors.rollout(lambda *inputs: act(held, *inputs), number), actors.ended()

        return in_steps

    def step(actors: ActorsState, policy: Nest, number: tf.Tensor) -> tuple[ActorsState, tuple[Transition, Episodes]]:
        after, (trajectory, episodes) = rollout(agent, env, policy, actors, random.fold_in(act_key, number))
        totals = Episodes(*[tf.cast(tf.reduce_sum(total), tf.float32) for total in episodes])
        return after, (trajectory, totals)

    program = compile(step, init_actors(agent, env, num_envs, env_key))
    return lambda policy, number: program(policy, tf.constant(number))


def has_streams(agent: Agent, spec: HostState) -> bool:
    """Whether an agent cares that each environment goes on where it ended: whether its `cut` does something.

    Args:
      agent: the agent.
      spec: of its state in a run.
    """
    found = []

    def cut(state: Nest) -> Nest:
        after = agent.cut(state)
        pairs = zip(tf.nest.flatten(state), tf.nest.flatten(after), strict=True)
        found.append(any(one is not other for one, other in pairs))
        return after

    tf.function(cut, autograph=False).get_concrete_function(spec.agent)
    return found[-1]


def workers_train(
    agent: Agent,
    env_spec: EnvSpec,
    fleet: Fleet,
    num_workers: int,
    compiled: Compiled,
    iterations: int,
    *,
    start: int | None = None,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
    stop: Stop = never,
) -> Iterator[Chunk]:
    """Learns from what workers act, and hands over between chunks, as `host_train` does in one process.

    Where environments do not go on as they ended, `agent.cut` ends what waits for their next steps. More metrics are
    `policy_lag`, the updates that the policy was behind that acted, and `learner_idle`, the share of the time in which
    the learner waited for workers.

    Args:
      agent: the agent.
      env_spec: of the environments.
      fleet: the workers, which have begun nothing yet.
      num_workers: how many; divides the schedule's `num_envs`.
      compiled: from `compile(host_step(agent), init_host_state(agent, key))`.
      iterations: as that of `host_train`, and so are the arguments that follow.
      start: see there.
      chunk_seconds: see there.
      max_chunk: see there.
      pause_every: see there.
      stop: asked several times a second.

    Returns:
      As `host_train`.

    Raises:
      ValueError: if `start` is not where the state is.
    """
    done = iterations_done("workers_train", compiled, start)
    if done >= iterations or stop():
        return
    share = agent.schedule.num_envs // num_workers
    pieces = Layout(trajectory_spec(agent, env_spec, share))
    policy = Layout(compiled.spec.agent.policy)
    cut = compiled.replacer(lambda state: state._replace(agent=agent.cut(state.agent)))
    sums, lags, idle = Sums(), 0.0, 0.0

    def publish(updates: int) -> None:
        fleet.publish(policy.pack(compiled.read(lambda state: state.agent.policy)), updates)

    def iterate(iteration: int) -> None:
        nonlocal lags, idle
        begin = time.perf_counter()
        taken = fleet.take(stop)
        idle += time.perf_counter() - begin
        lags += sum(iteration - piece.version for piece in taken.pieces) / num_workers
        if taken.is_cut:
            cut()
        parts = [pieces.leaves(piece.buffer) for piece in taken.pieces]
        leaves = [np.concatenate(leaf, axis=1) for leaf in zip(*parts, strict=True)]  # [T, B, ...]
        sums.add(compiled(tf.nest.pack_sequence_as(pieces.spec, leaves)))
        publish(iteration + 1)

    def measured(size: int, seconds: float) -> dict[str, np.ndarray]:
        nonlocal lags, idle
        told = {"policy_lag": np.float32(lags / size), "learner_idle": np.float32(idle / seconds)}
        lags = idle = 0.0
        return {name: np.asarray(value) for name, value in told.items()}

    if done:
        cut()
    publish(done)
    drain = lambda: StepReport(sums.take(), fleet.ended())
    yield from chunked(iterate, drain, done, iterations, chunk_seconds, max_chunk, pause_every, measured)
