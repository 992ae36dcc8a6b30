"""The folder of a run's copy beside its checkpoints: what its files hold, and whether they are this run's."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rl_fn
from rl_fn._src.xla import startup
from rl_fn.runs import config
from rl_fn.runs.config import RunConfig, read_json

SUMMARY = "summary.json"


def contents(settings: RunConfig) -> list[dict[str, Any]]:
    """What config.json holds, for each copy of a run."""
    told, records = settings.to_json(), {"versions": versions(), "command": sys.argv}
    return [{**told, "copy": copy, **records} for copy in range(settings.copies)]


def check(output_dir: Path, now: list[dict[str, Any]]) -> Iterator[str]:
    """Checks that a folder is empty or holds this very run.

    Args:
      output_dir: of the run.
      now: what config.json of each copy is to hold.

    Yields:
      In a sentence, where versions of packages differ.

    Raises:
      ValueError: if the folder holds another run, or what it holds cannot be read.
    """
    if (extra := output_dir / f"run_{len(now)}").exists():
        raise ValueError(f"{extra} exists: the folder holds a run of more than {len(now)} copies")
    for copy, content in enumerate(now):
        folder = output_dir / f"run_{copy}"
        if not has_begun(folder):
            continue
        existing = read_json(folder / config.FILE)
        before, after = _flat(existing), _flat(content)
        different = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if different:
            changes = ", ".join(f"{name} was {before.get(name)} and is now {after.get(name)}" for name in different)
            raise ValueError(f"{folder} holds another run: {changes}; choose another --output_dir")
        if copy == 0:
            begun = existing.get("versions", {})
            for package, version in content["versions"].items():
                if version != begun.get(package):
                    yield (
                        f"this run was begun with {package} {begun.get(package)} and goes on with {version}: "
                        "bits may differ"
                    )


def prepare(output_dir: Path, now: list[dict[str, Any]]) -> None:
    """Makes the folders of a run, and writes config.json where it has not begun.

    Raises:
      OSError: if a folder cannot be written.
    """
    for copy, content in enumerate(now):
        folder = output_dir / f"run_{copy}"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"folder {folder} cannot be written")
        if not has_begun(folder):
            write_json(folder / config.FILE, content)


def has_begun(folder: Path) -> bool:
    """Whether a copy's folder holds more than config.json, which is all there is where a run failed at its start."""
    path = folder / config.FILE
    return path.exists() and any(other != path for other in folder.iterdir())


def versions() -> dict[str, str]:
    """The versions that results may depend on."""
    packages = ("tensorflow-probability", "numpy", "gymnasium")
    return {
        "rl_fn": rl_fn.__version__,
        "python": sys.version.split()[0],
        "tensorflow": startup.tensorflow_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file that appears only when it is complete."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """What makes a run another."""
    settings = {name: content.get(name) for name in ("agent", "env", "seed", "copies", "train_steps")}
    arguments = {f"env_kwargs {name}": value for name, value in _values(content, "env_kwargs").items()}
    return {**settings, **arguments, **_values(content, "hparam_override")}


def _values(content: dict[str, Any], name: str) -> dict[str, Any]:
    return value if isinstance(value := content.get(name), dict) else {}
