"""Batches of single environments stepped on the host, each with a worker; one that fails is made again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import tensorflow as tf

from rl_fn._src import arguments, spaces
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host import keeper
from rl_fn.envs.host.base import checked_actions, close_and_tell, host_spec
from rl_fn.envs.host.failures import EnvFailed, Failures, reason_of
from rl_fn.envs.host.infos import Infos
from rl_fn.envs.host.session import Description, Outcome
from rl_fn.envs.host.worker import GivenUp, InlineWorker, ProcessWorker, ThreadWorker, TimedOut, Worker, WorkerError
from rl_fn.struct import Nest

Backend = Literal["sync", "thread", "process"]
BACKENDS: dict[str, Callable[[Callable[[], Any]], Worker]] = {
    "sync": InlineWorker,
    "thread": ThreadWorker,
    "process": ProcessWorker,
}
OPTIONS = ("backend", "timeout", "max_restarts")  # of SubEnvs, and so of every environment made of such
MOST = 2**16  # environments side by side, each an object of its own
RESTART_STEPS = 1_000  # restarts are counted within so many steps of an environment
_STARTS = 3  # attempts to make an environment again, one after the other
_TIMEOUT_SECONDS = 60.0
_START_SECONDS = 60.0  # making an environment may take so long, however short the timeout
_TOLD = 100  # at most so many different tracebacks are told
_LOG = logging.getLogger(__name__)


class SubEnvs:
    """A batch of single environments, each with a worker; one that fails is made again.

    Where a step fails, the episode is closed as truncated with a reward of 0 and with the last good
    observation as its successor, and a new environment takes the place. `failures` counts what was made again. A
    failure is told by `logging`, with its traceback where that is a new one. `infos` holds what environments report.

    `give_up` is asked before each environment, and about twice a second while one in a thread or a process is awaited.
    Where it says true, `GivenUp` is raised. Those in threads and processes are killed then, and with `EnvFailed`, and
    `reset` makes them again.

    Args:
      name: of the environment, for its specification and for messages.
      factories: each makes one environment.
      backend: a key of BACKENDS.
      timeout: the seconds within which an environment must answer, 60 unless given; making one may take a minute. Not
        with "sync", which waits for ever.
      max_restarts: how often each environment is made again within RESTART_STEPS steps.

    Raises:
      ValueError: as `gymnasium_env`.
      EnvFailed: by `reset` and `step`, for an environment that has failed more often than that, or has failed to begin
        an episode or in a step and, made again, three times more.
    """

    def __init__(
        self,
        name: str,
        factories: Sequence[Callable[[], Any]],
        backend: Backend = "sync",
        timeout: float | None = None,
        max_restarts: int = 10,
    ):
        if backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        if timeout is not None and not (isinstance(timeout, float | int) and timeout > 0):
            raise ValueError(f"timeout is {timeout}, expected a number of seconds greater than 0")
        if not (isinstance(max_restarts, int) and max_restarts >= 0):
            raise ValueError(f"max_restarts is {max_restarts}, expected an integer at least 0")
        if timeout is not None and backend == "sync":
            raise ValueError(
                f"timeout is {timeout}, and backend 'sync' waits for its environments for ever: expected none, or "
                "backend 'thread' or 'process'"
            )
        self.num_envs = len(factories)
        self._name, self._factories, self._max_restarts = name, factories, max_restarts
        self._timeout = _TIMEOUT_SECONDS if timeout is None else timeout
        self.failures, self.infos = Failures(), Infos()
        self.give_up: Callable[[], bool] = lambda: False
        self._start = BACKENDS[backend]
        self._workers = [self._start(factory) for factory in factories]
        self._restarts = [0] * self.num_envs
        self._time = 0  # steps taken
        self._recent: list[deque[int]] = [deque() for _ in factories]  # when they were made again of late
        self._futile = [0] * self.num_envs  # steps in a row that failed
        self._told: set[str] = set()  # what was raised, of failures whose traceback was told
        self._seed = 0
        self._observation: Nest = None  # the newest
        self.awaited: tuple[int, int] | None = None  # the environment that is to answer now, and the step
        try:
            described = self._describe()
            self._batch = spaces.batch(spaces.from_zero(described.observation_space))  # as sessions give them
            self._decode = spaces.decode(described.action_space)
        except (ValueError, WorkerError) as error:
            for one in self._workers:
                one.kill()
            raise ValueError(f"{name} cannot be made: {reason_of(str(error))}") from error
        self._discrete = isinstance(described.action_space, gymnasium.spaces.Discrete)
        self.spec = host_spec(name, described)

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        self._seed = seed
        self._workers = self._workers or [self._start(factory) for factory in self._factories]
        for index, one in enumerate(self._workers):
            one.submit("reset", self._seed_of(index))
        firsts = []
        for index in range(self.num_envs):
            first, failure = self._answer(index, self._timeout)
            if failure is not None:
                first = self._restarted(index, failure)
                self._tell(index, failure, "failed to begin an episode and was")
            firsts.append(first)
        if self._start is not ProcessWorker:
            keeper.watch_marked()
        self._observation = self._batch(firsts)
        return self._observation

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv."""
        if self._observation is None:
            raise ValueError(f"{self._name}: step was called before reset")
        decoded = self._decode(checked_actions(self.spec, self.num_envs, actions))
        self._time += 1
        for one, action in zip(self._workers, decoded.tolist() if self._discrete else decoded, strict=True):
            one.submit("step", action)
        outcomes, failed = [], []
        for index in range(self.num_envs):
            outcome, failure = self._answer(index, self._timeout)
            self._futile[index] = 0 if failure is None else self._futile[index] + 1
            if failure is not None:
                if self._futile[index] > _STARTS:  # it takes no step at all, which is no accident
                    raise self._given_up(index, failure, f"failed in {_STARTS + 1} steps in a row")
                first = self._restarted(index, failure, is_step=True)
                outcome = Outcome(first, 0.0, False, True, first)
                failed.append(index)
            outcomes.append(outcome)
        successors, rewards, terminated, truncated, firsts, infos = zip(*outcomes, strict=True)
        next_observation = self._batch(successors)
        if failed:
            tf.nest.map_structure(lambda to, last: _copy_rows(to, last, failed), next_observation, self._observation)
        ended = any(terminated) or any(truncated)
        if ended:
            pairs = zip(successors, firsts, strict=True)
            self._observation = self._batch([after if first is None else first for after, first in pairs])
            for info in filter(None, infos):
                self.infos.add(info)
        else:
            self._observation = next_observation
        with np.errstate(over="ignore"):  # what is no float32 is infinite
            reward = np.array(rewards, np.float32)
        return EnvStep(
            observation=self._observation,
            reward=reward,
            terminated=np.array(terminated),
            truncated=np.array(truncated),
            next_observation=next_observation,
        )

    def render(self) -> np.ndarray:
        """See HostEnv."""
        self._workers[0].submit("render")
        picture, failure = self._answer(0, self._timeout)
        if failure is not None:
            raise ValueError(f"{self._name} gives no picture: {reason_of(str(failure))}") from failure
        return np.asarray(picture, np.uint8)

    def close(self) -> None:
        """See HostEnv."""
        workers, self._workers = self._workers, []
        for index, one in enumerate(workers):
            close_and_tell(f"environment {index} of {self._name}", one)

    def _answer(self, index: int, timeout: float) -> tuple[Any, WorkerError | None]:
        """What was asked for, or why it is not there; dealt with outside of `except`, which tracebacks would show."""
        self.awaited = index, self._time
        try:
            return self._workers[index].result(timeout, self.give_up), None
        except WorkerError as failure:
            return None, failure
        except GivenUp:
            self._abandon()
            raise
        finally:
            self.awaited = None

    def _abandon(self) -> None:
        """Kills those that may be busy."""
        if self._start is not InlineWorker:
            for each in self._workers:
                each.kill()
            self._workers = []

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

    def _restarted(self, index: int, failure: WorkerError, is_step: bool = False) -> Any:
        """Makes an environment again and returns its first observation; the failure of a step is told at once."""
        for start in range(_STARTS):
            self._count(index, failure)
            if is_step and start == 0:
                self._tell(index, failure, "failed and is")
            self._workers[index].kill()
            self._workers[index] = one = self._start(self._factories[index])
            one.submit("reset", self._seed_of(index))
            first, again = self._answer(index, max(self._timeout, _START_SECONDS))
            if again is None:
                return first
            failure = again
        raise self._given_up(index, failure, f"failed at {_STARTS + 1} starts in a row")

    def _count(self, index: int, failure: WorkerError) -> None:
        recent = self._recent[index]
        while recent and recent[0] <= self._time - RESTART_STEPS:
            recent.popleft()
        if len(recent) >= self._max_restarts:
            text = f"failed once more after {self._max_restarts} restarts within {RESTART_STEPS:,} steps"
            raise self._given_up(index, failure, text)
        recent.append(self._time)
        self._restarts[index] += 1
        self.failures = self.failures.plus(Failures(1, int(isinstance(failure, TimedOut))))

    def _given_up(self, index: int, failure: WorkerError, what: str) -> EnvFailed:
        self._abandon()
        if news := self._news(failure):
            _LOG.error("%s", news)
        return EnvFailed(f"environment {index} of {self._name} {what}", str(failure))

    def _tell(self, index: int, failure: WorkerError, what: str) -> None:
        times = f"{len(self._recent[index])} of at most {self._max_restarts} times within {RESTART_STEPS:,} steps"
        news = self._news(failure)
        _LOG.error(
            "environment %d of %s %s made again, %s: %s%s",
            index,
            self._name,
            what,
            times,
            reason_of(str(failure)),
            f"\n{news}" if news else "",
        )

    def _news(self, failure: WorkerError) -> str:
        """Its traceback, where that was not told before."""
        text, reason = str(failure).strip(), reason_of(str(failure))
        if text == reason or reason in self._told or len(self._told) == _TOLD:
            return ""
        self._told.add(reason)
        return text


def split(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts the options of SubEnvs from the arguments of an environment."""
    ours = {name: value for name, value in kwargs.items() if name in OPTIONS}
    return ours, {name: value for name, value in kwargs.items() if name not in OPTIONS}


def checked_count(num_envs: int | None) -> int:
    """How many environments; 1 unless given.

    Raises:
      ValueError: if there are none, or more than MOST.
    """
    count = 1 if num_envs is None else arguments.integer("num_envs", num_envs, 1)
    if count > MOST:
        raise ValueError(f"num_envs is {count}, expected at most {MOST:,} environments that are stepped on the host")
    return count


def _copy_rows(to: np.ndarray, source: np.ndarray, rows: list[int]) -> None:
    to[rows] = source[rows]
