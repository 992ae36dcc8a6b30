"""The acting half of a run, as a worker does it: an agent in its share of the environments."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random
from rl_fn._src.loops.layout import Layout, policy_spec, trajectory_spec
from rl_fn._src.loops.workers import worker_rollouts
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import close_and_tell
from rl_fn.envs.host.failures import Failures
from rl_fn.runs.config import RunConfig

_WORKERS = 2  # folded into the seed's key


class Acting:
    """Makes rollouts, from buffer to buffer.

    Args:
      config: of the run, as `RunConfig.to_json` tells it.
      worker: which of the workers this is.
      generation: how often it was replaced before.
      start: the iteration that the run goes on from. Each of the three has random numbers of its own.
      stop: whether to end before a rollout is whole; it then raises `loops.Stopped`.

    Raises:
      ValueError: if the environments cannot be made.
      EnvFailed, NonFiniteError: as `loops.HostActors`, and so do the rollouts.
    """

    def __init__(self, config: dict[str, Any], worker: int, generation: int, start: int, stop: loops.Stop):
        settings = RunConfig(**config)
        hparams = settings.make_hparams()
        share = hparams.num_envs // settings.num_workers
        self._env = settings.make_env(share)
        agent = settings.make_agent(self._env.spec, hparams.of_actors(worker * share, share))
        self._policy = Layout(policy_spec(agent))
        self._trajectory = Layout(trajectory_spec(agent, self._env.spec, share))
        key = random.key(settings.seed)
        for number in (_WORKERS, worker, generation, start):
            key = random.fold_in(key, number)
        self._rollout = worker_rollouts(agent, self._env, share, key, stop)
        self._held: Any = None  # the policy that acts
        self._version, self._number = -1, 0

    def rollout(self, policy: np.ndarray, version: int) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Acts for the steps of a rollout.

        Args:
          policy: `uint8[...]`.
          version: of the policy, which is read only where that is a new one.

        Returns:
          The trajectory `uint8[...]`; the episodes that ended: how many, and the sums of their returns and lengths.
        """
        if version != self._version:
            self._held = tf.nest.map_structure(lambda leaf: tf.constant(leaf), self._policy.unpack(policy))
            self._version = version
        trajectory, episodes = self._rollout(self._held, self._number)
        self._number += 1
        count, return_sum, length_sum = (float(total) for total in episodes)
        return self._trajectory.pack(trajectory), (count, return_sum, length_sum)

    @property
    def failures(self) -> tuple[int, int]:
        """Restarts and timeouts of the environments so far."""
        return tuple(getattr(self._env, "failures", Failures()))

    def take_infos(self) -> dict[str, tuple[float, int]]:
        """What the environments reported of the episodes that ended since the last call; see `Infos.take_sums`."""
        infos = getattr(self._env, "infos", None)
        return infos.take_sums() if infos else {}

    def close(self) -> None:
        """Closes the environments."""
        if not isinstance(self._env, Env):
            close_and_tell(self._env.spec.name, self._env)
