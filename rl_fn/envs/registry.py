"""Environments by name: an open table of the registered ones, and the libraries that have names of their own.

TensorFlow is not imported here: an entry is made, and its module imported, when it is asked for.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from rl_fn._src import naming
from rl_fn.envs.host import atari, names

Kind = Literal["compiled", "host", "vector"]
Make = Callable[..., Any] | str

# prefix -> the function `(name, num_envs=..., **kwargs) -> HostEnv` that makes what a library has under the name
LIBRARIES: dict[str, str] = {
    "gymnasium": "rl_fn.envs.host.gymnasium:gymnasium_env",
    "gym": "rl_fn.envs.host.gymnasium:gym_env",
    "envpool": "rl_fn.envs.host.envpool:envpool_env",
    "atari": "rl_fn.envs.host.atari:atari_env",
    "procgen": "rl_fn.envs.host.procgen:procgen_env",
}
_EXTRAS = {"atari": "atari", "envpool": "envpool", "procgen": "envpool"}  # that libraries need
_JUDGED = ("atari", "envpool", "procgen")  # the libraries that take `evaluation`
_COMPILED = "compiled"
_NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*")


class Entry(NamedTuple):
    """What is registered under a name."""

    make: Make
    kind: Kind
    kwargs: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    family: str


_entries: dict[str, Entry] = {}
ENTRIES: Mapping[str, Entry] = MappingProxyType(_entries)  # by name, in the order in which they were registered


def register(
    name: str,
    make: Make,
    *,
    kind: Kind = "compiled",
    kwargs: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    family: str | None = None,
) -> None:
    """Gives an environment of one's own a name, which `make`, `rl-fn envs` and `rl-fn train --env` then know.

        rl.envs.register("Maze-v0", "my_package.maze:make")

    Args:
      name: such as `Maze-v0` or `Mine/Maze-v0`. A name of Gymnasium's is taken over; `gymnasium:NAME` stays.
      make: a function, or `module:function`, which is imported when the first one is made.
      kind: what it makes. "compiled": `make(**kwargs) -> Env`. "host": `make(**kwargs)` makes a single environment of
        the Gymnasium or Gym API; as many as are wanted are stepped side by side, and options such as `backend` are
        those of `gymnasium_env`. "vector": `make(num_envs=..., **kwargs)` makes a `gymnasium.vector.VectorEnv`, or a
        HostEnv.
      kwargs: what it is made with, unless asked for otherwise.
      evaluation: what it is made with where a policy is judged, over all others. Only of host environments; a compiled
        one has `Env.evaluation`.
      family: the heading under which `rl-fn envs` shows it; the package of `make` unless given.

    Raises:
      ValueError: for a name of another form, or one that is registered for something else; an unknown kind; or a
        text that is not of the form `module:function`.
      TypeError: if `make` is neither a function nor a text.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}, expected letters, digits and ._+-, also after a /, such as 'Mine/Maze-v0'")
    if kind not in get_args(Kind):
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(get_args(Kind))}")
    if isinstance(make, str):
        if not naming.is_reference(make):
            raise ValueError(f"make is {make!r}, expected a function, or a text such as 'my_package.maze:make'")
    elif not callable(make):
        raise TypeError(f"make is {make!r}, expected a function, or a text such as 'my_package.maze:make'")
    if kind == _COMPILED and evaluation:
        raise ValueError(f"evaluation is {dict(evaluation)}, expected none: a compiled environment has Env.evaluation")
    function = make.func if isinstance(make, functools.partial) else make
    home = make.partition(":")[0] if isinstance(make, str) else getattr(function, "__module__", "")
    entry = Entry(make, kind, dict(kwargs or {}), dict(evaluation or {}), family or home.partition(".")[0])
    if name in _entries and not _same(_entries[name], entry):
        raise ValueError(f"{name!r} is registered already, for {_entries[name].make}")
    _entries[name] = entry


def make(name: str, num_envs: int | None = None, **kwargs: Any) -> Any:
    """See `rl_fn.envs.make`."""
    env = _made(name, num_envs, kwargs)
    if hasattr(env, "num_envs"):
        env.remake = lambda num_envs, **more: make(name, num_envs, **{**kwargs, **more})  # others like it
    return env


def _made(name: str, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    prefix, colon, rest = name.partition(":")
    if colon and prefix in LIBRARIES:
        return _of_library(prefix, rest, num_envs, kwargs)
    if colon and prefix == _COMPILED:
        compiled = [known for known, entry in _entries.items() if entry.kind == _COMPILED]
        if rest not in compiled:
            raise ValueError(naming.unknown("environment", rest, compiled))
        return _registered(rest, _entries[rest], num_envs, kwargs)
    if colon:
        _import_module_of(name)
    if (entry := _entry(name)) is not None:
        return _registered(name, entry, num_envs, kwargs)
    if atari.is_atari(name) or name.startswith("ALE/"):  # of no known form: refused there
        return _of_library("atari", name, num_envs, kwargs)
    names.gymnasium_spec(name, _entries)
    return _of_library("gymnasium", name, num_envs, kwargs)


def module_named(name: str) -> str:
    """The module that making an environment imports because its name says so, as in `my_rooms:Hall-v0`; "" for none."""
    prefix, colon, rest = name.partition(":")
    if colon and prefix in (*LIBRARIES, _COMPILED):
        name = rest if prefix in ("gymnasium", "gym") else ""
    return name.rpartition(":")[0]


def extra_of(name: str) -> str | None:
    """The extra of rl-fn that an environment needs, as its name says, whether it is installed or not; None for none."""
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _EXTRAS:
        return _EXTRAS[prefix]
    if colon and prefix in ("gymnasium", "gym"):
        return names.extra_of(rest, is_gym=prefix == "gym")
    if (colon and prefix == _COMPILED) or _entry(name) is not None:
        return None
    return "atari" if atari.is_atari(name) else names.extra_of(name)


def for_evaluation(name: str) -> dict[str, Any]:
    """The arguments of `make` with which a policy is judged.

    Atari's whole games on raw scores, all Procgen levels, whole episodes of Gymnasium.
    """
    prefix, colon, _ = name.partition(":")
    if (entry := _entry(name)) is not None:
        return dict(entry.evaluation)
    if colon and prefix == "gymnasium":
        return {"training_limit": None}
    is_judged = prefix in _JUDGED if colon else atari.is_atari(name)
    return {"evaluation": True} if is_judged else {}


def _entry(name: str) -> Entry | None:
    """What is registered under a name, also under that in `module:name`."""
    prefix, colon, _ = name.partition(":")
    if colon and prefix in LIBRARIES:
        return None
    return _entries.get(name.rpartition(":")[2])


def judged_like(env: Any, num_envs: int, **more: Any) -> Any:
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


def _import_module_of(name: str) -> None:
    module = name.rpartition(":")[0]
    if module.endswith(".py"):
        raise ValueError(
            f"unknown environment {name!r}: a module is named without .py, as in {name.replace('.py', '', 1)!r}"
        )
    try:
        naming.import_module(module)
    except ValueError as error:
        prefixes = ", ".join([_COMPILED, *LIBRARIES])
        raise ValueError(
            f"unknown environment {name!r}: {module!r} is neither one of the prefixes {prefixes} nor a module that can "
            f"be imported: {error}"
        ) from None


def _registered(name: str, entry: Entry, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    """Makes what is registered; `name` is what it was asked for by, and will be again."""
    arguments = {**entry.kwargs, **kwargs}
    if entry.kind == "host":
        return _of_function(name, entry.make, num_envs, arguments)
    function = naming.resolve(entry.make) if isinstance(entry.make, str) else entry.make
    if entry.kind == "vector":
        return _of_vector(name, function, num_envs, arguments)
    _check_arguments(f"{name} is a compiled environment and takes other arguments", function, **arguments)
    return _compiled(name, function(**arguments))


def _compiled(name: str, env: Any) -> Any:
    from rl_fn.envs.base import Env, count_from_zero

    if not isinstance(env, Env):
        kinds = " or ".join(map(repr, get_args(Kind)[1:]))
        raise ValueError(
            f"{name} is registered as a compiled environment, and a {type(env).__name__} was made, expected an "
            f"rl_fn.envs.Env; other environments are registered with kind={kinds}"
        )
    evaluation = env.evaluation and _compiled(name, env.evaluation)
    return count_from_zero(env._replace(spec=env.spec._replace(name=name), evaluation=evaluation))


def _of_function(name: str, function: Make, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    from rl_fn.envs.host import factories
    from rl_fn.envs.host.sub_envs import SubEnvs, checked_count, split

    fleet, arguments = split(kwargs)
    factory = functools.partial(factories.of_function, function, arguments)
    return SubEnvs(name, [factory] * checked_count(num_envs), **fleet)


def _of_vector(name: str, function: Callable[..., Any], num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    from gymnasium.vector import VectorEnv

    from rl_fn.envs.host import factories
    from rl_fn.envs.host.sub_envs import checked_count
    from rl_fn.envs.host.vector import VectorHostEnv

    count = checked_count(num_envs)
    arguments = factories.taken(function, {**kwargs, "num_envs": count})
    _check_arguments(f"{name} takes other arguments", function, **arguments)
    made = function(**arguments)
    env: Any = VectorHostEnv(made) if isinstance(made, VectorEnv) else made
    if getattr(env, "num_envs", None) != count:
        raise ValueError(
            f"{name}: a {type(made).__name__} of num_envs {getattr(env, 'num_envs', None)} was made, expected a "
            f"gymnasium.vector.VectorEnv or an rl_fn.envs.HostEnv of {count}"
        )
    env.spec = env.spec._replace(name=name)
    return env


def _of_library(prefix: str, name: str, num_envs: int | None, kwargs: dict[str, Any]) -> Any:
    function = naming.resolve(LIBRARIES[prefix])
    _check_arguments(f"{prefix}:{name} takes other arguments", function, name, num_envs=num_envs, **kwargs)
    return function(name, num_envs=num_envs, **kwargs)


def _check_arguments(refusal: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(f"{refusal}: {error}") from None


def _same(one: Entry, other: Entry) -> bool:
    """Whether they are the same but for what their functions say: those of a module that was imported anew."""

    def origin(entry: Entry) -> Entry:
        named = f"{getattr(entry.make, '__module__', '')}:{getattr(entry.make, '__qualname__', '<')}"
        return entry if isinstance(entry.make, str) or "<" in named else entry._replace(make=named)

    return origin(one) == origin(other)
