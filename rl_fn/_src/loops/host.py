"""Training and evaluation in host environments: the agent's functions compiled, the steps in NumPy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops.compile import Compiled, compile, compile_once
from rl_fn._src.loops.train_step import Chunk, summarize
from rl_fn.agents.base import ActorStep, Agent, Mode
from rl_fn.envs.host.base import HostEnv
from rl_fn.struct import Metrics, Nest, Transition

# (actor_state, is_first bool[B], observation, clock) -> (ActorStep, clock): the clock is int32[2], the iteration
# and the step of its rollout, and comes back one step on.
Act = Callable[[Nest, tf.Tensor, Nest, tf.Tensor], tuple[ActorStep, tf.Tensor]]


class HostState(NamedTuple):
    """Everything of a run but its environments."""

    agent: Any
    key: tf.Tensor  # uint32[2]: never changes; an iteration folds its number in
    iteration: tf.Tensor  # int32[]: rollouts (and updates) so far


def init_host_state(agent: Agent, key: random.Key) -> HostState:
    """The state at the start of a run; the agent begins as it would in compiled environments."""
    agent_key, _, run_key = tf.unstack(random.split(key, 3))
    return HostState(agent.init(agent_key), run_key, iteration=tf.constant(0))


def host_step(agent: Agent) -> Callable[[HostState, Transition], tuple[HostState, Metrics]]:
    """Makes the compiled half of an iteration, the agent's update: `(state, trajectory) -> (state, metrics)`."""

    def step(state: HostState, trajectory: Transition) -> tuple[HostState, Metrics]:
        _, update_key, _ = _iteration_keys(state.key, state.iteration)
        agent_state, metrics = agent.update(state.agent, trajectory, update_key)
        return HostState(agent_state, state.key, state.iteration + 1), metrics

    return step


def host_train(
    agent: Agent,
    env: HostEnv,
    compiled: Compiled,
    iterations: int,
    *,
    start: int = 0,
    chunk_seconds: float = 1.0,
    max_chunk: int | None = None,
    pause_every: int | None = None,
) -> Iterator[Chunk]:
    """Trains in host environments and hands over between chunks, as `train` does in compiled ones.

    The environments begin new episodes, with seeds that follow from the state's key and from `start`.

    Args:
      agent: the agent. By its schedule, rollout `i` is acted by the policy after update `i - 1 - actor_lag`, or the
        oldest there is. With a lag of 0 acting and updating take turns; from 1 on, an update runs while the
        environments step.
      env: the environments.
      compiled: from `compile(host_step(agent), init_host_state(agent, key))`.
      iterations: the number of iterations to reach.
      start: the number of iterations done already.
      chunk_seconds: how long a chunk should take.
      max_chunk: the largest number of iterations in a chunk.
      pause_every: end a chunk at every multiple of this number of iterations.

    Yields:
      A Chunk when all updates of its iterations are done.

    """
    _, rollout_length, actor_lag = agent.schedule
    with _Learner(agent, compiled, env.num_envs, actor_lag) as learner:
        actors = _Actors(agent, env, _env_seed(compiled, start))
        done, first = start, True
        while done < iterations:
            limit = min(iterations - done, max_chunk or iterations, 1 if first else iterations)
            if pause_every:
                limit = min(limit, pause_every - done % pause_every)
            begin, size = time.perf_counter(), 0
            while size < limit and (not size or time.perf_counter() - begin < chunk_seconds):
                learner.learn(actors.rollout(learner.acting(), done + size, rollout_length))
                size += 1
            sums = learner.drain()
            seconds = time.perf_counter() - begin
            done += size
            yield Chunk(done, size, seconds, first, summarize({**sums, **actors.ended()}, size))
            first = False


def host_evaluate(
    agent: Agent, env: HostEnv, num_episodes: int
) -> Callable[[Nest, random.Key], tuple[np.ndarray, np.ndarray]]:
    """Makes an evaluation of whole episodes with exploration off.

    How many episodes each environment plays is settled beforehand, so long ones count as often as short ones.

    Args:
      agent: whose `act` chooses, in mode "eval".
      env: environments of their own, not those of the training; they begin anew each time.
      num_episodes: the number of episodes, over all environments.

    Returns:
      A function `(policy, key) -> (returns, lengths)`, both `[num_episodes]` arrays.
    """
    # Episode e belongs to environment e % num_envs.
    quota = np.array([len(range(index, num_episodes, env.num_envs)) for index in range(env.num_envs)])
    held: list[tuple[Compiled, Act]] = []

    def run(policy: Nest, key: random.Key) -> tuple[np.ndarray, np.ndarray]:
        env_key, act_key = tf.unstack(random.split(key))
        if not held:
            holder = compile(lambda state: (state, {}), (policy, act_key))
            held.append((holder, holder.reader(_act(agent, env.num_envs, "eval"))))
        holder, act = held[0]
        holder.restore((policy, act_key))
        actors = _Actors(agent, env, _seed(env_key))
        returns, lengths = np.zeros(num_episodes, np.float32), np.zeros(num_episodes, np.int32)
        played = np.zeros(env.num_envs, np.int64)
        while np.any(played < quota):
            actors.step(act)
            for index in np.flatnonzero(actors.is_first & (played < quota)):
                episode = played[index] * env.num_envs + index
                returns[episode], lengths[episode] = actors.last_return[index], actors.last_length[index]
            played += actors.is_first
        return returns, lengths

    return run


class _Actors:
    """Where the environments stand, what acting carries along, and the episodes counted."""

    def __init__(self, agent: Agent, env: HostEnv, seed: int):
        self._env = env
        self._observation = env.reset(seed)
        self._actor = agent.init_actor(env.num_envs)
        self._nowhere = tf.zeros([env.num_envs], tf.bool)  # kept, because making a tensor takes longer than a step
        self._clock = tf.zeros([2], tf.int32)
        self.is_first = np.ones(env.num_envs, bool)  # of an episode: where the next step begins one
        self._return: np.ndarray = np.zeros(env.num_envs, np.float32)
        self._length: np.ndarray = np.zeros(env.num_envs, np.int32)
        self.last_return, self.last_length = self._return, self._length  # as of the last step, before it began anew
        self._ended = np.zeros(3)  # episodes, their returns, their lengths

    def step(self, act: Act) -> Transition:
        """Acts once in every environment; the extras are tensors, all else is NumPy's."""
        is_first = self.is_first if self.is_first.any() else self._nowhere
        acted, self._clock = act(self._actor, is_first, self._observation, self._clock)
        action = acted.action.numpy()
        outcome = self._env.step(action)
        transition = Transition(
            observation=self._observation,
            action=action,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            next_observation=outcome.next_observation,
            extras=acted.extras,
        )
        self._observation, self._actor = outcome.observation, acted.actor_state
        self.is_first = outcome.terminated | outcome.truncated
        self.last_return, self.last_length = self._return + outcome.reward, self._length + 1
        self._return, self._length = self.last_return, self.last_length
        if self.is_first.any():
            ended = self.is_first
            self._ended += [ended.sum(), self.last_return[ended].sum(), self.last_length[ended].sum()]
            self._return, self._length = np.where(ended, 0, self._return), np.where(ended, 0, self._length)
        return transition

    def rollout(self, act: Act, iteration: int, length: int) -> Transition:
        """Acts for `length` steps; the arrays `[T, B, ...]` are new."""
        self._clock = tf.constant([iteration, 0])
        transition = self.step(act)
        rows = [np.asarray(row) for row in tf.nest.flatten(transition)]
        columns = [np.empty([length, *row.shape], row.dtype) for row in rows]
        for t in range(length):
            transition = self.step(act) if t else transition
            for column, row in zip(columns, tf.nest.flatten(transition), strict=True):
                column[t] = row
        return tf.nest.pack_sequence_as(transition, columns)

    def ended(self) -> dict[str, np.ndarray]:
        """The totals of the episodes that ended since the last call."""
        totals, self._ended = self._ended, np.zeros(3)
        names = ("episode_count", "episode_return_sum", "episode_length_sum")
        return {name: np.asarray(total, np.float32) for name, total in zip(names, totals, strict=True)}


class _Learner:
    """The agent's updates, taking turns with acting or in a thread of their own."""

    def __init__(self, agent: Agent, compiled: Compiled, num_envs: int, lag: int):
        self._compiled, self._lag = compiled, lag
        self._sums: dict[str, np.ndarray] = {}
        act = _act(agent, num_envs, "train")
        if lag:
            self._thread = ThreadPoolExecutor(1, "rl_fn-update")  # TensorFlow releases Python's lock
            self._act = compile_once(act)
            self._policy = compiled.read(_policy_and_key)
            self._updates: deque[Future] = deque()  # those whose policy has not acted yet
        else:
            self._reader = compiled.reader(act, _policy_and_key)

    def __enter__(self) -> _Learner:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lag:
            self._thread.shutdown(cancel_futures=True)

    def acting(self) -> Act:
        """What acts in the next rollout; waits for the update it comes from."""
        if not self._lag:
            return self._reader
        while len(self._updates) > self._lag:
            self._policy = self._updates.popleft().result()
        return lambda *inputs: self._act(self._policy, *inputs)

    def learn(self, trajectory: Transition) -> None:
        """Updates, now or in the thread."""
        if self._lag:
            self._updates.append(self._thread.submit(self._update_and_read, trajectory))
        else:
            self._update(trajectory)

    def drain(self) -> dict[str, np.ndarray]:
        """Waits for all updates, and returns the sum of each metric since the last call."""
        if self._lag:
            for update in self._updates:
                update.result()
        sums, self._sums = self._sums, {}
        return sums

    def _update(self, trajectory: Transition) -> None:
        for name, value in self._compiled(trajectory).items():
            self._sums[name] = self._sums.get(name, np.float32(0)) + value.numpy()

    def _update_and_read(self, trajectory: Transition) -> Nest:
        self._update(trajectory)
        return self._compiled.read(_policy_and_key)


def _act(agent: Agent, num_envs: int, mode: Mode) -> Callable[..., tuple[ActorStep, tf.Tensor]]:
    def act(policy_and_key: tuple, actor: Nest, is_first: tf.Tensor, observation: Nest, clock: tf.Tensor) -> Any:
        policy, key = policy_and_key
        rollout_key, _, _ = _iteration_keys(key, clock[0])
        actor = struct.where(is_first, agent.init_actor(num_envs), actor)
        acted = agent.act(policy, actor, observation, random.fold_in(rollout_key, clock[1]), mode)
        return acted, tf.stack([clock[0], clock[1] + 1])

    return act


def _policy_and_key(state: HostState) -> tuple[Nest, random.Key]:
    return state.agent.policy, state.key


def _iteration_keys(key: random.Key, iteration: tf.Tensor) -> list[random.Key]:
    """The keys of an iteration's rollout, of its update, and of the environments where a run begins with it."""
    return tf.unstack(random.split(random.fold_in(key, iteration), 3))


def _env_seed(compiled: Compiled, start: int) -> int:
    _, _, env_key = _iteration_keys(compiled.read(lambda state: state.key), tf.constant(start))
    return _seed(env_key)


def _seed(key: random.Key) -> int:
    return int(random.bits(key).numpy())
