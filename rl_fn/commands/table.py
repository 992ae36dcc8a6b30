"""The commands by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from rl_fn.commands import completing, helping, parser
from rl_fn.commands.compare import compare
from rl_fn.commands.dream import dream
from rl_fn.commands.elsewhere import manifest
from rl_fn.commands.envs import envs
from rl_fn.commands.evaluate import evaluate
from rl_fn.commands.exits import refusals
from rl_fn.commands.export import export
from rl_fn.commands.flags import flag
from rl_fn.commands.play import play
from rl_fn.commands.plot import plot
from rl_fn.commands.record import record
from rl_fn.commands.search import search
from rl_fn.commands.show import described, list_sets, show
from rl_fn.commands.train import train
from rl_fn.commands.version import version

DESCRIPTION = "Reinforcement learning as pure functions in TensorFlow."
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "search": search,
    "play": play,
    "evaluate": evaluate,
    "plot": plot,
    "compare": compare,
    "dream": dream,
    "export": export,
    "record": record,
    "manifest": manifest,
    "list": list_sets,
    "show": show,
    "envs": envs,
    "version": version,
}


def completion(
    *, shell: Annotated[Literal["bash", "zsh"], flag("Which.", "bash|zsh", positional=True)] = "bash"
) -> None:
    """Print what completes commands and flags in a shell: eval "$(rl-fn completion bash)" in its start-up file."""
    print(completing.script(COMMANDS, for_zsh=shell == "zsh"))


COMMANDS["completion"] = completion


def run(words: Sequence[str]) -> None:
    """Runs the command that a command line asks for."""
    with refusals():
        call = parser.read(COMMANDS, ["version"] if list(words) == ["--version"] else words)
    if call.command is None:
        print(helping.overview(DESCRIPTION, COMMANDS))
    elif call.is_help:
        print(helping.of_command(call.command, COMMANDS[call.command]))
        if call.command == "train" and "hparams" in call.arguments:
            with refusals():
                text = described(call.arguments["hparams"], call.arguments.get("imports", ()))
            print(f"\nwhat --hparam_override can change:\n{text}")
    else:
        COMMANDS[call.command](**call.arguments)
