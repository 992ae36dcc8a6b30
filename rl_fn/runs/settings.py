"""One setting of a run or of a search: what is said of it, and which values it may have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_fn import sets
from rl_fn.runs import stores
from rl_fn.sets import modules

_KINDS = {
    "Path": "a folder, with a name in UTF-8",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "str": "a text",
    "tuple[str, ...]": "names of modules",
    "Mapping[str, Any]": "values by name",
}


def setting(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    metavar: str | None = None,
    flag: str | None = None,
    choices: Sequence[str] = (),
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    group: str = "",
) -> Any:
    """A field, with what the command line says of it.

    Args:
      doc: one line.
      default: the default value.
      metavar: what stands for the value in the help.
      flag: the flag, where it is not the field's name; "" for none.
      choices: the texts allowed.
      low: the smallest value allowed.
      high: the largest value allowed.
      above: values must be greater than this.
      group: the heading that the flag stands under.
    """
    metadata = {
        "doc": doc,
        "metavar": metavar,
        "flag": flag,
        "choices": tuple(choices),
        "low": low,
        "high": high,
        "above": above,
        "group": group,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def checked(item: dataclasses.Field, value: Any) -> Any:
    """The value in the type of its field; raises ValueError if it is of another, or out of bounds."""
    kind, _, none = str(item.type).partition(" | ")
    choices, low, high, above = (item.metadata[name] for name in ("choices", "low", "high", "above"))
    if none and value is None:
        return value
    match kind, value:
        case "Mapping[str, Any]", str():
            return sets.parse_overrides(value)
        case "Mapping[str, Any]", Mapping():
            # As they come back from JSON, which has no tuples.
            return {str(key): tuple(part) if isinstance(part, list) else part for key, part in value.items()}
        case "tuple[str, ...]", tuple() | list() | str() if all(isinstance(part, str) for part in value):
            return modules.names(value)
        case ("Path", Path()) | ("Path", str()) if str(value) and _is_in_utf8(str(value)):
            return _expanded(item.name, stores.path(str(value)))
        case "bool", bool():
            return value
        case "str", str() if value and value in (choices or [value]):
            return value
        case ("int", int()) | ("float", int() | float()) if (
            not isinstance(value, bool) and low <= value <= high and value > above
        ):
            return value if kind == "int" else float(value)
    allowed = [f"one of {', '.join(choices)}" if choices else _KINDS[kind]]
    if above > -math.inf:
        allowed.append(f"greater than {above:g} and at most {high:g}")
    elif low > -math.inf:
        allowed.append(f"from {low:,} to {high:,}")
    raise ValueError(f"{item.name} is {value!r}, expected {' '.join(allowed)}")


def _is_in_utf8(name: str) -> bool:
    """Whether every library can write there."""
    return "\0" not in name and name.encode("utf-8", "ignore").decode() == name


def _expanded(name: str, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{name} is {str(path)!r}, and the home folder that it names is not known") from None
