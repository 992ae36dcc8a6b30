"""Batches of single environments stepped on the host, each with a worker; one that fails is made again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import tensorflow as tf

from rl_fn._src import spaces
from rl_fn.envs import arguments
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host.base import host_spec
from rl_fn.envs.host.session import Description, Outcome
from rl_fn.envs.host.worker import GivenUp, InlineWorker, ProcessWorker, ThreadWorker, Worker, WorkerError
from rl_fn.struct import Nest

Backend = Literal["sync", "thread", "process"]
BACKENDS: dict[str, Callable[[Callable[[], Any]], Worker]] = {
    "sync": InlineWorker,
    "thread": ThreadWorker,
    "process": ProcessWorker,
}
OPTIONS = ("backend", "timeout", "max_restarts")  # of SubEnvs, and so of every environment made of such
_START_SECONDS = 60.0  # making an environment may take so long, however short the timeout
_LOG = logging.getLogger(__name__)


class SubEnvs:
    """A batch of single environments, each with a worker; one that fails is made again.

    Where a step fails, the episode is closed as truncated with a reward of 0 and with the last good
    observation as its successor, and a new environment takes the place.

    `give_up` is asked about twice a second while an environment in a thread or a process is awaited. Where it says
    true, all are killed and `GivenUp` is raised; `reset` makes them again.

    Args:
      name: of the environment, for its specification and for messages.
      factories: each makes one environment.
      backend: a key of BACKENDS.
      timeout: the seconds within which an environment must answer; making one may take a minute.
      max_restarts: how often each environment is made again.

    Raises:
      ValueError: as `gymnasium_env`.
    """

    def __init__(
        self,
        name: str,
        factories: Sequence[Callable[[], Any]],
        backend: Backend = "sync",
        timeout: float = 60.0,
        max_restarts: int = 10,
    ):
        if backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        if not (isinstance(timeout, float | int) and timeout > 0):
            raise ValueError(f"timeout is {timeout}, expected a number of seconds greater than 0")
        if not (isinstance(max_restarts, int) and max_restarts >= 0):
            raise ValueError(f"max_restarts is {max_restarts}, expected an integer at least 0")
        self.num_envs = len(factories)
        self._name, self._factories, self._timeout, self._max_restarts = name, factories, timeout, max_restarts
        self.give_up: Callable[[], bool] = lambda: False
        self._start = BACKENDS[backend]
        self._workers = [self._start(factory) for factory in factories]
        self._restarts = [0] * self.num_envs
        self._seed = 0
        self._observation: Nest = None  # the newest
        try:
            described = self._describe()
            self._batch = spaces.batch(described.observation_space)
            self._decode = spaces.decode(described.action_space)
        except (ValueError, WorkerError) as error:
            for one in self._workers:
                one.kill()
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"{name} cannot be made: {reason}") from error
        self._discrete = isinstance(described.action_space, gymnasium.spaces.Discrete)
        self.spec = host_spec(name, described)

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        self._seed = seed
        self._workers = self._workers or [self._start(factory) for factory in self._factories]
        for index, one in enumerate(self._workers):
            one.submit("reset", self._seed_of(index))
        firsts = []
        for index, one in enumerate(self._workers):
            try:
                firsts.append(self._result(one, self._timeout))
            except WorkerError as failure:
                firsts.append(self._restart(index, failure))
        self._observation = self._batch(firsts)
        return self._observation

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv."""
        decoded = self._decode(actions)
        for one, action in zip(self._workers, decoded.tolist() if self._discrete else decoded, strict=True):
            one.submit("step", action)
        outcomes, failed = [], []
        for index, one in enumerate(self._workers):
            try:
                outcomes.append(self._result(one, self._timeout))
            except WorkerError as failure:
                first = self._restart(index, failure)
                outcomes.append(Outcome(first, 0.0, False, True, first))
                failed.append(index)
        successors, rewards, terminated, truncated, firsts = zip(*outcomes, strict=True)
        next_observation = self._batch(successors)
        if failed:
            tf.nest.map_structure(lambda to, last: _copy_rows(to, last, failed), next_observation, self._observation)
        ended = any(terminated) or any(truncated)
        if ended:
            pairs = zip(successors, firsts, strict=True)
            self._observation = self._batch([after if first is None else first for after, first in pairs])
        else:
            self._observation = next_observation
        return EnvStep(
            observation=self._observation,
            reward=np.array(rewards, np.float32),
            terminated=np.array(terminated),
            truncated=np.array(truncated),
            next_observation=next_observation,
        )

    def render(self) -> np.ndarray:
        """See HostEnv."""
        self._workers[0].submit("render")
        try:
            return np.asarray(self._workers[0].result(self._timeout), np.uint8)
        except WorkerError as failure:
            reason = str(failure).strip().splitlines()[-1]
            raise ValueError(f"{self._name} gives no picture: {reason}") from failure

    def close(self) -> None:
        """See HostEnv."""
        for one in self._workers:
            one.close()
        self._workers = []

    def _result(self, one: Worker, timeout: float) -> Any:
        try:
            return one.result(timeout, self.give_up)
        except GivenUp:
            for each in self._workers:
                each.kill()
            self._workers = []
            raise

    def _describe(self) -> Description:
        # All are made here, side by side, so that none fails later for what was wrong from the start.
        for one in self._workers:
            one.submit("describe")
        described = [one.result(max(self._timeout, _START_SECONDS)) for one in self._workers]
        for other in described[1:]:
            if other[:2] != described[0][:2]:
                raise ValueError(f"the environments differ in their spaces: {described[0][:2]} and {other[:2]}")
        return described[0]

    def _seed_of(self, index: int) -> int:
        entropy = [self._seed, index, self._restarts[index]]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)  # libraries expect 31 bits

    def _restart(self, index: int, failure: WorkerError) -> Any:
        """Makes an environment again and returns its first observation."""
        while True:
            if self._restarts[index] == self._max_restarts:
                raise RuntimeError(
                    f"environment {index} of {self._name} failed once more after {self._max_restarts} restarts:\n"
                    f"{failure}"
                ) from None
            self._restarts[index] += 1
            _LOG.error(
                "environment %d of %s failed and is made again, %d of at most %d times:\n%s",
                index,
                self._name,
                self._restarts[index],
                self._max_restarts,
                failure,
            )
            self._workers[index].kill()
            self._workers[index] = self._start(self._factories[index])
            self._workers[index].submit("reset", self._seed_of(index))
            try:
                return self._result(self._workers[index], max(self._timeout, _START_SECONDS))
            except WorkerError as again:
                failure = again


def split(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts the options of SubEnvs from the arguments of an environment."""
    ours = {name: value for name, value in kwargs.items() if name in OPTIONS}
    return ours, {name: value for name, value in kwargs.items() if name not in OPTIONS}


def checked_count(num_envs: int | None) -> int:
    """How many environments; 1 unless given.

    Raises:
      ValueError: if there are none.
    """
    return 1 if num_envs is None else arguments.integer("num_envs", num_envs, 1)


def _copy_rows(to: np.ndarray, source: np.ndarray, rows: list[int]) -> None:
    to[rows] = source[rows]
