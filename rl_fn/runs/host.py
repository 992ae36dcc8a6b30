"""Where a run's environments are stepped on the host."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs.host.base import HostEnv, close_and_tell
from rl_fn.envs.host.failures import EnvFailed, Failures
from rl_fn.struct import Nest

PATIENCE_SECONDS = 5.0  # with an environment, before it is told that a run cannot stop because of it
NUM_ENVS = 8  # to evaluate in, where the training has none
_LOG = logging.getLogger(__name__)


class Host:
    """The agent's functions compiled, environments stepped between them.

    Args:
      agent: the agent.
      env: the environments of the training.
      eval_env: those of the evaluation, or a function that makes them of their number, which is called with the first
        evaluation.
      eval_episodes: whole episodes per evaluation.
    """

    def __init__(
        self, agent: Agent, env: HostEnv, eval_env: HostEnv | Callable[[int], HostEnv] | None, eval_episodes: int
    ):
        self._agent, self._env, self._eval_env, self._eval_episodes = agent, env, eval_env, eval_episodes
        self._made: list[HostEnv] = []
        self._play: Callable[..., loops.Evaluation] | None = None
        self._sample: list[np.ndarray] = []  # of the actions of evaluations, until they are taken
        self._watched = [env]  # what may fail
        self._told = _failures(env)

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        offline = self._agent.schedule.is_offline
        return (loops.init_offline_state if offline else loops.init_host_state)(self._agent, key)

    def compile(self, state: Nest) -> loops.Compiled:
        """See Runner."""
        offline = self._agent.schedule.is_offline
        return loops.compile((loops.offline_step if offline else loops.host_step)(self._agent), state)

    def train(self, compiled: loops.Compiled, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        if self._agent.schedule.is_offline:
            return loops.train(compiled, iterations, **options)
        return loops.host_train(self._agent, self._env, compiled, iterations, **options)

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        if self._play is None:
            env: Any = self._eval_env
            if callable(env):
                try:
                    env = env(min(self._eval_episodes, self._agent.schedule.num_envs or NUM_ENVS))
                except ValueError as error:
                    raise EnvFailed("environments to evaluate in could not be made", str(error)) from error
                self._made.append(env)
            self._told = self._told.plus(_failures(env))
            self._watched.append(env)
            self._play = loops.host_evaluate(self._agent, env, self._eval_episodes, watch=self._sample.append)
        return self._play(policy, keys[0], stop)

    def actions(self) -> np.ndarray | None:
        """See Runner."""
        sample, self._sample[:] = list(self._sample), []
        return np.concatenate(sample) if sample else None

    def failures(self) -> Failures:
        """See Runner."""
        told, self._told = self._told, functools.reduce(Failures.plus, map(_failures, self._watched))
        return self._told.since(told)

    def infos(self) -> dict[str, float]:
        """See Runner."""
        infos = getattr(self._env, "infos", None)
        return infos.take() if infos else {}

    def stopping(self) -> None:
        """See Runner; only backend "sync" can keep a run from it."""
        awaited = [(env, waiting) for env in self._watched if (waiting := getattr(env, "awaited", None))]
        if awaited:
            timer = threading.Timer(PATIENCE_SECONDS, _tell_awaited, [awaited])
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """See Runner."""
        self._play = None
        while self._made:
            env = self._made.pop()
            close_and_tell(env.spec.name, env)


def _failures(env: HostEnv) -> Failures:
    return getattr(env, "failures", Failures())


def _tell_awaited(before: list[tuple[Any, tuple[int, int]]]) -> None:
    for env, (index, step) in before:
        if env.awaited == (index, step):
            _LOG.warning(
                "environment %d of %s has not answered for the %g seconds since the run was told to stop, and backend "
                "'sync' waits for ever: only a second signal ends this; the newest checkpoint stays",
                index,
                env.spec.name,
                PATIENCE_SECONDS,
            )
