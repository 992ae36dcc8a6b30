"""What `--help` shows: one line a command, one line a flag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rl_fn.commands.flags import Flag, flags_of
from rl_fn.commands.parser import PROGRAM

_REQUIRED, _OTHER = "required", "options"


def overview(description: str, commands: Mapping[str, Callable[..., None]]) -> str:
    """The commands, with the first sentence of each."""
    rows = [(name, (command.__doc__ or "").partition(". ")[0].rstrip(".") + ".") for name, command in commands.items()]
    lines = [f"usage: {PROGRAM} COMMAND [flags]", "", description, "", *_table("commands", rows)]
    return "\n".join([*lines, f"What a command takes: {PROGRAM} COMMAND --help"])


def of_command(name: str, command: Callable[..., None]) -> str:
    """A command with its flags by groups, those first that must be given."""
    flags = flags_of(command)
    usage = [flag.described.metavar or flag.name for flag in flags if flag.described.positional]
    usage += [f"--{flag.name} {flag.described.metavar}" for flag in flags if flag.is_required and _is_named(flag)]
    lines = [" ".join(["usage:", PROGRAM, name, *usage, "[flags]"]), "", " ".join((command.__doc__ or "").split()), ""]
    groups: dict[str, list[Flag]] = {}
    for flag in sorted(flags, key=lambda flag: not flag.is_required):  # groups in the order of their first flags
        groups.setdefault(_REQUIRED if flag.is_required else flag.described.group or _OTHER, []).append(flag)
    for heading, members in groups.items():
        lines += _table(heading, [(_spelled(flag), _explained(flag)) for flag in members])
    return "\n".join(lines).rstrip()


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return [f"{heading}:", *[f"  {name:<{width}}  {text}" for name, text in rows], ""]


def _is_named(flag: Flag) -> bool:
    return not flag.described.positional


def _spelled(flag: Flag) -> str:
    metavar = flag.described.metavar or "|".join(flag.choices)
    if flag.described.positional:
        return metavar or flag.name
    if flag.kind is bool:
        return f"--{flag.name} [True|False]"
    return f"--{flag.name} {metavar or flag.name.upper()}"


def _explained(flag: Flag) -> str:
    has_default = not flag.is_required and flag.default not in (None, "", ()) and flag.default is not False
    return flag.described.text + (f" (default: {flag.default})" if has_default else "")
