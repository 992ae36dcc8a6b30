"""The files of a run beside its checkpoints: what they hold, and whether they are this run's."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import rl_fn
from rl_fn._src.xla import startup


def check_same_run(path: Path, config: dict[str, Any]) -> None:
    """Checks that a config.json is that of the run at hand; says where versions of packages differ.

    Raises:
      ValueError: if it is another run's, or cannot be read.
    """
    try:
        existing = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None

    def flat(run: dict[str, Any]) -> dict[str, Any]:
        settings = {name: run.get(name) for name in ("agent", "env", "seed", "copies")}
        arguments = {f"env_kwargs {name}": value for name, value in run.get("env_kwargs", {}).items()}
        return {**settings, **arguments, **run.get("hparams", {})}

    before, now = flat(existing), flat(config)
    different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if different:
        changes = ", ".join(f"{name} was {before.get(name)} and is now {now.get(name)}" for name in different)
        raise ValueError(f"{path.parent} holds another run: {changes}; choose another --output_dir")
    for package, version in config["versions"].items():
        if version != (begun := existing.get("versions", {}).get(package)):
            say(f"this run was begun with {package} {begun} and goes on with {version}: bits may differ")


def versions() -> dict[str, str]:
    """The versions that results may depend on."""
    packages = ("tensorflow-probability", "numpy", "gymnasium")
    return {
        "rl_fn": rl_fn.__version__,
        "python": sys.version.split()[0],
        "tensorflow": startup.tensorflow_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def markdown(config: dict[str, Any]) -> str:
    """The configuration as a table for TensorBoard."""
    flat = {**config, **config["hparams"]}
    rows = [f"| {name} | {value} |" for name, value in flat.items() if name not in ("hparams", "versions")]
    return "\n".join(["| name | value |", "|---|---|", *rows])


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file that appears only when it is complete."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)


def say(sentence: str) -> None:
    """Tells something on the terminal."""
    print(f"rl-fn: {sentence}", file=sys.stderr, flush=True)
