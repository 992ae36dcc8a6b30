"""Runs: any agent in any environment, with checkpoints, resume, evaluation, TensorBoard, films and a summary.

run = rl.runs.Run(agent, env, "runs/mine", train_steps=100_000, seed=0)
for report in run:
    print(report.env_steps, report.metrics["episode_return"])

`RunConfig` describes a run in names and numbers, `Run.from_config` makes it. Afterwards, `load` makes what a run has
learned, with a `Policy` to act with; `evaluate` judges it, and `export` writes it in forms that need no rl_fn.
`datasets` records what a run meets, and reads it for agents that learn from that. `checkpoint` saves and restores
states, `reporters` are what watches a run.

TensorFlow is loaded with the first run, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl_fn._src import lazy
from rl_fn.runs.config import RunConfig

if TYPE_CHECKING:
    from rl_fn.runs import checkpoint, datasets, reporters
    from rl_fn.runs.errors import ReporterError, RunError
    from rl_fn.runs.exporting import export
    from rl_fn.runs.judging import Judged, evaluate
    from rl_fn.runs.loading import Loaded, load
    from rl_fn.runs.policy import Policy
    from rl_fn.runs.report import Report
    from rl_fn.runs.run import Run

__all__ = [
    "Judged",
    "Loaded",
    "Policy",
    "Report",
    "ReporterError",
    "Run",
    "RunConfig",
    "RunError",
    "checkpoint",
    "datasets",
    "evaluate",
    "export",
    "load",
    "reporters",
]

_HOMES = {
    **dict.fromkeys(("Judged", "evaluate"), "rl_fn.runs.judging"),
    **dict.fromkeys(("Loaded", "load"), "rl_fn.runs.loading"),
    "Policy": "rl_fn.runs.policy",
    "export": "rl_fn.runs.exporting",
    "Report": "rl_fn.runs.report",
    **dict.fromkeys(("ReporterError", "RunError"), "rl_fn.runs.errors"),
    "Run": "rl_fn.runs.run",
}


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(lazy.load(_HOMES[name]), name)
        if name in __all__:
            return lazy.load(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
