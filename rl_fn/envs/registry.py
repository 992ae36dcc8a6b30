"""Environments by name, of whatever library. TensorFlow is not imported here."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import io
from collections.abc import Iterable, Mapping
from typing import Any

# prefix -> the module and the function `(name, num_envs=..., **kwargs) -> HostEnv` that makes those
PREFIXES: dict[str, tuple[str, str]] = {
    "gymnasium": ("rl_fn.envs.host.base", "gymnasium_env"),
    "gym": ("rl_fn.envs.host.base", "gym_env"),
    "envpool": ("rl_fn.envs.host.envpool", "envpool_env"),
    "atari": ("rl_fn.envs.host.atari", "atari_env"),
    "procgen": ("rl_fn.envs.host.procgen", "procgen_env"),
}
_COMPILED = "compiled"
# namespace of Gymnasium's registry -> the extra that brings it
_EXTRAS = {"ALE": "atari"}


def make(
    compiled: Mapping[str, tuple[str, dict[str, Any]]], name: str, num_envs: int | None, kwargs: dict[str, Any]
) -> Any:
    """See `rl_fn.envs.make`; `compiled` is its table of compiled environments."""
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES:
        return _host(prefix, rest, num_envs, kwargs)
    if colon and prefix == _COMPILED and rest not in compiled:
        raise ValueError(_unknown(rest, compiled))
    plain = rest if colon and prefix == _COMPILED else name
    if plain not in compiled:
        if _is_atari(name) or name.startswith("ALE/"):  # of no known form: refused there
            return _host("atari", name, num_envs, kwargs)
        gymnasium_spec(name, compiled)
        return _host("gymnasium", name, num_envs, kwargs)
    module, arguments = compiled[plain]
    function = importlib.import_module(module).make
    arguments = {**arguments, **kwargs}
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{plain} is a compiled environment and takes other arguments: {error}") from None
    return function(**arguments)


def import_gym() -> Any:
    """Imports Gym 0.26, without what it prints about being no longer maintained."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("gym")


def for_evaluation(name: str) -> dict[str, Any]:
    """The arguments of `make` with which a policy is judged: Atari's whole games on raw scores, all Procgen levels."""
    prefix, colon, _ = name.partition(":")
    judged = prefix in ("atari", "envpool", "procgen") if colon else _is_atari(name)
    return {"evaluation": True} if judged else {}


def judged(env: Any, num_envs: int, **more: Any) -> Any:
    """Host environments like those at hand, made with the arguments with which a policy is judged.

    Args:
      env: host environments that `make` made.
      num_envs: how many.
      **more: what else they are made with.

    Raises:
      ValueError: if they cannot be made, or nobody knows how `env` was made.
    """
    if not hasattr(env, "remake"):
        raise ValueError(f"{env.spec.name} was handed over as it is, so that no other can be made like it")
    return env.remake(num_envs, **{**for_evaluation(env.spec.name), **more})


def gymnasium_spec(name: str, others: Iterable[str] = ()) -> Any:
    """What Gymnasium's registry holds of a name, also of `module:name`.

    Args:
      name: such as `CartPole-v1`.
      others: further names that the nearest is looked for in.

    Raises:
      ValueError: if there is none; the message names the nearest, or what to install.
    """
    import gymnasium

    module, colon, plain = name.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except (ImportError, TypeError, ValueError) as error:  # the latter two for names that no module can have
            prefixes = ", ".join([_COMPILED, *PREFIXES])
            raise ValueError(
                f"unknown environment {name!r}: {module!r} is neither one of the prefixes {prefixes} nor a module "
                f"that can be imported ({error})"
            ) from None
    try:
        return gymnasium.spec(plain)
    except gymnasium.error.Error as error:
        namespace, slash, _ = plain.rpartition("/")
        known = {entry.namespace for entry in gymnasium.registry.values()}
        known.update(other.rpartition("/")[0] for other in others)
        if slash and namespace not in known:
            extra = _EXTRAS.get(namespace)
            install = f'pip install "rl-fn[{extra}]"' if extra else f"the package that registers {namespace}/"
            raise ValueError(f"unknown environment {name!r}: it needs {install}") from None
        if plain in gymnasium.registry:  # known, and refused for another reason
            raise ValueError(f"{name} cannot be made: {error}") from None
        raise ValueError(_unknown(name, [*others, *gymnasium.registry])) from None


def check_gym_name(name: str) -> None:
    """Checks that Gym 0.26 has an environment of that name.

    Raises:
      ValueError: if it has none; the message names the nearest.
    """
    if name not in (known := import_gym().envs.registry):
        raise ValueError(_unknown(name, known))


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `name`."""
    return difflib.get_close_matches(name, list(choices), n=1, cutoff=0.0)[0]


def _is_atari(name: str) -> bool:
    return importlib.import_module("rl_fn.envs.host.atari").is_atari(name)


def _host(prefix: str, name: str, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    module, function = PREFIXES[prefix]
    make_host = getattr(importlib.import_module(module), function)
    try:
        inspect.signature(make_host).bind(name, num_envs=num_envs, **kwargs)
    except TypeError as error:
        raise ValueError(f"{prefix}:{name} takes other arguments: {error}") from None
    env = make_host(name, num_envs=num_envs, **kwargs)
    env.remake = lambda num_envs, **more: _host(prefix, name, num_envs, {**kwargs, **more})  # others like it
    return env


def _unknown(name: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    listed = f", there are: {', '.join(choices)}" if len(choices) < 20 else ""
    return f"unknown environment {name!r}; the nearest is {nearest(name, choices)!r}{listed}"
