"""The table of sets, open to everybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class NamedSet(NamedTuple):
    """What a name stands for."""

    agent: str  # a module of rl_fn.agents, such as "dqn", or any other with `make(spec, hparams)`
    env: str | None  # None: any environment that the agent can act in
    values: Mapping[str, Any]  # where they differ from the agent's defaults
    doc: str
    env_kwargs: Mapping[str, Any] = MappingProxyType({})  # what the environment is made with


SETS: dict[str, NamedSet] = {}
VARIANTS: dict[str, Mapping[str, Any]] = {}  # values by the name of the variant, for sets of any agent that has them


def register(
    name: str,
    *,
    agent: str,
    env: str | None = None,
    values: Mapping[str, Any] = MappingProxyType({}),
    doc: str = "",
    env_kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Gives a set a name.

    Args:
      name: letters, digits and underscores.
      agent: a module of `rl_fn.agents`, such as "dqn", or any module with `make(spec, hparams)`. It is imported
        when the set is used.
      env: the name of an environment; None for any that the agent can act in.
      values: hyper-parameters, where they differ from the agent's defaults.
      doc: one sentence.
      env_kwargs: what the environment is made with.

    Raises:
      ValueError: if the name is of another form, or stands for something else already.
    """
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"the name of a set is {name!r}, expected letters, digits and underscores")
    named = NamedSet(agent, env, dict(values), doc, dict(env_kwargs))
    if SETS.setdefault(name, named) != named:
        raise ValueError(f"there is another set of the name {name!r}")


def register_variant(name: str, values: Mapping[str, Any]) -> None:
    """Gives a name to values that go over those of a set: `dqn_cartpole-per` is `dqn_cartpole` with those of `per`.

    Args:
      name: letters, digits and underscores.
      values: hyper-parameters; a set of an agent that has no such ones is refused where it is made.

    Raises:
      ValueError: if the name is of another form, or stands for something else already.
    """
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"the name of a variant is {name!r}, expected letters, digits and underscores")
    if VARIANTS.setdefault(name, dict(values)) != values:
        raise ValueError(f"there is another variant of the name {name!r}")
