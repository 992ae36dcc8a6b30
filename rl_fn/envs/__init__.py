"""Environments: the protocols, the compiled ones, those of other libraries, your own, and the names of all.

TensorFlow is loaded with the first compiled environment or host environment, not with this package, so
that what steps an environment in a process of its own starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl_fn._src import arguments, lazy
from rl_fn.envs import compiled, registry
from rl_fn.envs.registry import register

if TYPE_CHECKING:
    from rl_fn.envs.base import Env, EnvStep, TimedState, auto_reset, count_from_zero, judged
    from rl_fn.envs.checking import Checked, check
    from rl_fn.envs.host.base import HostEnv
    from rl_fn.envs.host.border import Border, border
    from rl_fn.envs.host.failures import EnvFailed
    from rl_fn.envs.host.gymnasium import gym_env, gymnasium_env

__all__ = [
    "Border",
    "Checked",
    "Env",
    "EnvFailed",
    "EnvStep",
    "HostEnv",
    "TimedState",
    "auto_reset",
    "border",
    "check",
    "count_from_zero",
    "gym_env",
    "gymnasium_env",
    "judged",
    "make",
    "names",
    "register",
]

_HOMES = {
    **dict.fromkeys(("Env", "EnvStep", "TimedState", "auto_reset", "count_from_zero", "judged"), "rl_fn.envs.base"),
    **dict.fromkeys(("Checked", "check"), "rl_fn.envs.checking"),
    "HostEnv": "rl_fn.envs.host.base",
    "EnvFailed": "rl_fn.envs.host.failures",
    **dict.fromkeys(("Border", "border"), "rl_fn.envs.host.border"),
    **dict.fromkeys(("gym_env", "gymnasium_env"), "rl_fn.envs.host.gymnasium"),
}

for _family, _members in compiled.ENVIRONMENTS.items():
    for _name, (_make, _kwargs) in _members.items():
        register(_name, _make, kwargs=_kwargs, family=_family)
register("LunarLanderNoVel-v3", "rl_fn.envs.host.no_velocity:make", kind="host", family="without velocities")


def make(name: str, num_envs: int | None = None, **kwargs: Any) -> Env | HostEnv:
    """Makes the environment of that name: the one registered where there is one, else one of another library.

    Args:
      name: such as `CartPole-v1`; a prefix asks for one kind: `compiled:CartPole-v1`,
        `gymnasium:CartPole-v1`, `gym:CartPole-v1`, `envpool:CartPole-v1`.
      num_envs: how many a host environment steps side by side, 1 unless given. Compiled ones are told
        at their reset.
      **kwargs: what the environment lets one choose, such as `size=10`; host environments also take
        `backend`, `timeout` and `max_restarts` (see `gymnasium_env`).

    Raises:
      ValueError: if there is none of that name; the message names the nearest, or what to install; or if `num_envs` is
        no positive integer.
      TypeError: if the name is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}, expected a text such as 'CartPole-v1'; gymnasium_env takes environments")
    if num_envs is not None:
        num_envs = arguments.integer("num_envs", num_envs, 1)
    return registry.make(name, num_envs, **kwargs)


def names(kind: registry.Kind | None = None) -> list[str]:
    """The registered names, of all kinds or of one; those of other libraries are shown by `rl-fn envs`."""
    return [name for name, entry in registry.ENTRIES.items() if kind in (None, entry.kind)]


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(lazy.load(_HOMES[name]), name)
        if name == "wrappers":
            return lazy.load("rl_fn.envs.wrappers")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
