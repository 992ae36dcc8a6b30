"""What users name in a text: one of several choices, a module, or something in it. No TensorFlow is needed."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from rl_fn._src import lazy

_LONGEST = 100  # letters of a name that are compared: it takes the square of their number
_LIKELY = 0.6  # how much a name must look like another to be taken for a mistake in it
_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `name`, in capitals or not; there must be one at least."""
    return _close(name, choices, cutoff=0.0)[0]


def likely(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` is likely to stand for; None where none looks much like it."""
    return next(iter(_close(name, choices, _LIKELY)), None)


def unknown(kind: str, name: str, choices: Iterable[str], own: str = "") -> str:
    """The sentence that refuses a name: the nearest there is, all where they are few, and how to name one's own."""
    choices = list(choices)
    near = likely(name, choices) if len(choices) < 20 else nearest(name, choices)
    said = [f"the nearest is {near!r}"] if near else []
    said += [f"there are: {', '.join(choices)}"] if len(choices) < 20 else []
    hint = f"; one of your own needs {own}" if own else ""
    return f"unknown {kind} {name!r}; {', '.join(said)}{hint}"


def _close(name: str, choices: Iterable[str], cutoff: float) -> list[str]:
    choices = list(choices)
    folded = {choice.casefold(): choice for choice in reversed(choices)}  # the first of those that differ in capitals
    close = difflib.get_close_matches(name[:_LONGEST].casefold(), folded, n=1, cutoff=cutoff)
    return [name] if name in choices else [folded[match] for match in close]


def import_module(name: str) -> ModuleType:
    """Imports a module, such as a user's that registers environments; the current folder is looked in first.

    A script finds the modules beside it, and so does `python -m`; an installed command does not by itself.

    Raises:
      ValueError: if it cannot be imported; the message says why, and where in it.
    """
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    try:
        return lazy.load(name) if name.startswith("rl_fn.") else importlib.import_module(name)
    except Exception as error:  # whatever the module does
        raise ValueError(f"module {name!r} cannot be imported ({_reason(error)})") from error


def is_reference(text: str) -> bool:
    """Whether a text has the form `module:name`, such as `my_package.rooms:make`."""
    return bool(_REFERENCE.fullmatch(text))


def resolve(reference: str) -> Any:
    """What `module:name` stands for.

    Raises:
      ValueError: if the module cannot be imported, or has no such name.
    """
    module, _, name = reference.partition(":")
    found = import_module(module)
    try:
        return getattr(found, name)
    except AttributeError:
        raise ValueError(f"module {module!r} has no {name!r}") from None


def _reason(error: Exception) -> str:
    """What went wrong in a module, and where, where that is in the module."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    where = f" in {theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""
    return f"{' '.join(str(error).split()) or type(error).__name__}{where}"
