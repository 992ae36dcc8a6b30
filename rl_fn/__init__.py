"""Reinforcement learning as pure functions in TensorFlow.

    import rl_fn as rl

    rl.losses.q_learning(q_tm1, a_tm1, r_t, discount_t, q_t)

Modules are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rl_fn._src.xla.garbage import collected_later

if TYPE_CHECKING:  # what editors and type checkers know without running anything
    from rl_fn import (
        agents,
        envs,
        intrinsic,
        learning,
        loops,
        losses,
        media,
        networks,
        normalization,
        optimizers,
        planning,
        policies,
        random,
        replay,
        returns,
        runs,
        search,
        sets,
        struct,
        transforms,
        updates,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
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
    "planning",
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
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        with collected_later():
            return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
