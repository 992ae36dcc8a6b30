"""Where a run's environments are compiled together with the agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import Nest


class Local:
    """Rollouts and updates in one program; several copies of that side by side.

    Args:
      agent: the agent.
      env: the environment.
      eval_env: that of the evaluation.
      copies: how many runs side by side.
      eval_episodes: whole episodes per evaluation and copy.
    """

    def __init__(self, agent: Agent, env: Env, eval_env: Env, copies: int, eval_episodes: int):
        self._agent, self._env, self._copies = agent, env, copies
        self._sample: list[np.ndarray] = []  # of the actions of evaluations, until they are taken
        self._play = loops.evaluate(agent, eval_env, eval_episodes, copies=copies > 1, watch=self._sample.append)

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        if self._agent.schedule.is_offline:
            return loops.init_offline_state(self._agent, key)
        return loops.init_state(self._agent, self._env, key)

    def compile(self, state: Nest) -> loops.Running:
        """See Runner."""
        offline = self._agent.schedule.is_offline
        step = loops.offline_step(self._agent) if offline else loops.train_step(self._agent, self._env)
        return loops.compile_copies(step, state) if self._copies > 1 else loops.compile(step, state)

    def train(self, compiled: loops.Running, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        return loops.train(compiled, iterations, **options)

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        return self._play(policy, tf.stack(keys) if self._copies > 1 else keys[0], stop)

    def actions(self) -> np.ndarray | None:
        """See Runner."""
        sample, self._sample[:] = list(self._sample), []
        return np.concatenate(sample, axis=1 if self._copies > 1 else 0) if sample else None

    def failures(self) -> None:
        """See Runner."""

    def infos(self) -> dict[str, float]:
        """See Runner."""
        return {}

    def stopping(self) -> None:
        """See Runner."""

    def close(self) -> None:
        """See Runner."""
