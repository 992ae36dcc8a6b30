"""Films of a run's evaluations, or a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_fn import random
from rl_fn.agents.base import Agent
from rl_fn.media import films
from rl_fn.runs.pauses import Pauses
from rl_fn.runs.report import Report

_VIDEO = 2  # folded into the seed's key


class Films:
    """Plays episodes at evaluations, to films, in a window, or both; the first copy stands for all.

    Args:
      agent: whose `act` chooses.
      env: a compiled environment, or one host environment with pictures.
      folder: where films go; None for none.
      window: whether to open a window.
      episodes: how many at a time.

    Raises:
      ValueError: at once, for whatever is missing: pictures, a package, a display.
    """

    def __init__(self, agent: Agent, env: Any, *, folder: Path | None = None, window: bool = False, episodes: int = 1):
        self._recorder = films.Recorder(agent, env, folder=folder, window=window, episodes=episodes)

    @classmethod
    def of(cls, run: Any, env: Any) -> Films:
        """What the settings of a Run ask for, in an environment to be shown."""
        config = run.config
        videos = run.folder() / "videos" if config.record_video else None
        return cls(run.agent, env, folder=videos, window=config.render, episodes=config.video_episodes)

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._run, self._interval = run, run.config.video_interval or 1
        is_wanted = run.config.video_interval is not None or run.config.render  # somebody is looking
        self._pauses = Pauses("films", "video_interval", is_wanted, run.notes)
        self._filmed = run.reported_steps // self._interval

    def report(self, report: Report) -> None:
        """See Reporter."""
        due = report.env_steps // self._interval
        is_last = report.env_steps == self._run.total_steps
        if report.is_pause and due > self._filmed and (is_last or self._pauses.allows(self._run.train_seconds)):
            self._filmed = due
            key = random.fold_in(random.key(self._run.config.seed), _VIDEO)
            key = random.fold_in(key, report.iteration)
            with self._pauses.timed():
                self._recorder(self._run.policy_of(0), key, report.env_steps, self._run.is_stopping)

    def close(self) -> None:
        """See Reporter."""
        self._recorder.close()
