"""Curves of finished or running runs, from their metrics.csv: sets of hyper-parameters, in environments, over seeds."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_fn.runs.config import FILE
from rl_fn.runs.errors import reason
from rl_fn.runs.files import read_json
from rl_fn.runs.loading import copy_folders
from rl_fn.runs.reporters import table

RETURNS = "eval/return_mean"
_SETTINGS = ("precision", "dataset", "init_from")  # that make another curve, beside hyper-parameters and arguments


class Curve(NamedTuple):
    """What was trained, in one environment, by all of its seeds."""

    label: str
    env: str
    env_steps: np.ndarray  # [points]
    values: np.ndarray  # [seeds, points]


class _Seed(NamedTuple):
    label: str
    env: str
    seed: int
    config: Mapping[str, Any]
    points: Mapping[int, float]  # by steps


def read(runs: Sequence[Path], tag: str = RETURNS, labels: Sequence[str] = ()) -> list[Curve]:
    """Reads one curve of runs.

    Runs of one label in one environment are seeds of one curve. Unless given, the label is the name of the set; where
    runs of one set differ in a hyper-parameter, in what the environment was made with, in precision, data set or what
    they began with, that is added to it.

    Args:
      runs: folders of runs, or of single copies.
      tag: the name of the curve in metrics.csv.
      labels: one for each of `runs`.

    Returns:
      The curves, in the order in which their first runs were given.

    Raises:
      ValueError: if a folder holds no run, or the run has no such curve; or for another number of labels, or one seed
        twice.
    """
    if labels and len(labels) != len(runs):
        raise ValueError(f"{len(labels)} labels were given for {len(runs)} runs, expected one for each")
    seeds = []
    for index, run in enumerate(runs):
        for copy in copy_folders(run):
            config = read_json(copy / FILE)
            label = labels[index] if labels else config.get("hparams") or copy.absolute().parent.name
            seed = int(config.get("seed", 0)) + int(config.get("copy", 0))
            seeds.append(_Seed(str(label), str(config.get("env")), seed, config, _points(copy, tag)))
    grouped: dict[tuple[str, str], list[_Seed]] = {}
    for one in seeds if labels else _told_apart(seeds):
        grouped.setdefault((one.label, one.env), []).append(one)
    return [_curve(label, env, members) for (label, env), members in grouped.items()]


def last(curves: Sequence[Curve]) -> dict[str, dict[str, np.ndarray]]:
    """The last values `[seeds]` of curves, by label and environment.

    Raises:
      ValueError: if a label has no run in one of the environments, so that they cannot be taken together.
    """
    scores: dict[str, dict[str, np.ndarray]] = {}
    for curve in curves:
        scores.setdefault(curve.label, {})[curve.env] = curve.values[:, -1]
    names = list(dict.fromkeys(curve.env for curve in curves))
    for label, by_env in scores.items():
        if missing := [env for env in names if env not in by_env]:
            raise ValueError(f"{label} has no run in {', '.join(missing)}, expected one in each environment")
    return {label: {env: by_env[env] for env in names} for label, by_env in scores.items()}


def normalized(curves: Sequence[Curve], bounds: Mapping[str, tuple[float, float]]) -> dict[str, list[np.ndarray]]:
    """The last values of each label, per environment, where 0 and 1 are the bounds of the environment.

    Args:
      curves: of all labels in all environments.
      bounds: of environments; where there is none, the lowest and the highest point of its curves.

    Raises:
      ValueError: as `last`, and for bounds of another environment.
    """
    scores, names = last(curves), list(dict.fromkeys(curve.env for curve in curves))
    for name in bounds:
        if name not in names:
            raise ValueError(f"bounds name {name}, expected one of {', '.join(names)}")
    found = {}
    for name in names:
        everything = np.concatenate([curve.values.ravel() for curve in curves if curve.env == name])
        low, high = bounds.get(name, (everything.min(), everything.max()))
        found[name] = low, max(high - low, 1e-12)
    return {
        label: [(values - found[name][0]) / found[name][1] for name, values in by_env.items()]
        for label, by_env in scores.items()
    }


def _points(copy: Path, tag: str) -> dict[int, float]:
    path = copy / table.FILE
    if not path.exists():
        raise ValueError(f"{copy} has no curves: there is no {table.FILE} in it")
    try:
        columns, rows = table.read(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from None
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    try:
        points = {int(row["env_steps"]): float(row[tag]) for row in rows if row.get(tag)}
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not points:
        raise ValueError(f"{copy} has no curve {tag!r}; there are: {', '.join(columns[1:])}")
    return points


def _told_apart(seeds: Sequence[_Seed]) -> list[_Seed]:
    """The same with labels that say where settings differ under one name."""
    told = []
    for one in seeds:
        alike = [other for other in seeds if (other.label, other.env) == (one.label, one.env)]
        mine, theirs = _settings(one.config), [_settings(other.config) for other in alike]
        differing = [name for name in mine if any(other.get(name) != mine[name] for other in theirs)]
        told.append(one._replace(label=", ".join([one.label, *(f"{name}={mine[name]}" for name in differing)])))
    return told


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    values = {**(config.get("hparam_override") or {}), **(config.get("env_kwargs") or {})}
    values |= {name: config.get(name) for name in _SETTINGS}
    return {name: json.dumps(value) for name, value in values.items()}


def _curve(label: str, env: str, members: Sequence[_Seed]) -> Curve:
    numbers = [one.seed for one in members]
    if twice := sorted({seed for seed in numbers if numbers.count(seed) > 1}):
        raise ValueError(f"{label} in {env} has the seed {twice[0]} twice: give the runs labels, or only one of them")
    grids = [np.array(sorted(one.points)) for one in members]
    low, high = max(grid[0] for grid in grids), min(grid[-1] for grid in grids)
    steps = np.unique(np.concatenate(grids))
    steps = steps[(steps >= low) & (steps <= high)]
    if not steps.size:
        raise ValueError(f"the seeds of {label} in {env} have no steps in common")
    # At their own steps that is what was measured; between them, where the seeds were measured at others, a line.
    values = [
        np.interp(steps, grid, [one.points[step] for step in grid]) for grid, one in zip(grids, members, strict=True)
    ]
    return Curve(label, env, steps, np.array(values))
