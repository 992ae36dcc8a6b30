"""What is searched: some hyper-parameters, and where each of them may be.

    learning_rate=log(1e-5,1e-2), gamma=linear(0.9,0.999), hidden_sizes=[(64,64),(256,256)], max_grad_norm

A name alone stands for the usual range of its field, and `usual` for all that is searched where nobody says what.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rl_fn._src import naming
from rl_fn.agents.hparams import Allowed, HParams, described
from rl_fn.agents.ranges import FIRST, Choices, Linear, Log, Range
from rl_fn.sets import overrides

USUAL = "usual"
NEVER = {"train_steps": "it is the length of a trial", "actor_lag": "it says how a run is run"}
_FUNCTION = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
_KINDS = ("log", "linear")
_FORMS = "name=log(LOW,HIGH), name=linear(LOW,HIGH), name=[VALUE,...] or a name alone"


class Dimension(NamedTuple):
    """A hyper-parameter that is searched."""

    name: str
    range: Range
    is_whole: bool  # whether its numbers are integers
    is_static: bool  # whether each of its values makes a program of its own

    @property
    def interval(self) -> Log | Linear:
        """The range, if it is no choice.

        Raises:
          ValueError: if it is one.
        """
        if isinstance(self.range, Choices):
            raise ValueError(f"{self} is no range, expected {self.name}=log(LOW,HIGH) or {self.name}=linear(LOW,HIGH)")
        return self.range

    def values(self, points: int) -> list[Any]:
        """All choices, or so many points of a range, without those that are equal."""
        if isinstance(self.range, Choices):
            return list(self.range.values)
        found = [self.range.at(index / max(points - 1, 1)) for index in range(points)]
        return list(dict.fromkeys(round(value) if self.is_whole else value for value in found))

    def __str__(self) -> str:
        return f"{self.name}={self.range}"


Space = tuple[Dimension, ...]


def usual(hparams: HParams, fixed: Iterable[str] = ()) -> Space:
    """What is searched where nobody says what: numbers that need no program of their own and begin in their range.

    Args:
      hparams: the values to begin with.
      fixed: names that are not to be searched.

    Raises:
      ValueError: if there is nothing.
    """
    fields, found = _fields(hparams), []
    for name in FIRST:
        if name not in fields or name in fixed or not fields[name].may_be_tensor:
            continue
        value, given = getattr(hparams, name), fields[name].search
        if value is not None and isinstance(given, Log | Linear) and given.low <= float(value) <= given.high:
            found.append(_dimension(fields[name], given))
    if not found:
        raise ValueError("no hyper-parameter of this agent is searched by itself; name some with --space")
    return tuple(found)


def parse(text: str, hparams: HParams, fixed: Iterable[str] = ()) -> Space:
    """Reads what is to be searched; an empty text is `usual`.

    Args:
      text: as in this module's heading.
      hparams: the values to begin with.
      fixed: names that have been given a value.

    Raises:
      ValueError: for a part that cannot be read, an unknown or fixed name, or a value that is not allowed.
    """
    if len(text) > overrides.LONGEST:
        raise ValueError(f"space has {len(text):,} letters, expected at most {overrides.LONGEST:,}")
    fields, fixed = _fields(hparams), set(fixed)
    found: dict[str, Dimension] = {}
    named = [part.strip() for part in overrides.parts(text) if part.strip()]
    if not named or USUAL in named:
        theirs = {part.partition("=")[0].strip() for part in named}
        found |= {one.name: one for one in usual(hparams, fixed | theirs)}
    for part in named:
        if part == USUAL:
            continue
        name, equals, told = (piece.strip() for piece in part.partition("="))
        if not re.fullmatch(r"\w+", name) or (equals and not told):
            raise ValueError(f"cannot read {part!r} in space, expected {_FORMS}")
        if name not in fields:
            raise ValueError(naming.unknown("hyper-parameter in space", name, fields))
        allowed = fields[name]
        only = f"it is always {allowed.low:g}" if allowed.low == allowed.high else None
        for reason in filter(None, [NEVER.get(name), only, "it is given a value" if name in fixed else None]):
            raise ValueError(f"{name} cannot be searched: {reason}")
        if name in found:
            raise ValueError(f"{name} is twice in space")
        given = _read(name, told, allowed) if equals else allowed.search
        if given is None:
            raise ValueError(f"{name} has no usual range, expected {_FORMS}")
        found[name] = _dimension(allowed, given)
    return tuple(found.values())


def static(space: Space) -> Space:
    """The dimensions whose values make programs of their own."""
    return tuple(one for one in space if one.is_static)


def tensors(space: Space) -> list[str]:
    """The names of those that differ between the copies of a program."""
    return [one.name for one in space if not one.is_static]


def told(space: Space, values: Mapping[str, Any]) -> str:
    """Values of what is searched, as people read them."""
    return ", ".join(f"{one.name}={_short(values[one.name])}" for one in space)


def grid(space: Space, points: int) -> list[dict[str, Any]]:
    """All combinations of choices and of so many points of each range; those of one program stand together."""
    values = {one.name: one.values(points) for one in sorted(space, key=lambda one: not one.is_static)}
    if math.prod(map(len, values.values())) > 1_000_000:
        raise ValueError("the grid has more than 1,000,000 points; search fewer hyper-parameters or grid_points")
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def _fields(hparams: HParams) -> Mapping[str, Allowed]:
    struct: Any = type(hparams)
    return described(struct)


def _read(name: str, text: str, allowed: Allowed) -> Range:
    if text.startswith("[") and text.endswith("]"):
        values = [overrides.read(part.strip()) for part in overrides.parts(text[1:-1]) if part.strip()]
        if not values:
            raise ValueError(f"{name} has no choices, expected {_FORMS}")
        return Choices(tuple(values))
    match = _FUNCTION.fullmatch(text)
    ends = [overrides.read(part.strip()) for part in overrides.parts(match[2])] if match else []
    if not match or match[1] not in _KINDS or len(ends) != 2 or not all(map(_is_number, ends)):
        raise ValueError(f"cannot read {name}={text} in space, expected {_FORMS}")
    low, high = ends
    if not low < high:
        raise ValueError(f"{name}={text} in space, expected the lower end first")
    if match[1] == "log" and low <= 0:
        raise ValueError(f"{name}={text} in space, expected ends above 0 for a logarithm")
    return Log(low, high) if match[1] == "log" else Linear(low, high)


def _dimension(allowed: Allowed, given: Range) -> Dimension:
    values: Sequence[Any]
    if isinstance(given, Choices):
        values = tuple(map(allowed.checked, given.values))
        if len(set(map(repr, values))) < len(values):
            raise ValueError(f"{allowed.name}={given} in space names a choice twice")
        given = Choices(values)
    else:
        values = [allowed.checked(end) for end in given]
        if not all(map(_is_number, values)):
            raise ValueError(f"{allowed.name} takes no range of numbers, expected {allowed}")
        given = type(given)(*values)
    is_static = not (allowed.may_be_tensor and all(map(_is_number, values)))
    return Dimension(allowed.name, given, allowed.is_whole, is_static)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
