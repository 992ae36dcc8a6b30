"""A run in TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from rl_fn.runs.report import Report
from rl_fn.runs.reporters.events import as_os_errors, cut_back
from rl_fn.runs.reporters.scalars import scalars, settings


class TensorBoard:
    """Writes event files to the folder of each copy.

    Scalars: the curves of each report.
    Histograms: parameters, the running means of their gradients that an optimiser keeps, and a sample of the actions
        of the evaluation, at each evaluation.
    Images: the newest film, where they are recorded.
    Graphs: the training step, in the first copy's.
    Text and HParams: the settings.
    """

    @as_os_errors()
    def start(self, run: Any) -> None:
        """See Reporter."""
        self._run, self._film_at = run, 0.0
        folders = [run.folder(copy) for copy in range(run.config.copies)]
        goes_on = [cut_back(folder, run.reported_steps) for folder in folders]
        self._has_graph = goes_on[0]
        self._writers = [tf.summary.create_file_writer(str(folder)) for folder in folders]
        for copy, writer in enumerate(self._writers):
            if not goes_on[copy]:
                told = settings(run.config, copy)
                with writer.as_default(step=0):
                    tf.summary.text("config", _table(told))
                    hparams_api.hparams({name: _simple(value) for name, value in told.items()})

    @as_os_errors()
    def report(self, report: Report) -> None:
        """See Reporter."""
        kept = self._run.leaves(_is_learned) if report.is_pause else {}
        for copy, writer in enumerate(self._writers):
            curves = [scalar_pb(tag, value) for tag, value in scalars(report, copy).items()]
            summary = Summary(
                value=[
                    value
                    for part in (*curves, *self._histograms(kept, copy), *self._actions(report, copy))
                    for value in part.value
                ]
            )
            with writer.as_default(step=report.env_steps):
                tf.summary.experimental.write_raw_pb(summary.SerializeToString())
                if copy == 0:
                    self._write_graph()
                    self._write_film(self._run.folder() / "videos" / "last.gif")
            writer.flush()  # before the checkpoint after this report

    @as_os_errors()
    def close(self) -> None:
        """See Reporter."""
        for writer in self._writers:
            writer.close()

    def _histograms(self, leaves: Mapping[str, np.ndarray], copy: int) -> Iterator[Summary]:
        for name, leaf in leaves.items():
            values = leaf[copy] if len(self._writers) > 1 else leaf
            if values.size:
                yield histogram_pb(f"gradients/{name}" if _is_gradient(name) else f"parameters/{name}", values)

    def _actions(self, report: Report, copy: int) -> Iterator[Summary]:
        """Discrete ones have one histogram, of others each axis has one."""
        if report.actions is None:
            return
        sample = report.actions[copy] if len(self._writers) > 1 else report.actions
        if sample.ndim == 2:
            yield histogram_pb("actions", sample)
            return
        axes = sample.reshape(len(sample) * sample.shape[1], -1)
        for axis in range(axes.shape[1]):
            yield histogram_pb(f"actions/{axis}", axes[:, axis])

    def _write_graph(self) -> None:
        if not self._has_graph and (graph := self._run.graph) is not None:
            tf.summary.graph(graph)
            self._has_graph = True

    def _write_film(self, film: Path) -> None:
        """Images may be animated: the size goes before the encoded picture, as TensorBoard has it."""
        if film.exists() and film.stat().st_mtime != self._film_at:
            self._film_at, content = film.stat().st_mtime, film.read_bytes()
            size = [str(int.from_bytes(content[at : at + 2], "little")).encode() for at in (6, 8)]
            metadata = create_summary_metadata(display_name=None, description="An episode without exploration.")
            tf.summary.write("eval/film", tf.constant([*size, content]), metadata=metadata)


def _is_learned(name: str) -> bool:
    parts = name.split("/")
    return ("params" in parts or _is_gradient(name)) and "replay" not in parts


def _is_gradient(name: str) -> bool:
    return "/opt_state/" in f"/{name}" and "/mean/" in f"{name}/"


def _simple(value: Any) -> Any:
    """What the HParams page can hold."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def _table(values: Mapping[str, Any]) -> str:
    """Settings in Markdown, which TensorBoard shows as a table."""
    return "\n".join(["| name | value |", "|---|---|", *[f"| {name} | {value} |" for name, value in values.items()]])
