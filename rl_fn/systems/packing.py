"""What another machine needs to train as this one would: the package, what it stands on, and files of the user's."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from packaging.requirements import Requirement

import rl_fn
from rl_fn._src import naming
from rl_fn.envs import registry
from rl_fn.runs import RunConfig, stores

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(rl_fn.__file__).parent
# As `make check-tpu` compiles for.
_FOR_TPU = ("tensorflow-tpu==2.20.*", "tensorboard==2.20.*", "libtpu==0.0.21", "numpy==2.2.*")
_FILES = ("config", "dataset", "hparams", "init_from")  # flags whose values may be files and folders

TPU = re.compile(r"(?:tpu-)?(v\d+\w*-\d+)")  # a slice, as people call it
Device = Literal["cpu", "gpu", "tpu"]


class Job(NamedTuple):
    """A run as it is handed over."""

    name: str  # lower-case letters, digits and hyphens
    words: tuple[str, ...]  # of the command line, after `rl-fn`
    output_dir: Path
    sends_folder: bool  # whether it needs files of the working folder
    extras: tuple[str, ...] = ()  # of rl-fn, that it needs
    variables: Mapping[str, str] = MappingProxyType({})  # of the environment, that it reads

    @property
    def command(self) -> str:
        """The words, as a shell reads them."""
        return shlex.join(self.words)


def pack(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values of flags as they hold elsewhere: files by their way from the working folder, which is sent.

    Raises:
      ValueError: if a file is not below the working folder.
    """
    packed, folder = dict(told), Path.cwd()
    for name, path in _files(told):
        path = path.expanduser().absolute()
        if not path.is_relative_to(folder) or ".." in path.parts:
            raise ValueError(f"--{name} is {told[name]}, expected something below {folder}, the folder that is sent")
        packed[name] = str(path.relative_to(folder))
    return packed


def make(words: Iterable[str], told: Mapping[str, Any], config: RunConfig) -> Job:
    """What is handed over.

    Args:
      words: of the command line.
      told: the values of its flags, as `pack` returns them.
      config: what they say.
    """
    name = re.sub(r"[^a-z0-9]+", "-", Path(str(told.get("hparams") or "run")).stem.lower()).strip("-")
    own = any(told.get(name) for name in ("imports", "network")) or any(True for _ in _files(told))
    own |= bool(registry.module_named(str(told.get("env") or "")))
    name = f"rl-fn-{name}"[:40].rstrip("-")
    return Job(name, tuple(words), told["output_dir"], own, needed(config), _variables(config))


def needed(config: RunConfig) -> tuple[str, ...]:
    """The extras of rl-fn that a run cannot do without, by its settings.

    What a module of the user's needs belongs into `requirements.txt`, and what only adds something, such as pictures to
    what MLflow is told, into `--extras`.
    """
    paths = (config.output_dir, config.init_from, stores.path(config.dataset or ""))
    by_setting = {
        "workers": config.num_workers > 1,
        "storage": any(isinstance(path, stores.Address) for path in paths),
        "minari": (config.dataset or "").startswith("minari:"),
        "video": config.record_video or config.render,
        config.track: config.track != "none",
        registry.extra_of(config.resolved().env or "") or "": True,
    }
    return tuple(extra for extra, is_needed in by_setting.items() if extra and is_needed)


def device_of(accelerator: str | None) -> Device:
    """What TensorFlow is to run on."""
    if accelerator is None:
        return "cpu"
    return "tpu" if accelerator.startswith("tpu-") or TPU.fullmatch(accelerator) else "gpu"


def requirements(extras: Iterable[str], device: Device) -> tuple[list[str], list[str]]:
    """What pip installs there, in the versions of this machine.

    Args:
      extras: of rl-fn.
      device: for TPUs TensorFlow is a package of another name.

    Returns:
      Requirements, and those to install without what they need themselves: they would bring the plain TensorFlow.

    Raises:
      ValueError: for an unknown extra.
    """
    declared, _ = _declared()
    core = [f"{one.name}=={importlib.metadata.version(one.name)}" for one in declared if _holds(one, "")]
    more = of_extras(extras)
    if device == "tpu":
        others = [one for one in core if not re.match(r"(tensorflow|tensorboard|tf_keras|numpy)==", one)]
        return [*_FOR_TPU, *others, *more], ["tf_keras==2.20.*"]
    if device == "gpu":
        core = [re.sub(r"^tensorflow==", "tensorflow[and-cuda]==", one) for one in core]
    return [*core, *more], []


def of_extras(extras: Iterable[str]) -> list[str]:
    """What some extras of rl-fn need; raises ValueError for an unknown one."""
    _, declared = _declared()
    return list(dict.fromkeys(str(one) for extra in extras for one in _of_extra(extra, declared)))


def _variables(config: RunConfig) -> dict[str, str]:
    """The variables of this process's environment that the run reads there, too: those of who is told of it."""
    return {name: value for name, value in os.environ.items() if name.startswith(f"{config.track.upper()}_")}


def _declared() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What the package needs, and what each of its extras does, of a clone as it is and not as it was installed."""
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        told = tomllib.loads(project.read_text("utf-8"))["project"]
        extras = {name: [Requirement(text) for text in texts] for name, texts in told["optional-dependencies"].items()}
        return [Requirement(text) for text in told["dependencies"]], extras
    metadata = importlib.metadata.metadata("rl-fn")
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    core = [one for one in needed if one.marker is None or "extra ==" not in str(one.marker)]
    names = metadata.get_all("Provides-Extra") or []
    return core, {name: [one for one in needed if one not in core and _holds(one, name)] for name in names}


def _of_extra(extra: str, declared: Mapping[str, list[Requirement]]) -> Iterator[Requirement]:
    """What an extra needs, also by way of other extras."""
    if extra not in declared:
        raise ValueError(naming.unknown("extra", extra, declared))
    for one in declared[extra]:
        if one.name == "rl-fn":
            for other in sorted(one.extras):
                yield from _of_extra(other, declared)
        else:
            one.marker = None if "extra ==" in str(one.marker) else one.marker
            yield one


def _holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _files(told: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """The flags that name something on this machine's disk; a set may also have a name, and data be Minari's."""
    for name in _FILES:
        path = stores.path(str(told.get(name) or ""))
        is_named = (name == "hparams" and ".toml" not in str(path)) or str(path).startswith("minari:")
        if told.get(name) and not is_named and not isinstance(path, stores.Address):
            yield name, path
