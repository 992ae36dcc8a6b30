"""Optuna's samplers, pruners and distributions for what is searched."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_fn.agents.ranges import Choices, Log
from rl_fn.search.space import Space
from rl_fn.search.storage import import_optuna

_NEEDS = {"gp": ("torch", "search-gp"), "cmaes": ("cmaes", "search")}
_STARTUP = 10  # trials drawn at random before a model is made of them, at least


def sampler(method: str, batch: int, seed: tuple[int, ...]) -> Any:
    """The sampler of a method.

    Args:
      method: one of `config.SAMPLERS`; a grid is put in the queue of the study, so its sampler is never asked.
      batch: how many trials are asked for before the first is told.
      seed: different wherever draws are to be.

    Raises:
      ValueError: if it needs a package that is not installed.
    """
    samplers = import_optuna().samplers
    for package, extra in filter(None, [_NEEDS.get(method)]):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f'method {method} needs {package}, which is not installed: pip install "rl-fn[{extra}]"')
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    startup = max(_STARTUP, batch)
    if method == "tpe":
        return samplers.TPESampler(seed=number, n_startup_trials=startup, multivariate=True, constant_liar=True)
    if method == "gp":
        return samplers.GPSampler(seed=number, n_startup_trials=startup)
    if method == "cmaes":
        return samplers.CmaEsSampler(seed=number, n_startup_trials=startup, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=number)


def pruner(name: str, rungs: int) -> Any:
    """The pruner of a name, for trials that are judged so many times."""
    pruners = import_optuna().pruners
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=rungs, reduction_factor=3)
    return pruners.NopPruner()


def distributions(space: Space) -> dict[str, Any]:
    """What Optuna draws from, by name."""
    kinds, found = import_optuna().distributions, {}
    for one in space:
        if isinstance(one.range, Choices):
            found[one.name] = kinds.CategoricalDistribution([encoded(value) for value in one.range.values])
        else:
            kind = kinds.IntDistribution if one.is_whole else kinds.FloatDistribution
            found[one.name] = kind(one.range.low, one.range.high, log=isinstance(one.range, Log))
    return found


def encoded(value: Any) -> Any:
    """A value as storages hold it, which know no tuples."""
    return repr(value) if isinstance(value, tuple | list) else value


def decoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial."""
    values = {}
    for one in space:
        value = params[one.name]
        if isinstance(one.range, Choices):
            value = next(choice for choice in one.range.values if encoded(choice) == value)
        values[one.name] = value
    return values
