"""Values by name, as one writes them on a command line."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 10_000  # letters of a text
_OPEN, _CLOSED = "([{", ")]}"


def parse_overrides(text: str) -> dict[str, Any]:
    """Reads `"name=value,name=value"`; values are numbers, true, false, texts, or tuples such as (64, 64).

    Raises:
      ValueError: for a part that is not of this form, a name given twice, a number that a computer has no word for, or
        more than LONGEST letters.
    """
    if len(text) > LONGEST:
        raise ValueError(f"overrides have {len(text):,} letters, expected at most {LONGEST:,}")
    values: dict[str, Any] = {}
    for part in parts(text):
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise ValueError(f"cannot read override {part.strip()!r}, expected name=value")
        if name in values:
            raise ValueError(f"override {name!r} is given twice")
        values[name] = read(value)
        if not _has_words(values[name]):
            raise ValueError(f"{name} is {value}, expected integers of at most 64 bits and finite numbers")
    return values


def parts(text: str) -> Iterator[str]:
    """The text between commas that no bracket encloses."""
    depth = start = 0
    for end, letter in enumerate(text):
        depth += (letter in _OPEN) - (letter in _CLOSED)
        if letter == "," and depth <= 0:
            yield text[start:end]
            start, depth = end + 1, 0
    yield text[start:]


def read(value: str) -> Any:
    """What a text stands for: a number, true, false, a tuple, or itself."""
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        found = ast.literal_eval(value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return value  # a text
    if not _is_json(found):
        return value
    # 1e5 is how people write a count.
    is_count = isinstance(found, float) and found < 2**63 and re.fullmatch(r"\d+e\d+", value)
    return int(found) if is_count else found


def _is_json(value: Any) -> bool:
    """Whether a value can be kept in config.json."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
    if isinstance(value, tuple | list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | float | str)


def _has_words(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_has_words, value.values()))
    if isinstance(value, tuple | list):
        return all(map(_has_words, value))
    return math.isfinite(value) if isinstance(value, float) else not isinstance(value, int) or abs(value) < 2**64
