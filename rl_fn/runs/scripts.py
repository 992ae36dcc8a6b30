"""What a script says of an agent of its own, which has no named set: its hyper-parameters, and how long it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def hparam_values(hparams: Any) -> dict[str, Any]:
    """The hyper-parameters of a script's own agent by name, but for `train_steps`, which is a setting of the run.

    Args:
      hparams: a struct, a dict or None.

    Raises:
      ValueError: if it is something else.
    """
    if dataclasses.is_dataclass(hparams) and not isinstance(hparams, type):
        values = {item.name: getattr(hparams, item.name) for item in dataclasses.fields(hparams)}
    elif hparams is None or isinstance(hparams, Mapping):
        values = dict(hparams or {})
    else:
        raise ValueError(f"hparams is {hparams!r}, expected a struct of hyper-parameters or a dict")
    return {name: value for name, value in values.items() if name != "train_steps"}


def agreed_train_steps(train_steps: int | None, hparams: Any, schedule: Any) -> int | None:
    """The environment steps of a script's own run: those told, or those of its hyper-parameters.

    Raises:
      ValueError: if nobody says, or the hyper-parameters say something else than the run or the agent's schedule.
    """
    theirs = getattr(hparams, "schedule", schedule)
    if theirs != schedule:
        raise ValueError(f"the agent is for {schedule}, and hparams are for {theirs}")
    told = hparams.get("train_steps") if isinstance(hparams, Mapping) else getattr(hparams, "train_steps", None)
    if train_steps is None and told is None:
        raise ValueError("train_steps is None, expected the environment steps of the run, or hparams that say them")
    if train_steps is not None and told not in (None, train_steps):
        raise ValueError(f"train_steps is {train_steps}, and that of hparams {told}")
    return told if train_steps is None else train_steps
