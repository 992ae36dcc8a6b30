"""Completion in a shell, of commands, their flags, sets and the values of flags that have few."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rl_fn import sets
from rl_fn.commands.flags import flags_of


def script(commands: Mapping[str, Callable[..., None]], for_zsh: bool) -> str:
    """A function for bash, which zsh takes as well; where nothing is known, files are completed."""
    flags = {name: flags_of(command) for name, command in commands.items()}
    by_command = [f"    {name}) words='{_spelled(flags[name])}' ;;" for name in commands]
    by_flag = {f"--{flag.name}": " ".join(flag.choices) for theirs in flags.values() for flag in theirs if flag.choices}
    by_flag["--hparams"] = " ".join(sets.SETS)
    values = [f"    {name}) words='{choices}' ;;" for name, choices in by_flag.items()]
    lines = [
        *(["autoload -U +X bashcompinit && bashcompinit"] if for_zsh else []),
        "_rl_fn() {",
        "  local words=''",
        '  case "${COMP_WORDS[1]}" in',
        *by_command,
        "  esac",
        f"  [ \"$COMP_CWORD\" -eq 1 ] && words='{' '.join(commands)}'",
        '  case "${COMP_WORDS[COMP_CWORD-1]}" in',
        *values,
        "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
        "}",
        "complete -o default -F _rl_fn rl-fn",
    ]
    return "\n".join(lines)


def _spelled(flags: list) -> str:
    return " ".join(f"--{flag.name}" for flag in flags if not flag.described.positional)
