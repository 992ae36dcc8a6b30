"""What a run says of one copy: its settings, and its curves by the names that TensorBoard and metrics.csv give them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rl_fn.runs.report import Report


def scalars(report: Report, copy: int) -> dict[str, float]:
    """By their tags; what there is nothing to report of is left out.

    rollout/  episodes that ended in training: `ep_return_mean`, `ep_length_mean`, `episodes`
    train/    the agent's metrics, under its names; one that has a group of its own, such as `replay/size`, has that
    eval/     whole episodes without exploration: `return_mean`, `return_std`, `length_mean`, `unfinished`
    env/      environments on the host that were made again since the start: `restarts`, of these `timeouts`
    time/     `steps_per_second`, of each copy, without compilation
    """
    mine, mine_of_all = (lambda value: np.atleast_1d(value)[copy]), (lambda value: np.atleast_2d(value)[copy])
    values = {name if "/" in name else f"train/{name}": mine(value) for name, value in report.agent_metrics.items()}
    count, episode_return, episode_length = map(mine, report.episodes)
    if not math.isnan(count):
        values["rollout/episodes"] = count
    if count > 0:
        values |= {"rollout/ep_return_mean": episode_return, "rollout/ep_length_mean": episode_length}
    if report.evaluation:
        returns, lengths, finished = map(mine_of_all, report.evaluation)
        values |= {"eval/return_mean": returns.mean(), "eval/return_std": returns.std()}
        values |= {"eval/length_mean": lengths.mean(), "eval/unfinished": (~finished).sum()}
    if report.failures is not None:
        values |= {"env/restarts": report.failures.restarts, "env/timeouts": report.failures.timeouts}
    if not report.compiled:
        values["time/steps_per_second"] = report.steps_per_second
    return {tag: float(value) for tag, value in values.items()}


def settings(config: Any, copy: int) -> dict[str, Any]:
    """The settings of a copy by name, hyper-parameters and the arguments of the environment among them."""
    values = config.to_json()
    hparams, kwargs = values.pop("hparam_override"), values.pop("env_kwargs")
    return {**values, "seed": config.seed + copy, **hparams, **kwargs}
