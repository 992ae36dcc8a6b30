"""Copies of a run spread over workers, processes of Ray: `--copies 64 --num_workers 8`."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.runs import cluster, memory
from rl_fn.runs.config import RunConfig
from rl_fn.runs.errors import RunError, one_line
from rl_fn.runs.fleet import PATIENCE
from rl_fn.runs.program import Program
from rl_fn.runs.runner import Runner
from rl_fn.struct import Nest

_ATTEMPTS = 3  # at anything, for a worker that is lost each time
_POLL_SECONDS = 0.2  # between two questions whether to stop
_LOG = logging.getLogger(__name__)


class Spread:
    """Copies in programs, and the programs in workers; what is kept of them is kept here.

    Args:
      agent: the agent.
      env: the environment, which is compiled.
      config: of the run, resolved.
      here: where it happens otherwise.

    Raises:
      ValueError: if Ray is not installed.
    """

    def __init__(self, agent: Agent, env: Env | HostEnv, config: RunConfig, here: Runner):
        count = config.num_workers
        cluster.check_installed(count)
        self._config, self._settings, self._here = config, config.to_json(), here
        bounds = [config.copies * index // count for index in range(count + 1)]
        self.workers = [InWorker(index, slice(*bounds[index : index + 2]), self._make) for index in range(count)]
        self._resources = ExitStack()
        self._ray: Any = None  # from when a worker is needed
        self._compiled: Apart | None = None
        self._sample: list[np.ndarray] = []  # of the actions of evaluations, until they are taken

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        return self._here.init(key)

    def compile(self, state: Nest) -> loops.Running:
        """See Runner."""
        self._compiled = Apart(self.workers, state)
        return self._compiled

    def train(self, compiled: loops.Running, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        assert self._compiled is compiled, "it was compiled here"
        with self._letting_go():
            yield from self._here.train(compiled, iterations, **options)
            self._compiled.bring()  # where it was told to stop, before the workers end

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        assert self._compiled is not None, "a policy comes from what was compiled"
        leaves = [np.stack(keys), *[np.asarray(leaf) for leaf in tf.nest.flatten(policy)]]
        came = self._compiled.ask("evaluate", lambda copies: [leaf[copies] for leaf in leaves], stop)
        samples = [sample for _, sample in came]  # of different lengths, where episodes are
        steps = min(sample.shape[1] for sample in samples)
        self._sample.append(np.concatenate([sample[:, :steps] for sample in samples]))
        return loops.Evaluation(*map(np.concatenate, zip(*[evaluation for evaluation, _ in came], strict=True)))

    def actions(self) -> np.ndarray | None:
        """See Runner."""
        sample, self._sample = self._sample, []
        return np.concatenate(sample, axis=1) if sample else None

    def failures(self) -> None:
        """See Runner."""

    def infos(self) -> dict[str, float]:
        """See Runner."""
        return {}

    def stopping(self) -> None:
        """See Runner."""

    def close(self) -> None:
        """See Runner."""
        with self._letting_go():
            self._here.close()

    def _make(self, count: int) -> tuple[Any, Any]:
        if self._ray is None:
            config = self._config
            connection = cluster.connected(config.num_workers, config.ray_address, memory.available())
            self._ray = self._resources.enter_context(connection)
        options = {"concurrency_groups": {"watch": 1}, "num_cpus": 1, "scheduling_strategy": "SPREAD"}
        return self._ray, self._ray.remote(**options)(Program).remote(self._settings, count)

    @contextlib.contextmanager
    def _letting_go(self) -> Iterator[None]:
        """Ends the workers afterwards, and leaves Ray; who needs them again makes them."""
        try:
            yield
        finally:
            for worker in self.workers:
                worker.close()
            self._ray = None
            self._resources.close()


class Apart(loops.Held, loops.Running):
    """The state of all copies as it was some iterations ago, and the programs that have gone on with it since.

    A program that is lost is made again, and does what it had done since then again: to the same bits, since a state
    says all that comes after it.

    Args:
      workers: with the programs, in the order of the copies.
      state: of all copies.
    """

    def __init__(self, workers: Sequence[InWorker], state: Nest):
        super().__init__(state)
        self._workers = workers
        self._ahead = 0  # iterations that the programs have done since
        self._lost: list[tuple[str, int]] = []  # leaves that are not finite, and their copies, after these
        self._forget()

    def run(self, iterations: int) -> Nest:
        """See Running."""
        came = self.ask("run", lambda copies: [iterations])
        self._ahead += iterations
        firsts = [worker.copies.start for worker in self._workers]
        self._lost = [
            (name, first + copy) for first, (_, lost) in zip(firsts, came, strict=True) for name, copy in lost
        ]
        return tf.nest.map_structure(lambda *sums: np.concatenate(sums), *[sums for sums, _ in came])

    def read(self, select: Callable[[Nest], Nest] = lambda state: state) -> Nest:
        """See Held."""
        self.bring()
        return super().read(select)

    def leaves(self, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
        """See Held."""
        self.bring()
        return super().leaves(wanted)

    def nonfinite(self, select: Callable[[Nest], Nest], copies: int | None = None) -> list[tuple[str, int]]:
        """See Held; the programs have looked already."""
        if not self._ahead:
            return super().nonfinite(select, copies)
        whole = {id(variable): name for name, variable in struct.named_leaves(self._variables)}
        selected = {whole[id(variable)]: name for name, variable in struct.named_leaves(select(self._variables))}
        return [(selected[name], copy) for name, copy in self._lost if name in selected]

    def restore(self, state: Nest) -> None:
        """See Held."""
        super().restore(state)
        self._ahead = 0
        self._forget()

    def bring(self) -> None:
        """Makes the state here the newest."""
        if self._ahead:
            leaves = [np.concatenate(parts) for parts in zip(*self.ask("read"), strict=True)]
            self._assign(tf.nest.pack_sequence_as(self.spec, leaves))
            self._ahead = 0

    def ask(
        self, method: str, arguments: Callable[[slice], list[Any]] = lambda copies: [], stop: loops.Stop = lambda: False
    ) -> list[Any]:
        """Has all programs do something side by side.

        Args:
          method: of `Program`.
          arguments: for some copies.
          stop: asked while they do it; where it says true, `loops.Stopped` is raised.

        Returns:
          The values of their answers, in the order of the copies.

        Raises:
          RunError: if a program fails, or is lost again and again.
        """
        values: dict[int, Any] = {}
        for _ in range(_ATTEMPTS):
            waiting = [worker for worker in self._workers if worker.index not in values]
            for worker in waiting:
                rows = partial(self._rows, worker.copies)
                worker.begin(rows, self._ahead, method, arguments(worker.copies))
            for worker in waiting:
                with contextlib.suppress(loops.PeerLost):
                    values[worker.index] = worker.value(stop)
            if len(values) == len(self._workers):
                return [values[worker.index] for worker in self._workers]
        lost = [worker for worker in self._workers if worker.index not in values]
        raise RunError(f"worker {lost[0].index} was lost {_ATTEMPTS} times in a row; the newest checkpoint stays")

    def _rows(self, copies: slice) -> list[np.ndarray]:
        return [leaf.numpy()[copies] for leaf in tf.nest.flatten(self._variables)]

    def _forget(self) -> None:
        for worker in self._workers:
            worker.forget()


class InWorker:
    """A program in a process of Ray's.

    Args:
      index: which worker it is.
      copies: those that it has.
      make: makes the program of so many copies; returns Ray, and the actor.
    """

    def __init__(self, index: int, copies: slice, make: Callable[[int], tuple[Any, Any]]):
        self.index, self.copies, self._make = index, copies, make
        self._ray: Any = None
        self._handle: Any = None
        self._has_state = False
        self._has_answered = False  # this process has, anything
        self._answers: list[Any] = []  # to come

    def begin(self, state: Callable[[], list[np.ndarray]], ahead: int, method: str, arguments: list[Any]) -> None:
        """Asks the program to do something.

        Args:
          state: that it is to have been loaded with.
          ahead: iterations that it is to have done since.
          method: of `Program`.
          arguments: of that.
        """
        if self._handle is None:
            self._ray, self._handle = self._make(self.copies.stop - self.copies.start)
            self._has_state = self._has_answered = False
        self._answers = []
        if not self._has_state:
            self._answers.append(self._handle.load.remote(*state()))
            if ahead:
                self._answers.append(self._handle.run.remote(ahead))
        self._has_state = True
        self._answers.append(getattr(self._handle, method).remote(*arguments))

    def value(self, stop: loops.Stop) -> Any:
        """Waits for what was asked last.

        Raises:
          PeerLost: if the process is gone, or does not say that it is there; the next `begin` makes another.
          RunError: if the program fails.
          Stopped: if `stop`, asked now and then, says true.
        """
        errors, value = self._ray.exceptions, None
        try:
            for answer in self._answers:
                self._wait(answer, stop)
                value, error = self._ray.get(answer)
                if error:
                    raise RunError(f"worker {self.index} failed: {one_line(RuntimeError(error))}")
                self._has_answered = True
        except errors.RayTaskError as error:
            raise RunError(f"worker {self.index} failed: {one_line(error)}") from error
        except errors.RayError as error:
            self.close()
            first, last = self.copies.start, self.copies.stop - 1
            told = "worker %d is replaced, and copies %d to %d go on from the state that is kept here: %s"
            _LOG.warning(told, self.index, first, last, one_line(error))
            raise loops.PeerLost from error
        return value

    def forget(self) -> None:
        """Has the program load a state before it does anything else."""
        self._has_state = False

    def pid(self) -> int:
        """The number of its process."""
        return self._ray.get(self._handle.pid.remote())

    def close(self) -> None:
        """Ends the process."""
        if self._handle is not None:
            with contextlib.suppress(Exception):  # it has gone
                self._ray.kill(self._handle)
        self._handle = None

    def _wait(self, answer: Any, stop: loops.Stop) -> None:
        """Waits for an answer, and asks meanwhile whether the process is there, which it says also while it trains."""
        question, asked = None, time.monotonic()
        while not self._ray.wait([answer], timeout=_POLL_SECONDS)[0]:
            if stop():
                raise loops.Stopped("waiting for workers was told to stop")
            patience = PATIENCE.answer if self._has_answered else PATIENCE.first
            if self._has_answered and (question is None or self._ray.wait([question], timeout=0)[0]):
                question = self._handle.is_there.options(concurrency_group="watch").remote()
                asked = time.monotonic()
            elif time.monotonic() - asked > patience:
                raise self._ray.exceptions.GetTimeoutError(f"it did not answer for {patience:g} seconds")
