"""A place on a cluster of Ray that exists already."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

import rl_fn
from rl_fn.runs import cluster
from rl_fn.runs.errors import one_line
from rl_fn.systems import LaunchError, packing
from rl_fn.systems.packing import Job


class Trainer:
    """Runs the command on a machine of the cluster; where that is lost, Ray starts it again on another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def run(self, words: tuple[str, ...]) -> int:
        """Runs `rl-fn` with these words; returns its exit code."""
        paths = [str(Path(rl_fn.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rl_fn", *words], env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        )
        return self._process.wait()

    def stop(self) -> None:
        """Makes it save and end."""
        if self._process:
            self._process.terminate()


def train(job: Job, address: str, accelerator: str | None, on_start: Callable[[Callable[[], None]], Any]) -> int:
    """Runs a job on a cluster until it ends, and shows what it says.

    Args:
      job: what runs.
      address: of the cluster's head, "auto" for the one that this machine belongs to.
      accelerator: such as "H100:1"; None for none.
      on_start: called with what ends the run early, once it can be called; returns a context for the time of the run.

    Returns:
      The exit code of the command.

    Raises:
      ValueError: if `accelerator` cannot be read.
      LaunchError: if the cluster cannot be reached, or loses the run for good.
    """
    options = asked(accelerator)
    sent: dict[str, Any] = {"py_modules": [str(packing.PACKAGE)], "env_vars": dict(job.variables)}
    if job.sends_folder:
        sent["working_dir"] = str(Path.cwd())
    try:
        cluster.check_answers(address)
        ray.init(address=address, runtime_env=sent, configure_logging=False)
    except Exception as error:
        raise LaunchError(f"the cluster at {address} cannot be joined: {one_line(error)}") from error
    try:
        # Of two calls at a time, one is the run and the other stops it.
        actor = ray.remote(Trainer).options(max_restarts=-1, max_task_retries=-1, max_concurrency=2, **options).remote()
        with on_start(lambda: actor.stop.remote()):
            return ray.get(actor.run.remote(job.words))
    except ray.exceptions.RayError as error:
        raise LaunchError(f"the cluster at {address} has lost the run: {one_line(error)}") from error
    finally:
        ray.shutdown()


def asked(accelerator: str | None) -> dict[str, Any]:
    """What Ray is asked for, from a text such as "H100:1".

    Raises:
      ValueError: if it cannot be read.
    """
    if accelerator is None:
        return {"num_cpus": 1}
    name, _, count = accelerator.partition(":")
    if not name or not (count or "1").isdecimal():
        raise ValueError(f"accelerator is {accelerator!r}, expected one such as H100:1")
    kind = {} if name.lower() == "gpu" else {"accelerator_type": name}
    return {"num_cpus": 1, "num_gpus": int(count or 1), **kind}


def described(job: Job, address: str, accelerator: str | None) -> str:
    """What would be asked for."""
    folder = f"and {Path.cwd()}" if job.sends_folder else "and no files"
    extras = f", which must have rl-fn[{','.join(job.extras)}]" if job.extras else ""
    machine = ", ".join(f"{name}={value}" for name, value in asked(accelerator).items())
    lines = [
        f"Ray {ray.__version__}: an actor on the cluster at {address}, started again elsewhere if its machine is lost",
        f"machine: {machine}{extras}",
        f"sends: {packing.PACKAGE} {folder}",
    ]
    return "".join(f"# {line}\n" for line in lines) + f"rl-fn {job.command}\n"
