"""`rl-fn compare`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals, refuse, say
from rl_fn.commands.flags import RunFolder, flag
from rl_fn.media import statistics

if TYPE_CHECKING:
    from rl_fn.media.curves import Curve

_POINTS = 8  # of the curves that are shown
_NOT_SHOWN = ("output_dir", "copy", "command")  # of config.json: where a run was made and not what it is


def compare(
    first: RunFolder,
    second: RunFolder,
    *,
    tag: Annotated[str, flag("The curve, a column of metrics.csv.", "NAME")] = "eval/return_mean",
    output: Annotated[Path | None, flag("Draw both curves here, .png, .pdf or .svg.", "FILE")] = None,
) -> None:
    """Compare two runs: what differs, both curves, and how likely the second is better than the first."""
    import_tensorflow(compilation_cache=False)
    from rl_fn.media import curves
    from rl_fn.runs.config import FILE
    from rl_fn.runs.files import read_json
    from rl_fn.runs.loading import copy_folders

    console = Console()
    names = _names(first, second)
    with refusals():
        configs = [read_json(copy_folders(run)[0] / FILE) for run in (first, second)]
        both = [curves.read([run], tag, [name])[0] for run, name in zip((first, second), names, strict=True)]
    console.print(_differing(names, *map(_settings, configs)))
    if both[0].env != both[1].env:
        say(f"their returns are not compared: one was trained in {both[0].env}, the other in {both[1].env}")
        return
    console.print(_table(tag, both))
    scores = [curve.values[:, -1] for curve in both]
    value = statistics.of(statistics.probability_of_improvement, scores)
    low, high = statistics.interval(statistics.probability_of_improvement, scores)
    console.print(
        f"\nA seed of {escape(names[1])} is better than one of {escape(names[0])} at the end with probability "
        f"[bold]{value:.2f}[/], 95% interval {low:.2f} to {high:.2f} ({len(scores[0])} and {len(scores[1])} seeds).",
        highlight=False,
    )
    if output is not None:
        from rl_fn.media import plots

        try:
            with refusals(output):
                for path in plots.draw_curves(both, tag).save(output):
                    print(path)
        except ModuleNotFoundError as error:
            refuse(f'the picture needs {error.name}, which is not installed: pip install "rl-fn[plot]"')


def _names(first: Path, second: Path) -> list[str]:
    """The last parts of the paths that tell them apart."""
    ways = [path.absolute().parts for path in (first, second)]
    for count in range(1, max(map(len, ways)) + 1):
        names = ["/".join(way[-count:]) for way in ways]
        if names[0] != names[1]:
            return names
    return [f"{names[0]} (first)", f"{names[1]} (second)"]


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Everything that config.json tells, by names without levels."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if name in _NOT_SHOWN:
            continue
        if isinstance(value, dict):
            prefix = "" if name == "hparam_override" else f"{name} "
            flat |= {f"{prefix}{key}": json.dumps(part) for key, part in value.items()}
        else:
            flat[name] = json.dumps(value)
    return flat


def _differing(names: list[str], first: dict[str, str], second: dict[str, str]) -> Table:
    table = Table("what differs", *map(escape, names), show_edge=False)
    for name in {**first, **second}:
        if first.get(name) != second.get(name):
            table.add_row(name, *(escape(settings.get(name, "-")) for settings in (first, second)))
    if not table.row_count:
        table.add_row("nothing", "", "")
    return table


def _table(tag: str, both: list[Curve]) -> Table:
    title = f"{tag} in {both[0].env}: interquartile mean over seeds, 95% interval"
    table = Table("steps", *(escape(curve.label) for curve in both), title=title, show_edge=False)
    steps = np.unique(np.concatenate([curve.env_steps for curve in both]))
    shown = steps[np.unique(np.linspace(0, len(steps) - 1, _POINTS).round().astype(int))]
    for step in shown:
        table.add_row(f"{step:,}", *(_at(curve, step) for curve in both))
    return table


def _at(curve: Curve, step: int) -> str:
    """The newest value of a curve up to a step."""
    before = np.flatnonzero(curve.env_steps <= step)
    if not before.size or step > curve.env_steps[-1]:
        return "-"
    values = curve.values[:, before[-1]]
    low, high = statistics.interval(statistics.iqm, [values])
    return f"{statistics.of(statistics.iqm, [values]):.1f} ({low:.1f} to {high:.1f})"
