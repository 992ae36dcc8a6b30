"""Scalars in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from rl_fn.runs.report import Report
from rl_fn.runs.reporters.events import cut_back
from rl_fn.runs.reporters.scalars import scalars


class TensorBoard:
    """Writes event files to the folder of each copy: the curves of each report, and the settings as text."""

    def start(self, run: Any) -> None:
        """See Reporter."""
        folders = [run.folder(copy) for copy in range(run.config.copies)]
        goes_on = [cut_back(folder, run.reported_steps) for folder in folders]
        self._writers = [tf.summary.create_file_writer(str(folder)) for folder in folders]
        for copy, writer in enumerate(self._writers):
            if not goes_on[copy]:
                with writer.as_default(step=0):
                    tf.summary.text("config", _table({**run.config.to_json(), "copy": copy}))

    def report(self, report: Report) -> None:
        """See Reporter."""
        for copy, writer in enumerate(self._writers):
            with writer.as_default(step=report.env_steps):
                for tag, value in scalars(report, copy).items():
                    tf.summary.scalar(tag, value)
            writer.flush()  # before the checkpoint after this report

    def close(self) -> None:
        """See Reporter."""
        for writer in self._writers:
            writer.close()


def _table(settings: Mapping[str, Any]) -> str:
    """Settings in Markdown, which TensorBoard shows as a table."""
    flat = {**settings, **settings["hparam_override"]}
    rows = [f"| {name} | {value} |" for name, value in flat.items() if name != "hparam_override"]
    return "\n".join(["| name | value |", "|---|---|", *rows])
