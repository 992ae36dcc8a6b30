"""Environments of Gymnasium and of Gym 0.26, by name or as objects, as host environments."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from gymnasium.vector import VectorEnv

from rl_fn.envs.host import factories, names
from rl_fn.envs.host.base import HostEnv, name_of
from rl_fn.envs.host.sub_envs import Backend, SubEnvs, checked_count, split
from rl_fn.envs.host.vector import VectorHostEnv


def gymnasium_env(source: Any, num_envs: int | None = None, backend: Backend = "sync", **kwargs: Any) -> HostEnv:
    """Makes a host environment of a name, of environments that exist already, or of a function that makes them.

    Args:
      source: a name of Gymnasium's registry (also `module:name`, where importing the module registers it);
        a function without arguments that makes one environment; an environment; a list of them; or a
        `gymnasium.vector.VectorEnv`. Environments of Gym 0.26 are as good as those of Gymnasium.
      num_envs: B; 1 unless given, or as many as were handed over.
      backend: "sync" steps them one after the other, which is fastest where a step takes microseconds;
        "thread" side by side where they release Python's lock; "process" each in a process of its own, the
        only one that survives every crash.
      **kwargs: `timeout`, the seconds within which an environment must answer (60; refused with "sync", which
        cannot leave one that hangs); `max_restarts`, how often one that fails is made again within 1,000 of its
        steps (10); and, with a name, what `gymnasium.make` takes and, unless the environment has an argument of
        that name, what `rl_fn.envs.host.frames.Frames` does: `frame_skip`, `screen_size`, `grayscale`, `stack`;
        and `training_limit`, the actions after which episodes are truncated, but where a policy is judged.

    Raises:
      ValueError: for an unknown name or backend, a package that is missing, an environment that cannot be
        made, a space that is not supported, or arguments that do not fit the source.
    """
    if isinstance(source, str):
        fleet, arguments = split(kwargs)
        factory = functools.partial(factories.of_gymnasium, names.gymnasium_spec(source), arguments)
        return SubEnvs(f"gymnasium:{source}", [factory] * checked_count(num_envs), backend, **fleet)
    if isinstance(source, VectorEnv):
        if kwargs or num_envs not in (None, source.num_envs):
            given = [*kwargs, *(["num_envs"] if num_envs is not None else [])]
            raise ValueError(f"a VectorEnv of {source.num_envs} takes no other num_envs or options, given {given}")
        return VectorHostEnv(source)
    # A class is a function that makes its instances.
    if isinstance(source, Sequence) or (hasattr(source, "step") and not isinstance(source, type)):
        objects = list(source) if isinstance(source, Sequence) else [source]
        if num_envs not in (None, len(objects)) or not objects:
            raise ValueError(f"{len(objects)} environments were handed over, num_envs is {num_envs}")
        return SubEnvs(
            name_of(objects[0]), [functools.partial(factories.existing, env) for env in objects], backend, **kwargs
        )
    if callable(source):
        name = getattr(source, "__name__", "environment")
        return _of_function(name, source, checked_count(num_envs), {"backend": backend, **kwargs})
    raise ValueError(
        f"cannot make an environment of {source!r}: expected a name, an environment, a list of them, a "
        "gymnasium.vector.VectorEnv, or a function that makes one"
    )


def _of_function(name: str, function: Callable[[], Any], num_envs: int, options: dict[str, Any]) -> HostEnv:
    made: list[weakref.ref] = []  # in this process

    def train() -> Any:
        env = function()
        with contextlib.suppress(TypeError):  # what no reference can be weak to
            made.append(weakref.ref(env))
        return env

    def judge(arguments: dict[str, Any]) -> Any:
        env = factories.of_function(function, arguments)
        if any(one() is env for one in made):
            raise ValueError("its function gives an environment that is trained in, expected a new one at each call")
        return env

    def remake(num_envs: int, **more: Any) -> HostEnv:
        ours, arguments = split(more)
        return SubEnvs(name, [functools.partial(judge, arguments)] * num_envs, **{**options, **ours})

    env: Any = SubEnvs(name, [train] * num_envs, **options)
    env.remake = remake  # others like it, to be judged in
    return env


def gym_env(name: str, num_envs: int | None = None, backend: Backend = "sync", **kwargs: Any) -> HostEnv:
    """Makes a host environment of Gym 0.26 by its name; see `gymnasium_env`.

    Raises:
      ValueError: for an unknown name, and as `gymnasium_env`.
    """
    fleet, arguments = split(kwargs)
    names.check_gym_name(name)
    factory = functools.partial(factories.of_gym, name, arguments)
    return SubEnvs(f"gym:{name}", [factory] * checked_count(num_envs), backend, **fleet)
