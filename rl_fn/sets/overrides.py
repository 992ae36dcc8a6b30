"""Values by name, as one writes them on a command line."""

from __future__ import annotations

import ast
import re
from typing import Any


def parse_overrides(text: str) -> dict[str, Any]:
    """Reads `"name=value,name=value"`; values are numbers, true, false, texts, or tuples such as (64, 64).

    Raises:
      ValueError: for a part that is not of this form, or a name given twice.
    """
    values: dict[str, Any] = {}
    for part in re.split(r",(?![^(\[]*[)\]])", text):
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise ValueError(f"cannot read override {part.strip()!r}, expected name=value")
        if name in values:
            raise ValueError(f"override {name!r} is given twice")
        values[name] = _read(value)
    return values


def _read(value: str) -> Any:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        read = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value
    # 1e5 is how people write a count.
    return int(read) if isinstance(read, float) and read.is_integer() and re.fullmatch(r"\d+e\d+", value) else read
