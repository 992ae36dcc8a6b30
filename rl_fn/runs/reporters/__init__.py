"""What watches a run. A reporter is anything with these three functions; a run has a list of them."""

from pathlib import Path
from typing import Any, Protocol

from rl_fn.runs.report import Report
from rl_fn.runs.reporters.films import Films
from rl_fn.runs.reporters.mlflow import MLflow
from rl_fn.runs.reporters.profile import Profile
from rl_fn.runs.reporters.progress import Progress
from rl_fn.runs.reporters.table import Table
from rl_fn.runs.reporters.tensorboard import TensorBoard
from rl_fn.runs.reporters.tracker import Tracker
from rl_fn.runs.reporters.wandb import WandB
from rl_fn.runs.tracking import check_tracked

__all__ = ["Films", "MLflow", "Profile", "Progress", "Reporter", "Table", "TensorBoard", "Tracker", "WandB", "tracked"]


class Reporter(Protocol):
    """Watches a run."""

    def start(self, run: Any) -> None:
        """Is called with the Run before it trains, also where it goes on."""

    def report(self, report: Report) -> None:
        """Is called between compiled chunks."""

    def close(self) -> None:
        """Is called when the run ends, for whatever reason."""


def tracked(track: str, uri: str | None, output_dir: Path) -> list[Reporter]:
    """Who is told of a run, by the settings of that name.

    Args:
      track: "mlflow", "wandb" or "none".
      uri: of MLflow's server or database.
      output_dir: of the run.

    Raises:
      ValueError: if a package is not installed, or the URI cannot be, or files would be beside an output folder on a
        store, where nothing could write them.
    """
    check_tracked(track, uri, output_dir)
    return [MLflow(uri)] if track == "mlflow" else [WandB()] if track == "wandb" else []
