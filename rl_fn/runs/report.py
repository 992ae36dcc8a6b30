"""What a run reports between two compiled chunks."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rl_fn import loops


class Evaluation(NamedTuple):
    """Whole episodes without exploration."""

    returns: np.ndarray  # [episodes], or [copies, episodes]
    lengths: np.ndarray


class Episodes(NamedTuple):
    """The episodes of training that ended in a chunk; each one number, or [copies]."""

    count: Any
    episode_return: np.ndarray  # mean, NaN where the count is 0
    episode_length: np.ndarray


class Report(NamedTuple):
    """Where a run stands. With several copies, what each copy has of its own has a leading axis for them."""

    iteration: int  # rollouts and updates so far
    env_steps: int  # so far, of each copy
    agent_metrics: dict[str, np.ndarray]  # means over the chunk; a name with nothing to report is not there
    episodes: Episodes
    evaluation: Evaluation | None  # where one was made
    is_pause: bool  # at each twentieth of a run: where evaluations and films belong
    steps_per_second: float  # over all copies; with the time for compiling, where the chunk `compiled`
    compiled: bool

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        """The agent's metrics, and episode_return, episode_length and episode_count where it has none of that name."""
        return {
            "episode_return": self.episodes.episode_return,
            "episode_length": self.episodes.episode_length,
            "episode_count": self.episodes.count,
            **self.agent_metrics,
        }


def from_chunk(
    chunk: loops.Chunk, evaluation: Evaluation | None, is_pause: bool, steps_per_iteration: int, copies: int
) -> Report:
    """Makes a report of what a loop hands over."""
    agent_metrics, episodes = _parted(chunk)
    return Report(
        iteration=chunk.iteration,
        env_steps=chunk.iteration * steps_per_iteration,
        agent_metrics=agent_metrics,
        episodes=episodes,
        evaluation=evaluation,
        is_pause=is_pause,
        steps_per_second=steps_per_iteration * copies * chunk.iterations / chunk.seconds,
        compiled=chunk.compiled,
    )


def mean(values: np.ndarray) -> float:
    """The mean of what is not NaN, NaN where nothing is left."""
    values = np.asarray(values, np.float64)
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else math.nan


def _parted(chunk: loops.Chunk) -> tuple[dict[str, np.ndarray], Episodes]:
    """Parts the agent's metrics from the episodes."""
    ours = ("episode_count", "episode_return", "episode_length")
    agent_metrics = {
        name: value for name, value in chunk.metrics.items() if name not in ours and not np.all(np.isnan(value))
    }
    return agent_metrics, Episodes(*(np.asarray(chunk.metrics.get(name, np.nan)) for name in ours))
