"""What a worker is in its own process. TensorFlow is imported there, and not with this module."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, NamedTuple

import numpy as np

from rl_fn._src.xla.startup import import_tensorflow

# A worker leaves the accelerators to the learner, and the other cores to the other workers.
WITHOUT_ACCELERATORS = {"CUDA_VISIBLE_DEVICES": "-1"}
ENVIRONMENT = {**WITHOUT_ACCELERATORS, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


class Assignment(NamedTuple):
    """What a worker is for."""

    config: dict[str, Any]  # of the run, as `RunConfig.to_json` tells it
    worker: int  # of `config["num_workers"]`
    generation: int  # how often it was replaced before
    start: int  # the iteration that the run goes on from


class Acted(NamedTuple):
    """What a worker answers."""

    episodes: tuple[float, float, float]  # that ended: how many, their returns and lengths
    seconds: float  # the rollout took, without what is done only once
    failures: tuple[int, int]  # restarts and timeouts of its environments so far
    infos: dict[str, tuple[float, int]]  # what these reported at ends of episodes: sums, and of how many
    told: list[str]  # what it had to say by `logging`
    error: tuple[str, str] | None = None  # what ended it: the name of the exception, and what that says


class Worker:
    """Acts in a share of a run's environments, with the policies that it is sent.

    The first rollout makes everything. What goes wrong is told in the answer, since not every exception can travel.
    """

    def __init__(self, assignment: Assignment):
        self._assignment, self._is_stopping, self._told = assignment, threading.Event(), _Told()
        self._acting: Any = None  # made by the first rollout

    def rollout(self, policy: np.ndarray, version: int) -> tuple[np.ndarray, Acted]:
        """Acts for the steps of a rollout.

        Args:
          policy: `uint8[...]`, see `Layout`.
          version: the updates that it has had.

        Returns:
          The trajectory, `uint8[...]`, and what else there is to say. With an error, the trajectory is empty.
        """
        try:
            if self._acting is None:
                self._acting = self._made()
            begin = time.perf_counter()
            trajectory, episodes = self._acting.rollout(policy, version)
            seconds = time.perf_counter() - begin
            failures, infos = self._acting.failures, self._acting.take_infos()
            return trajectory, Acted(episodes, seconds, failures, infos, self._told.take())
        except Exception as error:
            failed = type(error).__name__, _said(error)
            return np.zeros(0, np.uint8), Acted((0.0, 0.0, 0.0), 0.0, (0, 0), {}, self._told.take(), failed)

    def is_there(self) -> bool:
        """Answers, also while it acts."""
        return True

    def stop(self) -> None:
        """Makes a rollout end before its time."""
        self._is_stopping.set()

    def close(self) -> None:
        """Closes the environments."""
        if self._acting is not None:
            self._acting.close()

    def _made(self) -> Any:
        os.environ.update(ENVIRONMENT)
        import_tensorflow(compilation_cache=False)  # the learner's flags, which are inherited, say where there is one
        from rl_fn.runs.acting import Acting

        return Acting(*self._assignment, self._is_stopping.is_set)


class _Told(logging.Handler):
    """Collects what is told by `logging` for the learner, whose terminal people look at."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: list[str] = []
        logging.getLogger("rl_fn").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append(record.getMessage())

    def take(self) -> list[str]:
        """What was told since the last call."""
        told, self._told = self._told, []
        return told


def _said(error: Exception) -> str:
    if type(error).__module__.startswith(("rl_fn.", "builtins")):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"
