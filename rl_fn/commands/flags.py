"""Flags as tyro wants to have them described."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

Command = TypeVar("Command", bound=Callable[..., None])


def flag(text: str, metavar: str | None = None, name: str | None = None) -> object:
    """What the help says of a flag."""
    return tyro.conf.arg(help=text, metavar=metavar, name=name)


Imports = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    flag("A module of your own, which registers environments and sets; may be given again.", "MODULE", "import"),
]


def with_flags_of(struct: type) -> Callable[[Command], Command]:
    """Makes a decorator that gives a command the fields of a struct as flags.

    Args:
      struct: a dataclass whose fields are made by `rl_fn.runs.config.setting`.

    Returns:
      The decorator. The command gets the values as the attributes of its argument `flags`.
    """
    types = get_type_hints(struct)
    fields = [
        (item.name, Annotated[_flag_type(item, types[item.name]), _described(item)], _default(item))
        for item in dataclasses.fields(struct)
        if item.metadata["flag"] != ""
    ]
    flags = dataclasses.make_dataclass("Flags", fields)

    def decorate(command: Command) -> Command:
        command.__annotations__["flags"] = Annotated[flags, tyro.conf.arg(name="")]
        return command

    return decorate


def _described(item: dataclasses.Field) -> object:
    return flag(item.metadata["doc"], item.metadata["metavar"], item.metadata["flag"])


def _flag_type(item: dataclasses.Field, kind: Any) -> Any:
    if choices := item.metadata["choices"]:
        kind = Literal.__getitem__(choices)
        return kind | None if item.default is None else kind
    if str(item.type).startswith("Mapping"):
        return str
    if kind == tuple[str, ...]:
        return tyro.conf.UseAppendAction[tuple[str, ...]]
    return str if item.default is dataclasses.MISSING and kind == str | None else kind  # a flag that must be given


def _default(item: dataclasses.Field) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default="")
    return dataclasses.field(default=item.default)
