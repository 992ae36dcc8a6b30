"""Learning curves of finished or running training runs, from their TensorBoard files. Needs the `plot` extra."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    label: str
    env_steps: np.ndarray  # [points]
    values: np.ndarray  # [seeds, points]


def read_curve(output_dir: Path, tag: str = "eval/return_mean") -> Curve:
    """Reads one scalar of all copies of a run.

    Args:
      output_dir: what `--output_dir` was.
      tag: the scalar.

    Raises:
      ValueError: if the folder holds no run, or the run has no such scalar.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    folders = [folder for folder in output_dir.glob("run_*") if re.fullmatch(r"run_\d+", folder.name)]
    folders.sort(key=lambda folder: int(folder.name.removeprefix("run_")))
    if not folders:
        raise ValueError(f"{output_dir} holds no run: there is no folder run_0 in it")
    series = []
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        tags = events.Tags()["tensors"]
        if tag not in tags:
            raise ValueError(f"{folder} has no scalar {tag!r}; there are: {', '.join(sorted(tags))}")
        # A resumed run may have logged a point twice: the later one counts.
        series.append({event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)})
    steps = sorted(set.intersection(*[set(points) for points in series]))
    config = json.loads((folders[0] / "config.json").read_text())
    values = np.array([[points[step] for step in steps] for points in series])
    return Curve(f"{config['hparams'] or output_dir.name} on {config['env']}", np.array(steps), values)


def plot(curves: Sequence[Curve], path: Path, ylabel: str = "evaluation return") -> None:
    """Draws the median over seeds, the range between the worst and the best, and each seed as a thin line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for index, curve in enumerate(curves):
        color = f"C{index}"
        seeds = len(curve.values)
        label = f"{curve.label} ({seeds} seed{'s' if seeds > 1 else ''})"
        axes.plot(curve.env_steps, np.median(curve.values, axis=0), color=color, linewidth=2, label=label)
        axes.plot(curve.env_steps, curve.values.T, color=color, linewidth=0.5, alpha=0.4)
        axes.fill_between(
            curve.env_steps, curve.values.min(axis=0), curve.values.max(axis=0), color=color, alpha=0.15, linewidth=0
        )
    axes.set_xlabel("environment steps")
    axes.set_ylabel(ylabel)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k")
    figure.savefig(path, dpi=150)
