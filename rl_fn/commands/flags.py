"""Flags of commands: a command is a function whose arguments say what its flags are.

def play(
    *,
    run: Annotated[Path, flag("The folder of a run.", "RUN", positional=True)],
    episodes: Annotated[int, flag("How many to play.", "N")] = 3,
) -> None:
    "Play episodes."
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from rl_fn._src import naming
from rl_fn.runs import stores

Command = TypeVar("Command", bound=Callable[..., None])
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1", "t", "y"), True),
    **dict.fromkeys(("false", "no", "off", "0", "f", "n"), False),
}


class Described(NamedTuple):
    """What the help says of a flag."""

    text: str
    metavar: str | None = None
    name: str | None = None  # where it is not the argument's
    positional: bool = False
    group: str = ""


def flag(
    text: str, metavar: str | None = None, name: str | None = None, *, positional: bool = False, group: str = ""
) -> Described:
    """What the help says of a flag.

    Args:
      text: one line.
      metavar: what stands for the value.
      name: the flag, where it is not the argument's name.
      positional: whether it is given by its place, without a name.
      group: the heading that it stands under.
    """
    return Described(text, metavar, name, positional, group)


Imports = Annotated[
    tuple[str, ...],
    flag("A module of your own, which registers environments and sets; may be given again.", "MODULE", "import"),
]
RunFolder = Annotated[Path, flag("The folder of a run, or of one of its copies.", "RUN", positional=True)]
RunFolders = Annotated[
    tuple[Path, ...], flag("The folders of runs, or of single copies.", "RUN [RUN ...]", positional=True)
]
Checkpoint = Annotated[str, flag("Which: newest, best, or its number of environment steps.", "newest|best|STEPS")]


class Flag(NamedTuple):
    """An argument of a command, as it is given on the command line."""

    argument: str
    name: str
    kind: Any  # bool, int, float, str or Path
    described: Described
    default: Any = inspect.Parameter.empty
    choices: tuple[str, ...] = ()
    several: bool = False  # whether it takes several values, into a tuple
    is_of_struct: bool = False  # which has the defaults, and is told only what was given

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    def read(self, text: str) -> Any:
        """The value that a text stands for.

        Raises:
          ValueError: if it is of another type.
        """
        if self.choices:
            if text not in self.choices:
                raise ValueError(naming.unknown(self.name, text, self.choices))
            return text
        try:
            value = _READERS[self.kind](text)
        except (ValueError, OverflowError):
            raise ValueError(f"{self.name} is {text!r}, expected {_WORDS[self.kind]}") from None
        if isinstance(value, Path) and not self.described.positional:  # folders of runs are read from stores, too
            stores.refuse(value, self.name)
        return value


def flags_of(command: Callable[..., None]) -> list[Flag]:
    """The flags of a command, in the order of its arguments; those of a struct at the place of its argument."""
    hints = inspect.get_annotations(command, eval_str=True)
    flags = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, _Struct):
            flags += [_of_field(item, hint.types[item.name]) for item in hint.fields]
        else:
            kind, described = typing.get_args(hint)
            flags.append(_flag(parameter.name, kind, described, parameter.default))
    return flags


def arguments(command: Callable[..., None], values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a command from the values of its flags."""
    given = dict(values)
    for name, hint in inspect.get_annotations(command, eval_str=True).items():
        if isinstance(hint, _Struct):
            theirs = [item.name for item in hint.fields if item.name in given]
            given[name] = {field: given.pop(field) for field in theirs}
    return given


def words_of(command: Callable[..., None], values: Mapping[str, Any]) -> list[str]:
    """The words of a command line that give flags these values; those that have them anyway are left out."""
    words = []
    for flag in flags_of(command):
        if flag.argument in values and (flag.is_of_struct or values[flag.argument] != flag.default):
            value = values[flag.argument]
            words += [f"--{flag.name}={one}" for one in (value if flag.several else [value])]
    return words


def with_flags_of(struct: type) -> Callable[[Command], Command]:
    """Makes a decorator that gives a command the fields of a struct as flags, none of which must be given.

    Args:
      struct: a dataclass whose fields are made by `rl_fn.runs.settings.setting`.

    Returns:
      The decorator. The command gets the values that were given, by name, as its argument `flags`.
    """
    fields = [item for item in dataclasses.fields(struct) if item.metadata["flag"] != ""]

    def decorate(command: Command) -> Command:
        command.__annotations__["flags"] = _Struct(fields, typing.get_type_hints(struct))
        return command

    return decorate


class _Struct:
    """Stands for the type of the argument that gets the fields of a struct."""

    def __init__(self, fields: list[dataclasses.Field], hints: dict[str, Any]):
        self.fields, self.types = fields, hints


def _of_field(item: dataclasses.Field, kind: Any) -> Flag:
    told = item.metadata
    described = flag(told["doc"], told["metavar"], told["flag"], group=told["group"])
    if typing.get_origin(kind) is not tuple and (str(item.type).startswith("Mapping") or kind is Path):
        kind = str  # is read by the struct
    if told["choices"]:
        kind = Literal.__getitem__(told["choices"])
    default = None if item.default is dataclasses.MISSING else item.default
    return _flag(item.name, kind, described, default)._replace(is_of_struct=True)


def _flag(argument: str, kind: Any, described: Described, default: Any) -> Flag:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = [one for one in typing.get_args(kind) if one is not type(None)]
    several = typing.get_origin(kind) is tuple
    if several:
        kind = typing.get_args(kind)[0]
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    return Flag(argument, described.name or argument, str if choices else kind, described, default, choices, several)


def _boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError(text)
    return BOOLEANS[text.lower()]


def _integer(text: str) -> int:
    if match := re.fullmatch(r"(\d+)[eE]\+?(\d{1,2})", text):  # 1e6 is how people write a count
        return int(match[1]) * 10 ** int(match[2])
    return int(text)


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    try:
        return stores.path(text).expanduser()
    except RuntimeError:  # the home of nobody
        raise ValueError(text) from None


_READERS: dict[Any, Callable[[str], Any]] = {bool: _boolean, int: _integer, float: _number, str: str, Path: _path}
_WORDS = {bool: "True or False", int: "an integer", float: "a number", str: "a text", Path: "a file or folder"}
