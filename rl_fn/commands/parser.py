"""From the words of a command line to a command and its arguments; what is wrong with them is told in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rl_fn import sets
from rl_fn._src import naming
from rl_fn._src.other_names import OTHER_FLAGS, OTHER_NAMES
from rl_fn.commands.flags import BOOLEANS, Flag, arguments, flags_of

PROGRAM = "rl-fn"
HELP = ("-h", "--help")
_OVERRIDE = "hparam_override"  # the flag under which hyper-parameters are given

Command = Callable[..., None]


class Call(NamedTuple):
    """What a command line asks for."""

    command: str | None  # its name; None where only help is asked for
    arguments: dict[str, Any]
    is_help: bool  # whether help is wanted in its place


def read(commands: Mapping[str, Command], words: Sequence[str]) -> Call:
    """Reads a command line.

    Flags are given as `--name value` or `--name=value`, with underscores or dashes; those that are true or false also
    without a value, and as `--no_name`.

    Args:
      commands: by name.
      words: after the program's name.

    Raises:
      ValueError: if they cannot be read; the message says what is wrong and what is near.
    """
    if not words or words[0] in HELP or words[0] == "help":
        return Call(None, {}, True)
    name, rest = words[0].replace("-", "_"), list(words[1:])
    if name not in commands:
        kind = "flag" if words[0].startswith("-") else "command"
        raise ValueError(f"unknown {kind} {words[0]!r}; {_nearest_command(name, commands)}")
    flags = flags_of(commands[name])
    given = _given(flags, rest)
    values = {flag.argument: _value(flag, given[flag.argument]) for flag in flags if flag.argument in given}
    is_help = any(word in HELP for word in rest)
    for flag in flags:
        if flag.argument in values:
            continue
        if flag.is_required and not is_help:
            shown = flag.described.metavar if flag.described.positional else f"--{flag.name} {flag.described.metavar}"
            raise ValueError(f"{name} needs {shown}: {_decapitalized(flag.described.text)}")
        if not (flag.is_required or flag.is_of_struct):
            values[flag.argument] = flag.default
    return Call(name, values if is_help else arguments(commands[name], values), is_help)


def _given(flags: Sequence[Flag], words: list[str]) -> dict[str, list[str]]:
    """The texts that were given for each argument."""
    by_name = {flag.name: flag for flag in flags}
    places = [flag for flag in flags if flag.described.positional]
    given: dict[str, list[str]] = {}
    only_places = False  # after "--"
    words = words[::-1]
    while words:
        word = words.pop()
        if only_places or not word.startswith("-") or word == "-":
            if not places:
                raise ValueError(f"unexpected {word!r}: values are given as --flag VALUE")
            _put(given, places[0] if places[0].several else places.pop(0), word)
        elif word == "--":
            only_places = True
        elif word not in HELP:
            flag, text = _flag(by_name, word)
            if text is None:
                text = _text_of(flag, words)
            _put(given, flag, text)
    return given


def _put(given: dict[str, list[str]], flag: Flag, text: str) -> None:
    if flag.argument in given and not flag.several:
        raise ValueError(f"--{flag.name} is given twice")
    given.setdefault(flag.argument, []).append(text)


def _flag(by_name: Mapping[str, Flag], word: str) -> tuple[Flag, str | None]:
    """The flag that a word names, and the value where it is in the same word."""
    text: str | None
    name, equals, text = word.removeprefix("--").partition("=")
    name, text = name.replace("-", "_"), text if equals else None
    if word.startswith("--"):
        if name in by_name:
            return by_name[name], text
        if (flag := by_name.get(name.removeprefix("no_"))) and flag.kind is bool and text is None:
            return flag, "false"
    shown = word.partition("=")[0]
    raise ValueError(f"unknown flag {shown!r}; {_instead(name.lstrip('_').lower(), by_name)}")


def _instead(name: str, by_name: Mapping[str, Flag]) -> str:
    """What is said of a flag that a command does not have: what is meant, the nearest, or all there are."""
    if (ours := OTHER_FLAGS.get(name)) in by_name:
        return f"here it is --{ours}"
    hparams = {value for named in sets.SETS.values() for value in named.values}
    if _OVERRIDE in by_name and name in hparams | OTHER_NAMES.keys():
        known, *_ = [name] if name in hparams else OTHER_NAMES[name]
        return f"it is a hyper-parameter: --{_OVERRIDE} {known.split()[0]}=VALUE"
    if near := naming.likely(name, by_name):
        return f"the nearest is --{near}"
    return f"there are: {', '.join(f'--{flag}' for flag in by_name)}" if by_name else "the command takes none"


def _text_of(flag: Flag, words: list[str]) -> str:
    """Takes the value of a flag from the words that follow."""
    if flag.kind is bool:
        return words.pop() if words and words[-1].lower() in BOOLEANS else "true"
    if not words or (words[-1].startswith("--") and words[-1] != "--") or words[-1] in HELP:
        raise ValueError(f"--{flag.name} needs a value: --{flag.name} {flag.described.metavar or flag.name.upper()}")
    return words.pop()


def _value(flag: Flag, texts: list[str]) -> Any:
    return tuple(map(flag.read, texts)) if flag.several else flag.read(texts[0])


def _nearest_command(name: str, commands: Mapping[str, Command]) -> str:
    likely = naming.likely(name, commands)
    return f"the nearest is {likely!r}" if likely else f"there are: {', '.join(commands)}"


def _decapitalized(text: str) -> str:
    return text[:1].lower() + text[1:]
