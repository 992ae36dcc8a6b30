"""Environments: the protocol, the compiled ones, and the registry of their names."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from rl_fn.envs.base import Env, EnvStep, TimedState, auto_reset

__all__ = ["COMPILED", "Env", "EnvStep", "TimedState", "auto_reset", "make"]

# name -> the module whose `make` makes it, and arguments of that
COMPILED: dict[str, tuple[str, dict[str, Any]]] = {
    "CartPole-v1": ("rl_fn.envs.cartpole", {}),
    "Catch-bsuite": ("rl_fn.envs.catch", {}),
    "DeepSea-bsuite": ("rl_fn.envs.deep_sea", {}),
    "MemoryChain-bsuite": ("rl_fn.envs.memory_chain", {}),
    "UmbrellaChain-bsuite": ("rl_fn.envs.umbrella_chain", {}),
    "DiscountingChain-bsuite": ("rl_fn.envs.discounting_chain", {}),
    "SimpleBandit-bsuite": ("rl_fn.envs.bandit", {}),
    "FourRooms-misc": ("rl_fn.envs.four_rooms", {}),
    "ConstantReward-truncated": ("rl_fn.envs.constant_reward", {"end": "truncated"}),
    "ConstantReward-terminated": ("rl_fn.envs.constant_reward", {"end": "terminated"}),
    "QuadraticReward": ("rl_fn.envs.quadratic_reward", {}),
    **{
        # As Gymnasium has them: v0 with all six actions, v1 with those that have an effect.
        f"MinAtar/{game}-v{version}": ("rl_fn.envs.minatar", {"game": game, "minimal_actions": version == 1})
        for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
        for version in (0, 1)
    },
}


def make(name: str, **kwargs: Any) -> Env:
    """Makes the compiled environment of that name.

    Args:
      name: one of COMPILED.
      **kwargs: what the environment lets one choose, such as `size=10`.

    Raises:
      ValueError: if there is none; the message names the nearest.
    """
    if name not in COMPILED:
        near = difflib.get_close_matches(name, COMPILED, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown environment {name!r}; the nearest is {near!r}, there are: {', '.join(COMPILED)}")
    module, arguments = COMPILED[name]
    return importlib.import_module(module).make(**{**arguments, **kwargs})
