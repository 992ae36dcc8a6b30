"""What makes single environments, here or in a worker's process. TensorFlow is not imported here."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium

from rl_fn._src import arguments as checked
from rl_fn._src import naming
from rl_fn.envs.host import names
from rl_fn.envs.host.frames import Frames

FRAMES = frozenset(inspect.signature(Frames).parameters) - {"env"}
LIMIT = "training_limit"


def existing(env: Any) -> Any:
    """An environment that exists already."""
    return env


def of_gymnasium(spec: Any, arguments: dict[str, Any]) -> Any:
    """One of Gymnasium's registry, whose entry `spec` is.

    Arguments of `Frames` that it has not itself are for that; after `training_limit` actions episodes are truncated.
    """
    entry = spec.entry_point
    creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    ours = {*FRAMES, LIMIT}.intersection(arguments).difference(_parameters(creator) or ())
    of_frames = {name: arguments[name] for name in ours & FRAMES}
    limit = arguments[LIMIT] if LIMIT in ours else None
    arguments = {name: value for name, value in arguments.items() if name not in ours}
    # Gymnasium's checker reports what is checked here too.
    with _naming_extras():
        env = gymnasium.make(spec, **{"disable_env_checker": True, **taken(creator, arguments)})
    env = Frames(env, **of_frames) if of_frames else env
    return env if limit is None else gymnasium.wrappers.TimeLimit(env, checked.integer(LIMIT, limit, 1))


def of_gym(name: str, arguments: dict[str, Any]) -> Any:
    """One of Gym 0.26."""
    # Gym's checker of environments uses names that NumPy 2 no longer has.
    return names.import_gym().make(name, **{"disable_env_checker": True, **arguments})


def of_function(make: Callable[..., Any] | str, arguments: dict[str, Any]) -> Any:
    """One that a function makes, or what `module:function` stands for."""
    function = naming.resolve(make) if isinstance(make, str) else make
    with _naming_extras():
        return function(**taken(function, arguments))


@contextlib.contextmanager
def _naming_extras() -> Iterator[None]:
    """Says of a package that Gymnasium lacks which of our extras brings it, in the versions that go together."""
    try:
        yield
    except gymnasium.error.DependencyNotInstalled as error:
        for extra in ("box2d", "mujoco"):
            if extra in str(error).lower():
                raise ImportError(f'it needs {extra}, which is not installed: pip install "rl-fn[{extra}]"') from None
        raise


def taken(creator: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments without `render_mode` where that is not taken: then there are no pictures, but all else works."""
    parameters = _parameters(creator)
    if parameters is None or any(p.name == "render_mode" or p.kind == p.VAR_KEYWORD for p in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name != "render_mode"}


def _parameters(creator: Any) -> Mapping[str, inspect.Parameter] | None:
    """What a function or a class takes, by name; None where nobody knows, as of some things written in C."""
    try:
        return inspect.signature(creator).parameters
    except (TypeError, ValueError):
        return None
