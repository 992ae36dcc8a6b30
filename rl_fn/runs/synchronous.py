"""Where workers, processes of Ray, share each step of a run, in lockstep: `--num_workers N --sync`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.runs import cluster, memory
from rl_fn.runs.config import RunConfig
from rl_fn.runs.errors import RunError, one_line
from rl_fn.runs.runner import Runner
from rl_fn.runs.sharing import Sharer, Told
from rl_fn.struct import Nest

PATIENCE_SECONDS = 600.0  # with a worker that is to meet the others, which at first compiles
_LOG = logging.getLogger(__name__)


def in_lockstep(agent: Agent, env: Env | HostEnv, config: RunConfig, here: Runner) -> Synchronous:
    """Makes the runner of `config.num_workers` that share each step; the arguments are those of `Workers`.

    Raises:
      ValueError: for host environments and data sets, if Ray is not installed, and as Synchronous.
    """
    workers = f"num_workers is {config.num_workers}, expected 1 with sync"
    if not isinstance(env, Env) or agent.schedule.is_offline:
        raise ValueError(f"{workers}: {env.spec.name} is stepped on the host, or not at all")
    cluster.check_installed(config.num_workers)
    connect = lambda: cluster.connected(config.num_workers, config.ray_address, memory.available())
    return Synchronous(agent, env, here, config, config.num_workers, connect)


class Synchronous:
    """The environments and the batches of a run shared by processes, of which this is the first.

    Args:
      agent: the agent, of all workers together.
      env: the environment.
      here: where it happens otherwise, which evaluates.
      config: of the run, resolved.
      num_workers: how many processes.
      connect: gives Ray, connected, for as long as it is entered.

    Raises:
      ValueError: if the environments or a batch cannot be shared equally.
    """

    def __init__(
        self,
        agent: Agent,
        env: Env,
        here: Runner,
        config: RunConfig,
        num_workers: int,
        connect: Callable[[], AbstractContextManager[Any]],
    ):
        self._place, self._connect = here, connect
        self._config, self._num_workers = config.to_json(), num_workers
        self._step = loops.SharedStep(agent, env, loops.spec_of(self.init), num_workers)
        self._here = loops.OnDevice(self._step, 0, tf.config.list_logical_devices()[0].name)
        self.others = [InWorker(index, self._make, self._step) for index in range(1, num_workers)]
        self._resources = ExitStack()
        self._ray: Any = None

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        return self._place.init(key)

    def compile(self, state: Nest) -> loops.Running:
        """See Runner."""
        return loops.Lockstep(self._step, [self._here, *self.others], state)

    def train(self, compiled: loops.Running, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        with self._resources:
            self._ray = self._resources.enter_context(self._connect())
            for worker in self.others:
                self._resources.callback(worker.close)
            yield from self._place.train(compiled, iterations, **options)

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        return self._place.evaluate(policy, keys, stop)

    def actions(self) -> np.ndarray | None:
        """See Runner."""
        return self._place.actions()

    def failures(self) -> None:
        """See Runner."""

    def infos(self) -> dict[str, float]:
        """See Runner."""
        return {}

    def stopping(self) -> None:
        """See Runner."""

    def close(self) -> None:
        """See Runner."""
        self._resources.close()
        self._here.close()
        self._place.close()

    def _make(self, index: int) -> tuple[Any, Any]:
        remote = self._ray.remote(num_cpus=1, max_restarts=0)(Sharer)
        return self._ray, remote.remote(self._config, index, self._num_workers)


class InWorker:
    """A peer in a process of Ray's, which is made again where it is lost; see `loops.Peer`."""

    def __init__(self, index: int, make: Callable[[int], tuple[Any, Any]], step: loops.SharedStep):
        self._index, self._make, self._step = index, make, step
        self._ray: Any = None
        self._handle: Any = None

    def load(self, state: Any) -> None:
        """See Peer."""
        if self._handle is None:
            self._ray, self._handle = self._make(self._index)
        leaves = [leaf.numpy() for leaf in tf.nest.flatten(state)]
        if error := self._answer(self._handle.load.remote(*leaves)):
            raise RunError(f"worker {self._index} failed: {one_line(RuntimeError(error))}")

    def begin(self, iterations: int) -> Callable[[], loops.Came]:
        """See Peer."""
        if self._handle is None:  # it was closed, with the state that it had
            raise loops.PeerLost
        answer = self._handle.begin.remote(iterations)
        return lambda: self._came(answer)

    def go_on(self, total: Any) -> Callable[[], loops.Came]:
        """See Peer."""
        answer = self._handle.go_on.remote(total.numpy())
        return lambda: self._came(answer)

    def pid(self) -> int:
        """The number of its process."""
        return self._ray.get(self._handle.pid.remote())

    def close(self) -> None:
        """See Peer."""
        if self._handle is not None:
            self._ray.kill(self._handle)
        self._handle = None

    def _came(self, answer: Any) -> loops.Came:
        told: Told = self._answer(answer)
        if told.error:
            raise RunError(f"worker {self._index} failed: {one_line(RuntimeError(told.error))}")
        if told.actors is None:
            return loops.Came(vector=tf.constant(told.vector))
        return loops.Came(results=(self._step.with_actors([tf.constant(leaf) for leaf in told.actors]), None))

    def _answer(self, answer: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(answer, timeout=PATIENCE_SECONDS)
        except (errors.RayActorError, errors.GetTimeoutError) as error:
            self.close()
            _LOG.warning("worker %d is lost and made again: %s", self._index, one_line(error))
            raise loops.PeerLost from error
