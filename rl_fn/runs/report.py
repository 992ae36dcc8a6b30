"""What a run reports between two compiled chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from rl_fn import loops
from rl_fn.agents.base import Schedule
from rl_fn.envs.host.failures import Failures


class Report(NamedTuple):
    """Where a run stands. With several copies, what each copy has of its own has a leading axis for them."""

    iteration: int  # rollouts and updates so far
    env_steps: int  # so far, of each copy
    agent_metrics: dict[str, np.ndarray]  # means over the chunk; a name with nothing to report is not there
    episodes: loops.EpisodeMeans
    evaluation: loops.Evaluation | None  # where one was made
    is_pause: bool  # at each twentieth of a run: where evaluations and films belong
    steps_per_second: float  # of each copy; with the time for compiling, where the chunk `compiled`
    compiled: bool
    seconds: float  # the chunk took
    failures: Failures | None = None  # of environments on the host, since the start of the run
    actions: np.ndarray | None = None  # a sample of those of the evaluation, `[steps, B, ...]`
    infos: Mapping[str, float] = MappingProxyType({})  # what those reported in `info` at the ends of episodes, means

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """The agent's metrics, and episode_return, episode_length and episode_count where it has none of that name."""
        return {
            "episode_return": self.episodes.episode_return,
            "episode_length": self.episodes.episode_length,
            "episode_count": self.episodes.count,
            **self.agent_metrics,
        }


def make_report(
    chunk: loops.Chunk,
    evaluation: loops.Evaluation | None,
    is_pause: bool,
    schedule: Schedule,
    failures: Failures | None = None,
    actions: np.ndarray | None = None,
    infos: Mapping[str, float] = MappingProxyType({}),
) -> Report:
    """Makes a report of what a loop hands over."""
    return Report(
        iteration=chunk.iteration,
        env_steps=chunk.iteration * schedule.steps,
        agent_metrics=chunk.metrics,
        episodes=chunk.episodes,
        evaluation=evaluation,
        is_pause=is_pause,
        steps_per_second=schedule.steps * chunk.iterations / chunk.seconds,
        compiled=chunk.compiled,
        seconds=chunk.seconds,
        failures=failures,
        actions=actions,
        infos=infos,
    )


def mean(values: np.ndarray) -> float:
    """The mean of what is not NaN, NaN where nothing is left."""
    values = np.asarray(values, np.float64)
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else math.nan
