"""Agents: one file per algorithm, each with its hyper-parameters, its state and `make`."""

import importlib
from typing import Any

_MODULES = ("base", "dqn", "groups", "hparams", "impala", "ppo", "rainbow", "sac", "td3")

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
