"""Reinforcement learning as pure functions in TensorFlow.

    import rl_fn as rl

    rl.losses.q_learning(q_tm1, a_tm1, r_t, discount_t, q_t)

Modules are loaded when they are first used.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from rl_fn._src import lazy, pages

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


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return lazy.load(f"{__name__}.{name}")
        # `from rl_fn import page` asks here first, and needs no more than to be told that there is no attribute.
        where = "" if importlib.util.find_spec(f"{__name__}.{name}") else pages.whereabouts(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{where}", name=name)


def __dir__() -> list[str]:
    return sorted(__all__)
