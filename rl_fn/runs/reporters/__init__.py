"""What watches a run. A reporter is anything with these three functions; a run has a list of them."""

from typing import Any, Protocol

from rl_fn.runs.report import Report
from rl_fn.runs.reporters.films import Films
from rl_fn.runs.reporters.profile import Profile
from rl_fn.runs.reporters.progress import Progress
from rl_fn.runs.reporters.table import Table
from rl_fn.runs.reporters.tensorboard import TensorBoard

__all__ = ["Films", "Profile", "Progress", "Reporter", "Table", "TensorBoard"]


class Reporter(Protocol):
    """Watches a run."""

    def start(self, run: Any) -> None:
        """Is called with the Run before it trains, also where it goes on."""

    def report(self, report: Report) -> None:
        """Is called between compiled chunks."""

    def close(self) -> None:
        """Is called when the run ends, for whatever reason."""
