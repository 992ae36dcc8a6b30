"""A population in MLflow and in Weights & Biases: told as a run is whose copies are the members."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_fn.runs.config import RunConfig
from rl_fn.runs.reporters.mlflow import MLflow
from rl_fn.runs.reporters.tracker import Artifact, Tracker
from rl_fn.runs.reporters.wandb import WandB
from rl_fn.search.config import SearchConfig
from rl_fn.search.lineage import Row

_FILES = ("search.json", "lineage.csv", "best.toml", "pictures/*.png")


class Followed:
    """A population as what tells of runs sees it.

    Args:
      search: its settings.
      run: those of a member.
      env: the environment.
      steps: of a member, at the end of each generation.
    """

    def __init__(self, search: SearchConfig, run: RunConfig, env: Any, steps: Sequence[int]):
        self.search, self.env, self.steps = search, env, steps
        self.config = dataclasses.replace(run, output_dir=search.output_dir, copies=search.trials, seed=search.seed)
        self.notes: list[str] = []  # that people should be told
        self.env_steps, self.total_steps = 0, steps[-1]

    def folder(self) -> Path:
        """Where what there is to tell is kept."""
        return self.config.output_dir


class PopulationTracker(Tracker):
    """Tells of each member's fitness and settings at the end of each generation, and whether it took over then."""

    _run: Followed

    def _settings(self, copy: int | None) -> dict[str, Any]:
        """See Tracker."""
        if copy is not None:
            return {"member": copy}
        given = {item.name: getattr(self._run.search, item.name) for item in dataclasses.fields(self._run.search)}
        return {**given, **super()._settings(None), "seed": given["seed"]}

    def _title(self, copy: int) -> str:
        """See Tracker."""
        return f"member_{copy}"

    def generation(self, rows: list[Row]) -> None:
        """Has the rows of a generation told, unless they were."""
        self._run.env_steps = self._run.steps[rows[0].generation - 1]
        values = [
            {
                **({"fitness": row.fitness} if math.isfinite(row.fitness) else {}),
                "took_over": float(row.parent != row.member),
                **row.settings,
            }
            for row in rows
        ]
        self._put(self._run.env_steps, values)

    def _files(self, copy: int) -> list[Artifact]:
        """See Tracker: those of the whole."""
        base = self._run.config.output_dir
        found = [path for pattern in _FILES for path in sorted(base.glob(pattern))]
        return [Artifact(None, path, str(path.relative_to(base))) for path in found if copy == 0]

    def _drawn(self, folder: Path) -> list[Artifact]:
        """See Tracker: nothing but what the search draws."""
        return []


class MLflowPopulation(PopulationTracker, MLflow):
    """A run of the population, with the means over members, and a child of each member."""


class WandBPopulation(PopulationTracker, WandB):
    """A group of runs, one of each member."""


def tracker(config: SearchConfig) -> PopulationTracker | None:
    """Who is told of a population, by the setting `track`; None for nobody.

    Raises:
      ValueError: if a package is not installed, or the URI cannot be.
    """
    if config.track == "mlflow":
        return MLflowPopulation(config.track_uri)
    return WandBPopulation() if config.track == "wandb" else None
