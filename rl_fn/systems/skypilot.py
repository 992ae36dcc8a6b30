"""Machines of clouds, and of Kubernetes, through SkyPilot: managed jobs, which come back after a preemption."""

from __future__ import annotations

import contextlib
import io
import logging
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rl_fn.runs import stores
from rl_fn.runs.errors import one_line
from rl_fn.systems import LaunchError, manifests, packing
from rl_fn.systems.packing import Device, Job

_STOPPED = 130  # the exit code of a run that was told to stop, and has saved
_SMALLEST_TPU = "v5litepod-1"
_HOME = "~/.rl_fn"  # there


def make(job: Job, system: str, accelerator: str | None, is_spot: bool | None, extras: Iterable[str]) -> Any:
    """Makes a task of SkyPilot's, as far as that checks it without a network.

    Args:
      job: what runs.
      system: a cloud, as SkyPilot calls it, or "tpu".
      accelerator: such as "H100:1" or "v5litepod-8"; None for a machine without one.
      is_spot: whether the machine may be taken away at any time, for a lower price; None where the cloud sells such.
      extras: of rl-fn that are installed there, beside those that the run needs.

    Raises:
      ValueError: if SkyPilot is not installed or refuses the task, or the run would write to a disk that is given back.
    """
    try:
        import sky
    except ModuleNotFoundError as error:
        raise ValueError(
            f'--sys {system} needs {error.name}, which is not installed: pip install "rl-fn[cloud]"'
        ) from None
    if not isinstance(job.output_dir, stores.Address):
        raise ValueError(
            f"--sys {system} needs an --output_dir on an object store, such as gs://bucket/run or s3://bucket/run, "
            f"and not {job.output_dir}: the machine is given back with its disk"
        )
    if system == "tpu" and accelerator is None:
        accelerator = _SMALLEST_TPU
    if accelerator and (slice_ := packing.TPU.fullmatch(accelerator)):
        accelerator = f"tpu-{slice_[1]}"
    try:
        with _quiet():
            resources = sky.Resources(
                infra="gcp" if system == "tpu" else system,
                accelerators=accelerator,
                job_recovery={"recover_on_exit_codes": [_STOPPED]},
            )
            if is_spot is not False:
                missing = _why_no_spot(resources)
                if is_spot and missing:
                    raise ValueError(missing)
                resources = resources.copy(use_spot=not missing)
            task = sky.Task(
                name=job.name,
                setup=_setup(job, packing.device_of(accelerator), extras),
                run=f'export PYTHONPATH="$HOME/.rl_fn"\n{_HOME}/env/bin/python -m rl_fn {job.command}\n',
                workdir=str(Path.cwd()) if job.sends_folder else None,
                file_mounts={f"{_HOME}/rl_fn": str(packing.PACKAGE)},
                secrets=dict(job.variables),
            )
            task.set_resources(resources)
            return sky.Task.from_yaml_config(task.to_yaml_config())  # is checked against SkyPilot's schema
    except (ValueError, AssertionError) as error:
        raise ValueError(f"SkyPilot refuses --sys {system} --accelerator {accelerator}: {one_line(error)}") from None


def described(task: Any) -> str:
    """What would be asked for: a task that `sky jobs launch` takes, and what SkyPilot says of it in comments."""
    import sky

    (resources,) = task.resources
    lines = [
        f"SkyPilot {sky.__version__}: a managed job on {resources.cloud}, which comes back after a preemption",
        f"machine: {_machine(resources)}",
        *_looked_up(task, resources),
    ]
    told = {name: value for name, value in task.to_yaml_config().items() if value and not name.startswith("_")}
    if secrets := told.get("secrets"):
        told["secrets"] = dict.fromkeys(secrets)  # without values, as people put such files into repositories
        lines.append(f"secrets: taken from the environment here; sky asks for {' '.join(secrets)}, each with --secret")
    text = manifests.to_yaml(told)
    return "".join(f"# {line}\n" for line in lines) + text


def launch(task: Any) -> str:
    """Hands the job over, and returns what to say of it.

    Raises:
      LaunchError: if SkyPilot or the cloud does not take it.
    """
    import sky

    try:
        ids, _ = sky.stream_and_get(sky.jobs.launch(task, name=task.name))
        (number,) = ids
    except Exception as error:  # of many kinds
        raise LaunchError(f"SkyPilot does not take the job: {one_line(error)}") from error
    return f"job {number} is on its way: sky jobs logs {number}, sky jobs cancel {number}"


def _setup(job: Job, device: Device, extras: Iterable[str]) -> str:
    """What prepares a machine, which SkyPilot has given uv."""
    needs, apart = packing.requirements(dict.fromkeys([*job.extras, *extras]), device)
    install = f"uv pip install --quiet --python {_HOME}/env"
    lines = [
        "set -e",
        'export PATH="$HOME/.local/bin:$PATH"',
        f"uv venv --quiet --python {sys.version_info.major}.{sys.version_info.minor} {_HOME}/env",
        f"{install} {shlex.join(needs)}",
        *([f"{install} --no-deps {shlex.join(apart)}"] if apart else []),
    ]
    if job.sends_folder and Path("requirements.txt").is_file():
        lines.append(f"{install} --requirement requirements.txt")
    if device == "gpu":  # or a run would go on for days beside it
        check = 'import sys, tensorflow; sys.exit(not tensorflow.config.list_physical_devices("GPU"))'
        lines.append(f"{_HOME}/env/bin/python -c {shlex.quote(check)}")
    return "\n".join(lines) + "\n"


def _why_no_spot(resources: Any) -> str:
    """Why a cloud sells no spot machine, "" where it does."""
    from sky import clouds, exceptions

    try:
        resources.cloud.check_features_are_supported(resources, {clouds.CloudImplementationFeatures.SPOT_INSTANCE})
    except exceptions.NotSupportedError as error:
        return " ".join(str(error).split())
    return ""


def _machine(resources: Any) -> str:
    asked = [f"{name}:{count}" for name, count in (resources.to_yaml_config().get("accelerators") or {}).items()]
    return f"{', '.join(asked) or 'no accelerator'}, {'spot' if resources.use_spot else 'on demand'}"


def _looked_up(task: Any, resources: Any) -> Iterator[str]:
    """What SkyPilot's catalogue and its further checks say, where it can be reached."""
    try:
        with _quiet():
            task.validate()
            found = resources.cloud.get_feasible_launchable_resources(resources, num_nodes=1)
            offers = sorted((offer.get_cost(3600), str(offer)) for offer in found.resources_list)
    except Exception as error:  # no network, no account, no cluster
        yield f"checked: names and schema; SkyPilot's catalogue cannot be reached ({type(error).__name__})"
        yield "price: not known without the catalogue"
        return
    yield "checked: by SkyPilot, with its catalogue"
    if offers:
        yield f"price: {offers[0][0]:.2f} USD an hour at least, for {offers[0][1]}"
    else:
        near = f"; near are {', '.join(found.fuzzy_candidate_list)}" if found.fuzzy_candidate_list else ""
        yield f"price: none, as {resources.cloud} has no such machine{near}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps from the terminal what SkyPilot says of its progress, and of a network that it does not find."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
