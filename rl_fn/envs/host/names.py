"""The names that Gymnasium and Gym know. TensorFlow is not imported here."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterable
from typing import Any

from rl_fn._src import naming

# namespace of Gymnasium's registry -> the extra that brings it
_EXTRAS = {"ALE": "atari"}
# Families of Gymnasium and Gym -> the extra of theirs, and of rl-fn, that brings what they need, and the module that
# this is
FAMILIES = {
    "box2d": ("box2d", "Box2D"),
    "mujoco": ("mujoco", "mujoco"),
    "phys2d": ("jax", "jax"),
    "tabular": ("jax", "jax"),
}


def import_gym() -> Any:
    """Imports Gym 0.26, without what it prints about being no longer maintained."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("gym")


def gymnasium_spec(name: str, others: Iterable[str] = ()) -> Any:
    """What Gymnasium's registry holds of a name, also of `module:name`, where importing the module registers it.

    Args:
      name: such as `CartPole-v1`.
      others: further names that the nearest is looked for in.

    Raises:
      ValueError: if there is none; the message names the nearest, or what to install.
    """
    import gymnasium

    plain = _plain(name)
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
        choices = [*others, *gymnasium.registry]
        raise ValueError(
            naming.unknown("environment", name, choices, own="" if ":" in name else f"its module: my_module:{name}")
        ) from None


def family_of(spec: Any) -> str | None:
    """The family of an environment of Gymnasium or Gym, as the module of its entry point tells it; None of others."""
    parts = str(spec.entry_point).partition(":")[0].split(".")
    return parts[2] if parts[0] in ("gym", "gymnasium") and len(parts) > 2 else None


def extra_of(name: str, is_gym: bool = False) -> str | None:
    """The extra that an environment of Gymnasium, or of Gym, needs, as its family says; None for none."""
    known = import_gym().envs.registry if is_gym else importlib.import_module("gymnasium").registry
    spec = known.get(_plain(name))
    extra, _ = FAMILIES.get(family_of(spec) or "", (None, None)) if spec else (None, None)
    return extra


def check_gym_name(name: str) -> None:
    """Checks that Gym 0.26 has an environment of that name, also of `module:name`.

    Raises:
      ValueError: if it has none; the message names the nearest.
    """
    known, plain = import_gym().envs.registry, _plain(name)
    if plain not in known:
        raise ValueError(naming.unknown("environment", name, known))


def _plain(name: str) -> str:
    """The name without its module, which is imported."""
    module, colon, plain = name.rpartition(":")
    if colon:
        try:
            naming.import_module(module)
        except ValueError as error:
            raise ValueError(f"unknown environment {name!r}: {error}") from None
    return plain
