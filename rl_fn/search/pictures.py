"""Pictures of studies, by Optuna, and of the lineage of a population. PNG needs matplotlib, HTML needs plotly."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_fn.agents.ranges import Log
from rl_fn.runs import files
from rl_fn.search.lineage import Row
from rl_fn.search.space import Space
from rl_fn.search.storage import import_optuna

FOLDER = "pictures"
_AXIS = "interquartile mean of returns"


def draw(study: Any, folder: Path) -> tuple[list[Path], list[str]]:
    """Draws history, importances, parallel coordinates and slices of a study of Optuna's.

    Args:
      study: with trials.
      folder: to write to.

    Returns:
      The files, and sentences on what could not be drawn.
    """
    optuna = import_optuna()
    files.make_folder(folder)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "history": ("plot_optimization_history", {"target_name": _AXIS}),
        "importances": ("plot_param_importances", {"evaluator": evaluator}),
        "parallel": ("plot_parallel_coordinate", {"target_name": _AXIS}),
        "slices": ("plot_slice", {"target_name": _AXIS}),
    }
    written: list[Path] = []
    notes: list[str] = []
    backends = [
        ("matplotlib", optuna.visualization.matplotlib, _save_png),
        ("plotly", optuna.visualization, _save_html),
    ]
    for package, module, save in backends:
        if not module.is_available():
            notes.append(f'no pictures by {package}, which is not installed: pip install "rl-fn[search,plot]"')
            continue
        for name, (function, options) in kinds.items():
            try:
                written.append(save(getattr(module, function), study, options, folder / name))
            except (ValueError, RuntimeError) as error:  # importances of trials that are all alike
                notes.append(f"no {name} by {package}: {error}")
    return written, notes


def draw_lineage(rows: Sequence[Row], space: Space, path: Path) -> Path:
    """Draws who went on from whom, and with which settings: a line for each member from each generation to the next.

    Raises:
      ModuleNotFoundError: if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    files.make_folder(path.parent)
    panels = ["fitness", *(one.name for one in space)]
    figure = Figure(figsize=(7, 2.2 * len(panels)), layout="constrained")
    at = {(row.generation, row.member): row for row in rows}
    fitness = np.array([row.fitness for row in rows])
    low, high = fitness[np.isfinite(fitness)].min(initial=0.0), fitness[np.isfinite(fitness)].max(initial=1.0)
    for index, name in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        for row in rows:
            before = at.get((row.generation - 1, row.member))
            values = [_value(one, name) for one in (before, row) if one is not None]
            taken = "#D55E00" if before is not None and before.parent != row.member else "#0072B2"
            strength = 0.2 + 0.8 * (max(row.fitness, low) - low) / max(high - low, 1e-9)
            axes.plot(range(row.generation - len(values) + 1, row.generation + 1), values, color=taken, alpha=strength)
        if any(one.name == name and isinstance(one.range, Log) for one in space):
            axes.set_yscale("log")
        axes.set_ylabel(name)
    axes.set_xlabel("generation (orange: has taken over from another)")
    figure.savefig(path, dpi=150)
    return path


def _value(row: Row, name: str) -> float:
    return row.fitness if name == "fitness" else row.settings[name]


def _save_png(plot: Callable[..., Any], study: Any, options: dict[str, Any], stem: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = np.ravel(plot(study, **options))[0]
        figure = drawn.figure
        figure.set_size_inches(max(8.0, figure.get_size_inches()[0]), 5.0)
        path = stem.with_suffix(".png")
        figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
    return path


def _save_html(plot: Callable[..., Any], study: Any, options: dict[str, Any], stem: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = plot(study, **options)
    path = stem.with_suffix(".html")
    figure.write_html(path, include_plotlyjs="directory")
    return path
