"""Scalars in TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn.runs.report import Report


class TensorBoard:
    """Writes event files to the folder of each copy: the curves of each report, and the settings as text."""

    def start(self, run: Any) -> None:
        """See Reporter."""
        self._copies = run.config.copies
        self._writers = [tf.summary.create_file_writer(str(run.folder(copy))) for copy in range(self._copies)]
        if not run.iteration:
            for copy, writer in enumerate(self._writers):
                with writer.as_default(step=0):
                    tf.summary.text("config", _table({**run.config.to_json(), "copy": copy}))

    def report(self, report: Report) -> None:
        """See Reporter."""
        for copy, writer in enumerate(self._writers):
            with writer.as_default(step=report.env_steps):
                for tag, value in self._scalars(report, copy).items():
                    tf.summary.scalar(tag, value)
            if report.is_pause:
                writer.flush()

    def close(self) -> None:
        """See Reporter."""
        for writer in self._writers:
            writer.close()

    def _scalars(self, report: Report, copy: int) -> dict[str, float]:
        """By their tags; what there is nothing to report of is left out."""
        mine, mine_of_all = (lambda value: np.atleast_1d(value)[copy]), (lambda value: np.atleast_2d(value)[copy])
        values = {f"agent/{name}": mine(value) for name, value in report.agent_metrics.items()}
        count, episode_return, episode_length = map(mine, report.episodes)
        if not math.isnan(count):
            values["train/episode_count"] = count
        if count > 0:
            values |= {"train/episode_return": episode_return, "train/episode_length": episode_length}
        if not report.compiled:
            values["train/env_steps_per_second"] = report.steps_per_second / self._copies
        if report.evaluation:
            returns, lengths, finished = map(mine_of_all, report.evaluation)
            values |= {"eval/return_mean": returns.mean(), "eval/return_std": returns.std()}
            values |= {"eval/length_mean": lengths.mean(), "eval/unfinished": (~finished).sum()}
        return values


def _table(settings: Mapping[str, Any]) -> str:
    """Settings in Markdown, which TensorBoard shows as a table."""
    flat = {**settings, **settings["hparam_override"]}
    rows = [f"| {name} | {value} |" for name, value in flat.items() if name != "hparam_override"]
    return "\n".join(["| name | value |", "|---|---|", *rows])
