"""Environments by name, of whatever library. TensorFlow is not imported here."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

# prefix -> the module and the function `(name, num_envs=..., **kwargs) -> HostEnv` that makes those
PREFIXES: dict[str, tuple[str, str]] = {
    "gymnasium": ("rl_fn.envs.host", "gymnasium_env"),
    "gym": ("rl_fn.envs.host", "gym_env"),
    "envpool": ("rl_fn.envs.envpool", "envpool_env"),
    "atari": ("rl_fn.envs.atari", "atari_env"),
    "procgen": ("rl_fn.envs.procgen", "procgen_env"),
}
_COMPILED = "compiled"
# namespace of Gymnasium's registry -> the extra that brings it
_EXTRAS = {"ALE": "atari"}


def make(compiled: Mapping[str, tuple[str, dict[str, Any]]], name: str, num_envs: int | None, **kwargs: Any) -> Any:
    """See `rl_fn.envs.make`; `compiled` is its table of compiled environments."""
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES:
        return _host(prefix, rest, num_envs, kwargs)
    if colon and prefix == _COMPILED and rest not in compiled:
        raise ValueError(_unknown(rest, compiled))
    plain = rest if colon and prefix == _COMPILED else name
    if plain not in compiled:
        if _is_atari(name):
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


def for_evaluation(name: str) -> dict[str, Any]:
    """The arguments of `make` with which a policy is judged: Atari's whole games on raw scores, all Procgen levels."""
    prefix, colon, _ = name.partition(":")
    judged = prefix in ("atari", "envpool", "procgen") if colon else _is_atari(name)
    return {"evaluation": True} if judged else {}


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
        except ImportError as error:
            prefixes = ", ".join([_COMPILED, *PREFIXES])
            raise ValueError(
                f"unknown environment {name!r}: {module!r} is neither one of the prefixes {prefixes} nor a module "
                f"that can be imported ({error})"
            ) from None
    try:
        return gymnasium.spec(plain)
    except gymnasium.error.Error as error:
        namespace, slash, _ = plain.rpartition("/")
        if slash and not any(entry.namespace == namespace for entry in gymnasium.registry.values()):
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
    import gym

    if name not in gym.envs.registry:
        raise ValueError(_unknown(name, gym.envs.registry))


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `name`."""
    return difflib.get_close_matches(name, list(choices), n=1, cutoff=0.0)[0]


def _is_atari(name: str) -> bool:
    return importlib.import_module("rl_fn.envs.atari").is_atari(name)


def _host(prefix: str, name: str, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    module, function = PREFIXES[prefix]
    return getattr(importlib.import_module(module), function)(name, num_envs=num_envs, **kwargs)


def _unknown(name: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    listed = f", there are: {', '.join(choices)}" if len(choices) < 20 else ""
    return f"unknown environment {name!r}; the nearest is {nearest(name, choices)!r}{listed}"
