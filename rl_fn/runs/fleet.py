"""The workers of a run as actors of Ray: kept busy, watched, and replaced."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rl_fn import loops
from rl_fn._src.loops.lanes import Lanes, Piece, Taken
from rl_fn.envs.host.failures import EnvFailed, Failures
from rl_fn.envs.host.infos import Infos
from rl_fn.runs.errors import one_line
from rl_fn.runs.worker import Acted

_LOG = logging.getLogger(__name__)
_LATE = 2.0  # times the usual: after that a worker is not waited for
_MOST_DEATHS = 3  # of a worker in a row, before it has done anything
_GRACE_SECONDS = 3.0  # to close environments
_WATCH_SECONDS = 1.0  # between two looks at the workers


class Patience(NamedTuple):
    """How long a worker may keep the learner waiting before it is replaced, in seconds."""

    answer: float = 15.0  # to a question whether it is there, which it answers while it acts
    rollout: float = 60.0  # at least, for a rollout
    usual: float = 20.0  # and so many times what rollouts take
    first: float = 600.0  # for the first rollout of a worker, which imports and compiles everything


PATIENCE = Patience()


@dataclasses.dataclass
class _Worker:
    index: int
    handle: Any
    generation: int = 0
    number: int = 0  # rollouts so far, of this generation
    deaths: int = 0  # in a row, without a rollout
    version: int = 0  # of the policy that acts
    since: float | None = None  # when the rollout began that it is at
    asked: tuple[float, Any] | None = None  # when, and the answer to come


class RayFleet:
    """Workers that act with the newest policy; see `loops.Fleet`.

    A thread hands out work as answers come in, so no worker waits for the learner, unless it is too far ahead.

    Args:
      ray: the module, connected.
      make_worker: `(worker, generation) -> actor`, with the methods of `rl_fn.runs.worker.Worker`.
      num_workers: how many.
      share: environments of each, for the count of those that were made again.
      lanes: which rollouts are learned from.
      patience: with workers that do not answer.
    """

    def __init__(
        self,
        ray: Any,
        make_worker: Callable[[int, int], Any],
        num_workers: int,
        share: int,
        lanes: Lanes,
        patience: Patience = PATIENCE,
    ):
        self._ray, self._make_worker, self._share = ray, make_worker, share
        self._lanes, self._patience = lanes, patience
        self._changed = threading.Condition()  # guards everything
        self._arrivals: queue.SimpleQueue = queue.SimpleQueue()
        self._workers = [_Worker(index, make_worker(index, 0)) for index in range(num_workers)]
        self._policy: Any = None  # a buffer, or where Ray keeps it
        self._updates = 0
        self._usual: float | None = None  # seconds of a rollout
        self._ended = np.zeros(3)
        self._infos = Infos()  # what environments report
        self._failures = Failures()
        self._told: dict[int, Failures] = {}  # of the environments of each worker, so far
        self._error: Exception | None = None
        self._watched = time.monotonic()
        self._is_closed = False
        self._thread = threading.Thread(target=self._collect, name="rl_fn-workers", daemon=True)
        self._thread.start()

    def publish(self, policy: np.ndarray, updates: int) -> None:
        """See Fleet."""
        with self._changed:
            self._policy, self._updates = policy, updates
            self._lanes.updated()
            self._hand_out()

    def take(self, stop: loops.Stop) -> Taken:
        """See Fleet."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if stop():
                    raise loops.Stopped("waiting for workers was told to stop")
                if (taken := self._lanes.take(self._updates, self._is_late)) is not None:
                    return taken
                self._hand_out()  # where something was dropped
                self._changed.wait(0.05)

    def ended(self) -> loops.Episodes:
        """See Fleet."""
        with self._changed:
            totals, self._ended = self._ended, np.zeros(3)
        return loops.Episodes(*[np.asarray(total, np.float32) for total in totals])

    def infos(self) -> dict[str, float]:
        """Means of what environments reported of the episodes that ended since the last call."""
        with self._changed:
            return self._infos.take()

    @property
    def failures(self) -> Failures:
        """Of environments so far; those of a worker that was replaced were made again."""
        with self._changed:
            return self._failures

    @property
    def dropped(self) -> int:
        """Rollouts that were too old to be learned from."""
        return self._lanes.dropped

    def close(self) -> None:
        """Ends the workers; those that do not close their environments within seconds are killed."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
        self._thread.join()
        answers = []
        for worker in self._workers:
            with contextlib.suppress(Exception):
                worker.handle.stop.options(concurrency_group="watch").remote()
                answers.append(worker.handle.close.remote())
        with contextlib.suppress(Exception):
            self._ray.wait(answers, num_returns=len(answers), timeout=_GRACE_SECONDS)
        for worker in self._workers:
            self._kill(worker)

    def _collect(self) -> None:
        while not self._is_closed:
            arrival = None
            with contextlib.suppress(queue.Empty):
                arrival = self._arrivals.get(timeout=_WATCH_SECONDS / 2)
            with self._changed, self._kept():
                if arrival:
                    self._arrived(*arrival)
                if time.monotonic() - self._watched >= _WATCH_SECONDS:
                    self._watched = time.monotonic()
                    self._watch()
                self._hand_out()

    @contextlib.contextmanager
    def _kept(self) -> Any:
        """Keeps an error for the learner, and wakes it."""
        try:
            yield
        except Exception as error:
            self._error = self._error or error
        self._changed.notify_all()

    def _hand_out(self) -> None:
        if self._policy is None or self._error is not None or self._is_closed:
            return
        acting = sum(worker.since is not None for worker in self._workers)
        for worker in sorted(self._workers, key=lambda worker: self._lanes.num_waiting(worker.index)):
            if worker.since is None and self._lanes.may_begin(acting):
                if isinstance(self._policy, np.ndarray):
                    self._policy = self._ray.put(self._policy)
                worker.since, worker.version = time.monotonic(), self._updates
                answer = worker.handle.rollout.remote(self._policy, self._updates)
                self._call_back(answer, worker, worker.generation)
                acting += 1

    def _call_back(self, answer: Any, worker: _Worker, generation: int) -> None:
        answer.future().add_done_callback(lambda future: self._arrivals.put((worker, generation, future)))

    def _arrived(self, worker: _Worker, generation: int, future: Any) -> None:
        if generation != worker.generation:
            return  # it was given up
        try:
            buffer, acted = future.result()
            buffer = np.array(buffer)  # not a view, which would fill the store of objects while it waits
        except self._ray.exceptions.RayTaskError as error:
            raise EnvFailed(f"worker {worker.index} failed", str(error)) from error
        except self._ray.exceptions.RayError as error:
            self._replace(worker, one_line(error))
            return
        self._say(worker, acted)
        if acted.error is not None:
            name, said = acted.error
            if name == "NonFiniteError":
                raise loops.NonFiniteError(f"{said}, of worker {worker.index}")
            raise EnvFailed(f"worker {worker.index}", said)
        self._lanes.add(Piece(worker.index, worker.generation, worker.number, worker.version, buffer))
        self._ended += acted.episodes
        self._infos.add_sums(acted.infos)
        self._usual = acted.seconds if self._usual is None else 0.9 * self._usual + 0.1 * acted.seconds
        worker.number, worker.deaths, worker.since = worker.number + 1, 0, None

    def _say(self, worker: _Worker, acted: Acted) -> None:
        for sentence in acted.told:
            _LOG.warning("worker %d: %s", worker.index, sentence)
        failures = Failures(*acted.failures)
        self._failures = self._failures.plus(failures.since(self._told.get(worker.index, Failures())))
        self._told[worker.index] = failures

    def _is_late(self, index: int) -> bool:
        since = self._workers[index].since
        return since is None or time.monotonic() - since > _LATE * (self._usual or self._patience.first)

    def _watch(self) -> None:
        """Replaces who does not answer, or has been at one rollout for too long."""
        now = time.monotonic()
        for worker in self._workers:
            limit = self._patience.first
            if worker.number:
                limit = max(self._patience.rollout, self._patience.usual * (self._usual or 0.0))
            if worker.since is not None and now - worker.since > limit:
                self._replace(worker, f"its rollout was not done after {limit:.0f} seconds", is_hung=True)
                continue
            if worker.asked and worker.asked[1].done():
                worker.asked = None
            if worker.asked is None and worker.number:
                answer = worker.handle.is_there.options(concurrency_group="watch").remote()
                worker.asked = now, answer.future()
            elif worker.asked and now - worker.asked[0] > self._patience.answer:
                self._replace(worker, f"it did not answer for {self._patience.answer:g} seconds", is_hung=True)

    def _replace(self, worker: _Worker, reason: str, is_hung: bool = False) -> None:
        self._kill(worker)
        worker.deaths += 1
        if worker.deaths >= _MOST_DEATHS:
            raise EnvFailed(f"worker {worker.index} ended {worker.deaths} times before its first rollout", reason)
        _LOG.warning("worker %d is replaced: %s", worker.index, reason)
        self._failures = self._failures.plus(Failures(self._share, self._share * is_hung))
        self._told.pop(worker.index, None)
        worker.generation += 1
        worker.handle = self._make_worker(worker.index, worker.generation)
        worker.number, worker.since, worker.asked = 0, None, None

    def _kill(self, worker: _Worker) -> None:
        with contextlib.suppress(Exception):  # it has gone
            self._ray.kill(worker.handle, no_restart=True)
