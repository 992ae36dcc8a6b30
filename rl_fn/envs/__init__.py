"""Environments: the protocols, the compiled ones, those of other libraries, and the names of all.

TensorFlow is loaded with the first compiled environment or host environment, not with this package, so
that what steps an environment in a process of its own starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rl_fn.envs import registry

if TYPE_CHECKING:
    from rl_fn.envs.base import Env, EnvStep, TimedState, auto_reset
    from rl_fn.envs.host.base import HostEnv, gym_env, gymnasium_env

__all__ = [
    "COMPILED",
    "Env",
    "EnvStep",
    "HostEnv",
    "TimedState",
    "auto_reset",
    "gym_env",
    "gymnasium_env",
    "make",
]

# name -> the module whose `make` makes it, and arguments of that
COMPILED: dict[str, tuple[str, dict[str, Any]]] = {
    "CartPole-v1": ("rl_fn.envs.compiled.cartpole", {}),
    "MountainCar-v0": ("rl_fn.envs.compiled.mountain_car", {}),
    "MountainCarContinuous-v0": ("rl_fn.envs.compiled.mountain_car", {"continuous": True}),
    "Acrobot-v1": ("rl_fn.envs.compiled.acrobot", {}),
    "Pendulum-v1": ("rl_fn.envs.compiled.pendulum", {}),
    "CartPoleNoVel-v1": ("rl_fn.envs.compiled.no_velocity", {"base": "CartPole-v1", "keep": (0, 2)}),
    "MountainCarNoVel-v0": ("rl_fn.envs.compiled.no_velocity", {"base": "MountainCar-v0", "keep": (0,)}),
    "MountainCarContinuousNoVel-v0": (
        "rl_fn.envs.compiled.no_velocity",
        {"base": "MountainCarContinuous-v0", "keep": (0,)},
    ),
    "PendulumNoVel-v1": ("rl_fn.envs.compiled.no_velocity", {"base": "Pendulum-v1", "keep": (0, 1)}),
    "Catch-bsuite": ("rl_fn.envs.compiled.catch", {}),
    "DeepSea-bsuite": ("rl_fn.envs.compiled.deep_sea", {}),
    "MemoryChain-bsuite": ("rl_fn.envs.compiled.memory_chain", {}),
    "UmbrellaChain-bsuite": ("rl_fn.envs.compiled.umbrella_chain", {}),
    "DiscountingChain-bsuite": ("rl_fn.envs.compiled.discounting_chain", {}),
    "SimpleBandit-bsuite": ("rl_fn.envs.compiled.bandit", {}),
    "FourRooms-misc": ("rl_fn.envs.compiled.four_rooms", {}),
    "ConstantReward-truncated": ("rl_fn.envs.compiled.constant_reward", {"end": "truncated"}),
    "ConstantReward-terminated": ("rl_fn.envs.compiled.constant_reward", {"end": "terminated"}),
    "QuadraticReward": ("rl_fn.envs.compiled.quadratic_reward", {}),
    **{
        # As Gymnasium has them: v0 with all six actions, v1 with those that have an effect.
        f"MinAtar/{game}-v{version}": ("rl_fn.envs.compiled.minatar", {"game": game, "minimal_actions": version == 1})
        for game in ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")
        for version in (0, 1)
    },
}

_HOMES = {
    **dict.fromkeys(("Env", "EnvStep", "TimedState", "auto_reset"), "rl_fn.envs.base"),
    **dict.fromkeys(("HostEnv", "gym_env", "gymnasium_env"), "rl_fn.envs.host.base"),
}


def make(name: str, num_envs: int | None = None, **kwargs: Any) -> Env | HostEnv:
    """Makes the environment of that name: a compiled one where there is one, else one of another library.

    Args:
      name: such as `CartPole-v1`; a prefix asks for one kind: `compiled:CartPole-v1`,
        `gymnasium:CartPole-v1`, `gym:CartPole-v1`, `envpool:CartPole-v1`.
      num_envs: how many a host environment steps side by side, 1 unless given. Compiled ones are told
        at their reset.
      **kwargs: what the environment lets one choose, such as `size=10`; host environments also take
        `backend`, `timeout` and `max_restarts` (see `gymnasium_env`).

    Raises:
      ValueError: if there is none of that name; the message names the nearest, or what to install.
    """
    return registry.make(COMPILED, name, num_envs, kwargs)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
