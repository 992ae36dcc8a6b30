"""Pictures of runs for papers, in colours and in grey. Needs the `plot` extra.

Statistics are those of Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice":
interquartile means, with 95% stratified bootstrap intervals over seeds.
"""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_fn.media import curves, statistics
from rl_fn.media.curves import Curve

SUFFIXES = (".pdf", ".png", ".svg")
# Okabe and Ito (2008), "Color universal design", without yellow, which paper swallows.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vPX*"
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "none",
}
_COLUMNS, _WIDTH, _HEIGHT = 3, 3.4, 2.6  # panels beside each other; of one, in inches
_DPI = 200
_MARKS = 8  # markers on a line
_NAMES = {curves.RETURNS: "evaluation return", "rollout/ep_return_mean": "return of training episodes"}


def _in_style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _styled(draw: Callable[..., Plot]) -> Callable[..., Plot]:
    @functools.wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Plot:
        with _in_style():
            return draw(*args, **kwargs)

    return styled


class Plot(NamedTuple):
    """A figure of matplotlib, and the numbers in it."""

    figure: Any
    columns: tuple[str, ...]
    rows: list[tuple]

    def save(self, path: Path) -> list[Path]:
        """Writes the picture: .png, .pdf or .svg by the suffix; without one, .png and .pdf.

        Returns:
          The files.

        Raises:
          ValueError: for another suffix.
        """
        if path.suffix and path.suffix not in SUFFIXES:
            raise ValueError(f"a picture cannot be written to {path}, expected {', '.join(SUFFIXES)}, or no suffix")
        paths = [path] if path.suffix else [path.with_suffix(suffix) for suffix in (".png", ".pdf")]
        with _in_style():
            for one in paths:
                self.figure.savefig(one, dpi=_DPI)
        return paths

    def write_csv(self, path: Path) -> None:
        """Writes the numbers."""
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([self.columns, *self.rows])


@_styled
def draw_curves(drawn: Sequence[Curve], tag: str = curves.RETURNS) -> Plot:
    """Learning curves, a panel for each environment: interquartile means over seeds, and their intervals.

    Args:
      drawn: the curves.
      tag: what they are of.
    """
    names = list(dict.fromkeys(curve.env for curve in drawn))
    styles = _styles(list(dict.fromkeys(curve.label for curve in drawn)))
    across = 2 if len(names) == 4 else min(len(names), _COLUMNS)
    down = math.ceil(len(names) / across)
    figure = _figure(_WIDTH * max(across, 1.3), _HEIGHT * down + 0.2 * (1 + len(styles) // (across + 1)))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    rows: list[tuple] = []
    for panel, name in zip(panels, names, strict=False):
        panel.set_title(name)
        for curve in (one for one in drawn if one.env == name):
            rows += _draw_curve(panel, curve, styles[curve.label])
        panel.set_xlabel("environment steps")
        panel.xaxis.set_major_formatter(_steps)
        panel.set_xlim(left=0)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[::across]:
        panel.set_ylabel(_NAMES.get(tag, tag))
    seeds = {label: sorted({len(one.values) for one in drawn if one.label == label}) for label in styles}
    _legend(figure, styles, {label: f"{label} ({_counted(counts)})" for label, counts in seeds.items()}, across + 1)
    return Plot(figure, ("label", "env", "env_steps", "seeds", "iqm", "low", "high", "mean", "min", "max"), rows)


@_styled
def draw_profiles(drawn: Sequence[Curve], bounds: Mapping[str, tuple[float, float]]) -> Plot:
    """Performance profiles: the share of runs whose last score is above each threshold.

    Args:
      drawn: the curves, whose last points are the scores.
      bounds: as in `curves.normalized`.

    Raises:
      ValueError: as `curves.last` and `curves.normalized`.
    """
    scores, what = _comparable(drawn, bounds)
    everything = np.concatenate([values for per_env in scores.values() for values in per_env])
    margin = 0.02 * (everything.max() - everything.min() or 1.0)
    thresholds = np.linspace(everything.min() - margin, everything.max() + margin, 101)
    styles, rows = _styles(list(scores)), []
    figure = _figure(1.3 * _WIDTH, 1.1 * _HEIGHT + 0.1 * len(scores))
    panel = figure.subplots()
    for label, per_env in scores.items():
        profile = statistics.profile(thresholds)
        share, (low, high) = statistics.of(profile, per_env), statistics.interval(profile, per_env)
        style = styles[label]
        panel.plot(thresholds, share, drawstyle="steps-post", **style._asdict(), markevery=len(thresholds) // _MARKS)
        panel.fill_between(thresholds, low, high, step="post", color=style.color, alpha=0.15, linewidth=0)
        rows += [(label, *numbers) for numbers in zip(thresholds, share, low, high, strict=True)]
    panel.set_xlabel(f"threshold: {what}")
    panel.set_ylabel("share of runs above it")
    panel.set_ylim(-0.02, 1.02)
    _legend(figure, styles, {label: label for label in styles}, 2)
    return Plot(figure, ("label", "threshold", "share", "low", "high"), rows)


@_styled
def draw_intervals(drawn: Sequence[Curve], bounds: Mapping[str, tuple[float, float]]) -> Plot:
    """Median, interquartile mean and mean of the last scores over all environments, with their intervals.

    Args:
      drawn: the curves, whose last points are the scores.
      bounds: as in `curves.normalized`.

    Raises:
      ValueError: as `curves.last` and `curves.normalized`.
    """
    scores, what = _comparable(drawn, bounds)
    kinds = {"median": statistics.median, "interquartile mean": statistics.iqm, "mean": statistics.mean}
    figure = _figure(3 * 2.4, 1.0 + 0.32 * len(scores))
    panels, rows = figure.subplots(1, len(kinds), sharex=True, sharey=True), []
    for panel, (kind, statistic) in zip(panels, kinds.items(), strict=True):
        panel.set_title(kind)
        for place, (label, per_env) in enumerate(scores.items()):
            value, (low, high) = statistics.of(statistic, per_env), statistics.interval(statistic, per_env)
            color = _COLORS[place % len(_COLORS)]
            panel.barh(place, high - low, left=low, height=0.5, color=color, alpha=0.45)
            panel.plot([value, value], [place - 0.25, place + 0.25], color="black", linewidth=1.5)
            rows.append((label, kind, value, low, high))
        panel.use_sticky_edges = False
        panel.set_yticks(range(len(scores)), list(map(_plain, scores)))
        panel.grid(axis="y", visible=False)
    panels[0].invert_yaxis()
    panels[1].set_xlabel(what)
    return Plot(figure, ("label", "statistic", "value", "low", "high"), rows)


class _Style(NamedTuple):
    color: str
    linestyle: Any
    marker: str
    markersize: float = 3.5
    linewidth: float = 1.4


def _styles(labels: Sequence[str]) -> dict[str, _Style]:
    """Told apart by colour, and by line and marker where there is none."""
    return {
        label: _Style(_COLORS[i % len(_COLORS)], _LINES[i % len(_LINES)], _MARKERS[i % len(_MARKERS)])
        for i, label in enumerate(labels)
    }


def _draw_curve(panel: Any, curve: Curve, style: _Style) -> list[tuple]:
    seeds, x, values = len(curve.values), curve.env_steps, curve.values
    middle, (low, high) = statistics.of(statistics.iqm, [values]), statistics.interval(statistics.iqm, [values])
    panel.plot(x, middle, **style._asdict(), markevery=max(1, len(x) // _MARKS))
    if seeds > 1:
        panel.fill_between(x, low, high, color=style.color, alpha=0.2, linewidth=0)
    columns = (x, middle, low, high, values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    return [(curve.label, curve.env, steps, seeds, *numbers) for steps, *numbers in zip(*columns, strict=True)]


def _comparable(
    drawn: Sequence[Curve], bounds: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, list[np.ndarray]], str]:
    """Scores of each label, per environment, and what they are: returns, or normalised where there are several."""
    scores = curves.last(drawn)
    names = list(next(iter(scores.values())))
    if len(names) == 1 and not bounds:
        return {label: list(by_env.values()) for label, by_env in scores.items()}, f"return in {names[0]}"
    told = all(name in bounds for name in names)
    where = names[0] if len(names) == 1 else f"in {len(names)} environments"
    how = "" if told else ",\nwhere 0 is the lowest point of its curves and 1 the highest"
    return curves.normalized(drawn, bounds), f"normalised return {where}{how}"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _legend(figure: Any, styles: Mapping[str, _Style], names: Mapping[str, str], across: int) -> None:
    """Puts a legend above, and makes the figure as wide as that."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=_plain(names[label]), **style._asdict()) for label, style in styles.items()]
    columns = max(1, min(across, len(handles)))
    legend = figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False)
    width = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width / figure.dpi
    figure.set_figwidth(max(width, figure.get_figwidth()))


def _counted(counts: Sequence[int]) -> str:
    words = " or ".join(map(str, counts))
    return f"{words} seed" if words == "1" else f"{words} seeds"


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # which would begin a formula


def _steps(value: float, _: int) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
