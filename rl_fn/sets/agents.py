"""The agents by their modules, and the structs of hyper-parameters that they take."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from rl_fn._src import naming
from rl_fn.sets import modules
from rl_fn.sets.overrides import parse_overrides
from rl_fn.sets.registry import SETS, NamedSet


def agent_module(agent: str) -> ModuleType:
    """The module that makes an agent.

    Args:
      agent: a module of `rl_fn.agents`, such as "dqn", or any other with `make(spec, hparams)`.

    Raises:
      ValueError: if there is no such module, or it makes nothing.
    """
    try:
        module = naming.import_module(f"rl_fn.agents.{agent}" if modules.is_ours(agent) else agent)
    except ValueError as error:
        missing = error.__cause__
        if not (isinstance(missing, ModuleNotFoundError) and agent.startswith(str(missing.name))):
            raise
        ours = sorted({named.agent for named in SETS.values() if modules.is_ours(named.agent)})
        raise ValueError(
            f"unknown agent {agent!r}: expected one of {', '.join(ours)}, or a module with make(spec, hparams)"
        ) from None
    if not callable(getattr(module, "make", None)):
        raise ValueError(f"{module.__name__} makes no agent: it has no function make(spec, hparams)")
    return module


def hparams_struct(agent: str) -> type:
    """The struct of hyper-parameters that an agent takes, which is what its `make` says of `hparams`.

    Raises:
      ValueError: as `agent_module`, and if it does not say.
    """
    make = agent_module(agent).make
    struct = typing.get_type_hints(make).get("hparams")
    if not (isinstance(struct, type) and hasattr(struct, "override")):
        raise ValueError(f"{make.__module__}.make must say what its hparams are: a subclass of HParams, given {struct}")
    return struct


def make(named: NamedSet, overrides: str | Mapping[str, Any] = "", **values: Any) -> Any:
    """Makes the agent's struct of hyper-parameters.

    Args:
      named: the set.
      overrides: values by name, or a text `"learning_rate=1e-3,num_envs=16"`.
      **values: further values, which win.

    Raises:
      ValueError: for an unknown name, a text that cannot be read, or a value that is not allowed.
    """
    if isinstance(overrides, str):
        overrides = parse_overrides(overrides)
    return hparams_struct(named.agent)().override(**{**named.values, **overrides, **values})
