"""What makes single environments, here or in a worker's process. TensorFlow is not imported here."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium

from rl_fn._src import naming
from rl_fn.envs.host import names


def existing(env: Any) -> Any:
    """An environment that exists already."""
    return env


def of_gymnasium(spec: Any, arguments: dict[str, Any]) -> Any:
    """One of Gymnasium's registry, whose entry `spec` is."""
    entry = spec.entry_point
    creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    # Gymnasium's checker reports what is checked here too.
    with _naming_extras():
        return gymnasium.make(spec, **{"disable_env_checker": True, **taken(creator, arguments)})


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
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):  # without a signature, as things written in C can be
        return arguments
    if any(parameter.name == "render_mode" or parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
        return arguments
    return {name: value for name, value in arguments.items() if name != "render_mode"}
