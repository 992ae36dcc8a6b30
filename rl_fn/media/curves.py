"""Learning curves of finished or running training runs, from their TensorBoard files. Needs the `plot` extra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl_fn.runs.config import FILE, read_json
from rl_fn.runs.errors import one_line


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
      ValueError: if the folder holds no run, or a damaged one, or the run has no such scalar.
    """
    folders = [folder for folder in output_dir.glob("run_*") if re.fullmatch(r"run_\d+", folder.name)]
    folders.sort(key=lambda folder: int(folder.name.removeprefix("run_")))
    if not folders:
        raise ValueError(f"{output_dir} holds no run: there is no folder run_0 in it")
    config = read_json(folders[0] / FILE)
    series = [_points(folder, tag) for folder in folders]
    steps = sorted(set.intersection(*[set(points) for points in series]))
    values = np.array([[points[step] for step in steps] for points in series])
    return Curve(f"{config.get('hparams') or output_dir.name} on {config.get('env')}", np.array(steps), values)


def _points(folder: Path, tag: str) -> dict[int, float]:
    """The values of a scalar by their steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    for path in folder.glob("events.out.tfevents.*"):
        if not path.is_file():  # which may have no end
            raise ValueError(f"{path} cannot be read: it is no file")
    try:
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        found = {name: events.Tensors(name) for name in events.Tags()["tensors"]}
    # What TensorBoard raises depends on the bytes that it finds.
    except Exception as error:
        raise ValueError(f"{folder} cannot be read: {one_line(error)}") from None
    if tag not in found:
        raise ValueError(f"{folder} has no scalar {tag!r}; there are: {', '.join(sorted(found))}")
    try:
        # A resumed run may have logged a point twice: the later one counts.
        return {event.step: float(make_ndarray(event.tensor_proto)) for event in found[tag]}
    except (TypeError, ValueError):
        raise ValueError(f"{folder} has {tag!r}, which is no scalar") from None


def plot(curves: Sequence[Curve], path: Path, ylabel: str = "evaluation return") -> None:
    """Draws the median over seeds, the range between the worst and the best, and each seed as a thin line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for index, curve in enumerate(curves):
        color = f"C{index}"
        seeds = len(curve.values)
        name = curve.label.replace("$", r"\$")  # which would begin a formula
        label = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
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
