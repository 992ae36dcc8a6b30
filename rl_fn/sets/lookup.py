"""Sets by their name, or from a file of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rl_fn._src import naming
from rl_fn.envs import registry
from rl_fn.sets import modules
from rl_fn.sets.registry import SETS, VARIANTS, NamedSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
# what a file may say -> of which type
_KEYS = {"agent": str, "env": str, "env_kwargs": dict, "doc": str, "values": dict}


def find(name: str) -> NamedSet:
    """Looks a set up by its name, or reads it from a file if the name ends with `.toml`.

    Several names with `-` between them are one set: what the first says counts, and later ones fill in. Behind the
    first may be variants, too, such as in `dqn_cartpole-per-dueling`, whose values go over those of the sets.

    Raises:
      ValueError: if there is none of that name, naming the nearest; for a file, as `read_toml`; if several are not for
        the same agent.
    """
    first, dash, later = name.partition("-")
    if not dash or (name.endswith(SUFFIX) and (Path(name).exists() or first not in SETS)):
        return _find_one(name)
    variant, dash, others = later.partition("-")
    if variant in VARIANTS:
        named = find(f"{first}-{others}" if dash else first)
        return named._replace(values={**named.values, **VARIANTS[variant]})
    return _filled_in(_find_one(first), find(later), name)


def _find_one(name: str) -> NamedSet:
    if name.endswith(SUFFIX):
        return read_toml(Path(name))
    if name not in SETS:
        raise ValueError(naming.unknown("hyper-parameter set", name, SETS, own="--import my_package"))
    return SETS[name]


def _filled_in(first: NamedSet, later: NamedSet, name: str) -> NamedSet:
    if first.agent != later.agent:
        raise ValueError(f"{name!r} joins sets of different agents, {first.agent} and {later.agent}")
    env = first.env or later.env
    # The arguments of a set belong to its own environment.
    theirs = later.env_kwargs if env == later.env else {}
    values = {**later.values, **first.values}
    return NamedSet(first.agent, env, values, first.doc or later.doc, {**theirs, **first.env_kwargs})


def read_toml(path: Path) -> NamedSet:
    """Reads a set from a file.

        agent = "dqn"
        env = "DeepSea-bsuite"
        env_kwargs = { size = 10 }
        doc = "Double DQN on a deeper sea."

        [values]
        learning_rate = 1e-3

    Only `agent` must be there.

    Raises:
      ValueError: if the file cannot be read, says something else, or names an agent in a module that the user has not
        named (see `modules.check`).
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    for key, value in content.items():
        _check(path, key, value)
    if "agent" not in content:
        raise ValueError(f"{path} names no agent")
    modules.check_agent(content["agent"], path)
    for value in content.get("values", {}).values():
        modules.check_reference(value, path)
    if module := registry.module_named(content.get("env", "")):
        modules.check(module, path)
    return NamedSet(**{"env": None, "values": {}, "doc": "", **content})


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _KEYS:
        raise ValueError(
            f"{path} has {key!r}; the nearest is {naming.nearest(key, _KEYS)!r}, there are: {', '.join(_KEYS)}"
        )
    if not isinstance(value, _KEYS[key]):
        kind = {str: "a text", dict: "a table"}[_KEYS[key]]
        raise ValueError(f"{path}: {key} is {value!r}, expected {kind}")
