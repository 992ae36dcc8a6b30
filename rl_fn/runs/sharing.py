"""A worker that shares each step of a run, in its own process. TensorFlow is imported there, not with this module."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.runs.worker import WITHOUT_ACCELERATORS


class Told(NamedTuple):
    """What a worker answers; one of three."""

    vector: np.ndarray | None = None  # for a meeting
    actors: list[np.ndarray] | None = None  # what it has of the environments, once it has run all iterations
    error: str = ""  # what ended it: not every exception can travel


class Sharer:
    """One of the workers that share a step; see `loops.Peer`.

    Args:
      config: of the run, as `RunConfig.to_json` tells it, resolved.
      index: which worker it is.
      count: of how many.
    """

    def __init__(self, config: dict[str, Any], index: int, count: int):
        self._config, self._index, self._count = config, index, count
        self._peer: Any = None

    def load(self, *leaves: np.ndarray) -> str:
        """Takes its rows of the state of all workers; returns what went wrong, "" for nothing."""
        try:
            if self._peer is None:
                self._make()
            import tensorflow as tf

            self._peer.load(tf.nest.pack_sequence_as(self._spec, [tf.constant(leaf) for leaf in leaves]))
        except Exception as error:
            return f"{type(error).__name__} {error}"
        return ""

    def begin(self, iterations: int) -> Told:
        """Runs until it meets the others, or to the end."""
        return self._told(lambda: self._peer.begin(iterations)())

    def go_on(self, total: np.ndarray) -> Told:
        """Runs on with the sum over all workers."""
        return self._told(lambda: self._peer.go_on(total)())

    def pid(self) -> int:
        """The number of its process."""
        return os.getpid()

    def _make(self) -> None:
        os.environ.update(WITHOUT_ACCELERATORS)  # threads are those of the others, to round as they do
        import_tensorflow(compilation_cache=True)
        from rl_fn import loops
        from rl_fn.runs.config import RunConfig

        config = RunConfig(**self._config)
        hparams = config.make_hparams()
        env: Any = config.make_env(hparams.num_envs)
        agent = config.make_agent(env.spec, hparams)
        self._spec = loops.spec_of(lambda key: loops.init_state(agent, env, key))
        step = loops.SharedStep(agent, env, self._spec, self._count)
        self._peer = loops.OnDevice(step, self._index, "/CPU:0")

    def _told(self, turn: Any) -> Told:
        try:
            came = turn()
            if came.results is None:
                return Told(vector=came.vector.numpy())
            import tensorflow as tf

            return Told(actors=[leaf.numpy() for leaf in tf.nest.flatten(came.results[0].actors)])
        except Exception as error:
            return Told(error=f"{type(error).__name__} {error}")
