"""The folder of a run's copy beside its checkpoints: what its files hold, and whether they are this run's."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rl_fn
from rl_fn._src.xla import startup
from rl_fn.runs import config, files
from rl_fn.runs.config import RunConfig
from rl_fn.runs.files import read_json

SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
BEST = "checkpoints/best"
_PRECISION = "float32"  # of runs that do not say, because there was no other
CURVES = ("events.out.tfevents.*", "metrics.csv")


def contents(settings: RunConfig) -> list[dict[str, Any]]:
    """What config.json holds, for each copy of a run."""
    told, records = settings.to_json(), {"versions": versions(), "command": sys.argv}
    return [{**told, "copy": copy, **records} for copy in range(settings.copies)]


def check(output_dir: Path, now: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Checks that a folder is empty or holds this very run, or its beginning.

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
        if not (folder / config.FILE).exists():
            missing = f"there is no {config.FILE} in it"
            raise ValueError(f"{folder} holds results of unknown settings: {missing}; choose another --output_dir")
        existing = read_json(folder / config.FILE)
        if changes := _differences(identity(existing), identity(content)):
            raise ValueError(f"{folder} holds another run: {changes}; choose another --output_dir")
        longer = _lengthened(folder, existing, content)
        if copy == 0 and longer:
            yield longer
        if copy == 0:
            begun = _values(existing, "versions")
            for package, version in content["versions"].items():
                before = begun.get(package)
                if version != before:
                    before = before if isinstance(before, str) else "of an unknown version"
                    yield f"this run was begun with {package} {before} and goes on with {version}: bits may differ"


def has_begun(folder: Path) -> bool:
    """Whether a copy's folder holds something that a run has come to."""
    names = (SUMMARY, f"{CHECKPOINTS}/iteration_*", f"{BEST}/iteration_*", *CURVES, "videos/*")
    return any(True for name in names for _ in folder.glob(name))


def identity(content: dict[str, Any]) -> dict[str, Any]:
    """What makes a copy of a run another, from what its config.json holds."""
    settings = {name: content.get(name) for name in ("agent", "env", "seed", "copies", "copy", "init_from", "dataset")}
    arguments = {f"env_kwargs {name}": value for name, value in _values(content, "env_kwargs").items()}
    precision = content.get("precision", _PRECISION)
    return {**settings, "precision": precision, **arguments, **_values(content, "hparam_override")}


def check_identity(path: Path, found: Any, content: dict[str, Any]) -> None:
    """Checks that a checkpoint of a copy is this copy's.

    Raises:
      ValueError: if it says of another run or copy, or of none, that it is theirs.
    """
    told = {"precision": _PRECISION, **found} if isinstance(found, dict) else {}
    if changes := _differences(told, identity(content)):
        raise ValueError(f"checkpoint {path} is of another run: {changes}")


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
    """Writes a file that appears only when it is complete on the disk.

    Raises:
      OSError: if it cannot be written.
    """
    text = json.dumps(content, indent=2) + "\n"
    files.write(path, lambda file: file.write(text.encode()))


def _lengthened(folder: Path, existing: dict[str, Any], content: dict[str, Any]) -> str:
    """That a run is made longer, "" where it is not; raises ValueError where it is made shorter."""
    before, now = existing.get("train_steps"), content["train_steps"]
    if type(before) is not int:
        raise ValueError(f"{folder / config.FILE} cannot be used: train_steps is {before!r}, expected an integer")
    if now < before:
        raise ValueError(f"{folder} holds another run: train_steps was {before}, and can be made more, not {now}")
    if now == before:
        return ""
    then = "what follows a schedule over train_steps goes on as in a run of that length"
    return f"the run is made longer, from {before:,} to {now:,} steps: {then}"


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In words, what two runs have not in common; "" if there is nothing."""
    # As texts, because NaN is not equal to itself.
    different = [name for name in {**before, **now} if _text(before.get(name)) != _text(now.get(name))]
    if "agent" in different:  # whose hyper-parameters are others
        different = [name for name in different if name in ("agent", "env")]
    return ", ".join(f"{name} was {before.get(name)} and is now {now.get(name)}" for name in different)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _values(content: dict[str, Any], name: str) -> dict[str, Any]:
    return value if isinstance(value := content.get(name), dict) else {}
