"""A run whose environments are stepped by workers, processes of Ray, while this process learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

from rl_fn import loops, random
from rl_fn._src.loops.lanes import Lanes
from rl_fn._src.loops.workers import has_streams, workers_train
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.envs.host.failures import Failures
from rl_fn.runs import cluster, memory
from rl_fn.runs.config import RunConfig
from rl_fn.runs.fleet import RayFleet
from rl_fn.runs.runner import Runner
from rl_fn.runs.worker import Assignment, Worker
from rl_fn.struct import Nest


class Workers:
    """Acting in `config.num_workers` processes, each with its share of the schedule's environments; learning here.

    Args:
      agent: the agent.
      env: the environment, or one like those of the workers.
      config: of the run, resolved.
      here: where it happens otherwise, which evaluates.

    Raises:
      ValueError: if the agent steps no environment, or Ray is not installed.
    """

    def __init__(self, agent: Agent, env: Env | HostEnv, config: RunConfig, here: Runner):
        if agent.schedule.is_offline:
            raise ValueError(f"num_workers is {config.num_workers}, expected 1 for an agent that steps no environment")
        cluster.check_installed(config.num_workers)
        self._agent, self._env, self._config, self._here = agent, env, config, here
        self._lag = config.max_policy_lag
        if self._lag is None and agent.max_policy_lag is not None:
            self._lag = max(agent.max_policy_lag, agent.schedule.actor_lag)
        self._resources = ExitStack()
        self._fleet: RayFleet | None = None
        self._told = Failures()

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        return loops.init_host_state(self._agent, key)

    def compile(self, state: Nest) -> loops.Compiled:
        """See Runner."""
        return loops.compile(loops.host_step(self._agent), state)

    def train(self, compiled: loops.Compiled, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        num_workers, settings = self._config.num_workers, self._config.to_json()
        start = options.get("start") or 0
        with self._resources:
            ray = self._resources.enter_context(
                cluster.connected(num_workers, self._config.ray_address, memory.available())
            )
            remote = ray.remote(concurrency_groups={"watch": 1}, num_cpus=1, scheduling_strategy="SPREAD")(Worker)
            make_worker = lambda index, generation: remote.remote(Assignment(settings, index, generation, start))
            lanes = Lanes(num_workers, self._lag, has_streams(self._agent, compiled.spec))
            share = self._agent.schedule.num_envs // num_workers
            self._told = Failures()
            self._fleet = RayFleet(ray, make_worker, num_workers, share, lanes)
            self._resources.callback(self._fleet.close)
            yield from workers_train(
                self._agent, self._env.spec, self._fleet, num_workers, compiled, iterations, **options
            )

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        return self._here.evaluate(policy, keys, stop)

    def actions(self) -> np.ndarray | None:
        """See Runner."""
        return self._here.actions()

    def infos(self) -> dict[str, float]:
        """See Runner."""
        return self._fleet.infos() if self._fleet else {}

    def failures(self) -> Failures | None:
        """See Runner."""
        here = self._here.failures() or Failures()
        told, self._told = self._told, self._fleet.failures if self._fleet else Failures()
        return here.plus(self._told.since(told))

    def stopping(self) -> None:
        """See Runner."""
        self._here.stopping()

    def close(self) -> None:
        """See Runner."""
        self._resources.close()
        self._here.close()
