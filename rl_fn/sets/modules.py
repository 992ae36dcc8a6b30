"""Modules of the user's own. What a file names is never imported before the user has named it, too."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rl_fn._src import naming

_named: set[str] = set()  # by the user


def import_named(names: Iterable[str]) -> None:
    """Imports modules that the user has named; what they hold may from now on be named by files, too.

    Raises:
      ValueError: if one cannot be imported; the message says why, and where in it.
    """
    for name in names:
        naming.import_module(name)
        _named.add(name)


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names from a text such as "a,b", or from several."""
    texts = [given] if isinstance(given, str) else given
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def is_ours(agent: str) -> bool:
    """Whether this is a module of `rl_fn.agents`."""
    folder = Path(__file__).parents[1] / "agents"
    return agent.isidentifier() and (folder / f"{agent}.py").is_file()


def check_agent(agent: str, source: Path) -> None:
    """As `check`, for the module of an agent."""
    if not is_ours(agent):
        check(agent, source)


def check_reference(value: object, source: Path) -> None:
    """As `check`, where a value is a text `module:name`."""
    if isinstance(value, str) and naming.is_reference(value):
        check(value.partition(":")[0], source)


def check(module: str, source: Path) -> None:
    """Checks that a module that a file names has been imported, or is part of what the user has named.

    Raises:
      ValueError: if not.
    """
    if module in sys.modules or any(module.startswith(f"{name}.") for name in _named):
        return
    raise ValueError(
        f"{source} names the module {module!r}, which is imported only if you name it, too: --import {module}, or "
        f"`import {module}` in a script"
    )
