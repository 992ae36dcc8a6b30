"""Agents: one file per algorithm, each with its hyper-parameters, its state, its loss and `make`.

`base` says what an agent is; `hparams` and `groups` are what structs of hyper-parameters are made of.
"""

import importlib
import pkgutil
from typing import Any

__all__ = sorted(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
