"""Reinforcement learning as pure functions in TensorFlow.

    import rl_fn as rl

    rl.losses.q_learning(q_tm1, a_tm1, r_t, discount_t, q_t)

Modules are loaded when they are first used.
"""

import importlib
from typing import Any

from rl_fn._src.xla.garbage import collected_later

__version__ = "0.1.0"

_MODULES = (
    "agents",
    "envs",
    "intrinsic",
    "learning",
    "loops",
    "losses",
    "media",
    "networks",
    "normalization",
    "optimizers",
    "policies",
    "random",
    "replay",
    "returns",
    "runs",
    "search",
    "sets",
    "struct",
    "transforms",
    "updates",
)

__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        with collected_later():
            return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
