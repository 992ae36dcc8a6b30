"""A run in Weights & Biases."""

from __future__ import annotations

import os
from typing import Any

from rl_fn.runs import stores
from rl_fn.runs.reporters.outbox import Record
from rl_fn.runs.reporters.tracker import Artifact, Tracker


class WandB(Tracker):
    """Tells Weights & Biases, in files that `wandb sync --append` uploads. Needs the extra `wandb`.

    The files are in `wandb` beside the output folder. Copies are runs of one group. A run that goes on has files of its
    own for that, under the same id. The environment variables of the package count: WANDB_MODE=online tells the server
    at once, WANDB_PROJECT names the project, which is `rl_fn` otherwise.

    Raises:
      ValueError: if the package is not installed.
    """

    package = "wandb"

    def receiver(self, run: Any) -> str:
        """See Tracker."""
        self._mode = os.environ.get("WANDB_MODE", "offline")
        return f"W&B, {self._mode}"

    def open(self, run: Any, name: str) -> None:
        """See Tracker."""
        import wandb

        output_dir, copies = run.config.output_dir.absolute(), run.config.copies
        on_store = isinstance(output_dir, stores.Address)  # of whose copies the run's own are temporary
        quiet = wandb.Settings(console="off", silent=True)
        self._runs = [
            wandb.init(
                project=os.environ.get("WANDB_PROJECT", "rl_fn"),
                dir=run.folder().parent.parent if on_store else output_dir.parent,
                id=f"{name}-{copy}",
                name=f"{output_dir.name}/{self._title(copy)}" if copies > 1 else output_dir.name,
                group=output_dir.name if copies > 1 else None,
                config=self._settings(copy),
                mode=self._mode,
                resume=None if self._mode == "offline" else "allow",
                reinit="create_new",
                settings=quiet,
            )
            for copy in range(copies)
        ]

    def send(self, records: list[Record]) -> None:
        """See Tracker."""
        for copy, run in enumerate(self._runs):
            for record in records:
                run.log(record.values[copy], step=record.env_steps)

    def end(self, artifacts: list[Artifact], is_finished: bool) -> None:
        """See Tracker."""
        for copy, path, name in artifacts:
            base = str(path).removesuffix(name)
            self._runs[copy or 0].save(str(path), base_path=base, policy="now")
        for run in self._runs:
            run.finish(exit_code=0 if is_finished else 1)
