"""Where a function is that is looked for on another page, as those are who know one flat namespace."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

_PAGES = (
    *("losses", "returns", "policies", "transforms", "updates", "normalization", "intrinsic"),
    *("optimizers", "networks", "replay", "planning", "learning"),
)


def attribute_of(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a page: refuses a name with where it is, or what is nearest to it."""

    def missing(name: str) -> NoReturn:
        raise AttributeError(f"module {module!r} has no attribute {name!r}{whereabouts(name)}", name=name)

    return missing


def whereabouts(name: str) -> str:
    """The end of such a sentence; empty for names that only Python looks for, and those like none."""
    if name.startswith("_"):
        return ""
    homes = {each: page for page in _PAGES for each in _names(importlib.import_module(f"rl_fn.{page}"))}
    near = [name] if name in homes else difflib.get_close_matches(name, homes, n=1, cutoff=0.7)
    what = "it is" if name in homes else "the nearest is"
    return f"; {what} rl_fn.{homes[near[0]]}.{near[0]}" if near else ""


def _names(page: ModuleType) -> list[str]:
    own = [name for name, value in vars(page).items() if getattr(value, "__module__", None) == page.__name__]
    return getattr(page, "__all__", [name for name in own if not name.startswith("_")])
