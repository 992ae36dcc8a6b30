"""`rl-fn train --sys` on another system than this machine, and `rl-fn manifest`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands import signals
from rl_fn.commands.exits import refusals, refuse, say
from rl_fn.commands.flags import flag, with_flags_of, words_of
from rl_fn.runs import RunConfig, files, stores
from rl_fn.runs.tracking import check_tracked
from rl_fn.sets import modules
from rl_fn.systems import packing

# Flags that say where something runs, and not what.
_NOT_THERE = ("sys", "accelerator", "spot", "dry_run", "extras", "ray_address")
_WHERE = "the pods"
_IN_IMAGE = {"storage", "workers"}  # the extras that are in an image of the Dockerfile's anyway


def start(train: Any, told: Mapping[str, Any], config: RunConfig) -> None:
    """Hands a run over to another system, or shows what would be asked for.

    Args:
      train: the command.
      told: the values of its flags.
      config: the settings that they make.
    """
    system, accelerator = told["sys"], told["accelerator"]
    with refusals():
        if told.get("render"):
            raise ValueError(f"render shows a window, and there is none with --sys {system}")
        job = _job(train, told, f"--sys {system}", "tpu-" if system == "tpu" else accelerator, config)
        check_tracked(config.track, config.track_uri, job.output_dir)
        if system == "ray":
            _on_ray(job, told)
            return
        from rl_fn.systems import skypilot

        extras = modules.names(told["extras"])
        task = skypilot.make(job, system, accelerator, told["spot"], extras)
    if told["dry_run"]:
        print(skypilot.described(task), end="")
    else:
        say(skypilot.launch(task))


def _on_ray(job: packing.Job, told: Mapping[str, Any]) -> None:
    address = told.get("ray_address") or os.environ.get("RAY_ADDRESS")
    if address is None:
        raise ValueError("--sys ray needs --ray_address, that of the cluster's head, such as auto or 10.0.0.1:6379")
    try:
        from rl_fn.systems import ray
    except ModuleNotFoundError as error:
        refuse(f'--sys ray needs {error.name}, which is not installed: pip install "rl-fn[workers]"')
    if (told.get("num_workers") or 1) > 1:
        job = job._replace(words=(*job.words, "--ray_address=auto"))  # the same cluster, seen from within
    if told["dry_run"]:
        print(ray.described(job, address, told["accelerator"]), end="")
        return
    code = ray.train(job, address, told["accelerator"], lambda stop: signals.stopping(stop, has_begun=lambda: True))
    if code:
        raise SystemExit(code)


@with_flags_of(RunConfig)
def manifest(
    *,
    flags: dict[str, Any],
    image: Annotated[str, flag("The image with rl-fn in it, as the Dockerfile makes one.", "IMAGE")],
    accelerator: Annotated[
        str | None, flag("gpu:N, or a slice of TPUs such as v5litepod-8.", "NAME:N", group=_WHERE)
    ] = None,
    cpus: Annotated[str, flag("Processors of each.", "N", group=_WHERE)] = "2",
    memory: Annotated[str, flag("Memory of each.", "SIZE", group=_WHERE)] = "8Gi",
    namespace: Annotated[str, flag("Where they are.", "NAME", group=_WHERE)] = "default",
    secret: Annotated[
        str | None, flag("A secret for their environment, such as keys of a store.", "NAME", group=_WHERE)
    ] = None,
    volume: Annotated[str | None, flag("A claim of a volume, which is put at /runs.", "NAME", group=_WHERE)] = None,
    output: Annotated[Path | None, flag("Write it here, instead of printing it.", "FILE", group=_WHERE)] = None,
) -> None:
    """Print what trains on Kubernetes with kubectl: a Job, or a RayJob (KubeRay) where num_workers is more than 1."""
    from rl_fn.systems import manifests

    with refusals(output):
        if "hparams" not in flags:
            raise ValueError("manifest needs --hparams NAME, the set of hyper-parameters")
        import_tensorflow(compilation_cache=False)
        job = _job(manifest, flags, "manifest", accelerator)
        if job.sends_folder:
            say("the image must hold the modules and files that the command names")
        if missing := set(job.extras) - _IN_IMAGE:
            say(f"the image must be built with --build-arg EXTRAS={','.join(sorted({*_IN_IMAGE, *missing}))}")
        if not isinstance(job.output_dir, stores.Address) and not (volume and job.output_dir.is_relative_to("/runs")):
            raise ValueError(
                f"manifest needs an --output_dir such as s3://bucket/run, or in /runs with --volume, and not "
                f"{job.output_dir}: the disk of a pod goes with it"
            )
        text = manifests.to_yaml(
            manifests.make(
                job,
                image,
                num_workers=flags.get("num_workers", 1),
                accelerator=accelerator,
                cpus=cpus,
                memory=memory,
                namespace=namespace,
                secret=secret,
                volume=volume,
            )
        )
        if output is None:
            print(text, end="")
        else:
            files.write(output, lambda file: file.write(text.encode()))
            say(f"wrote {output}; next: kubectl apply -f {output}")


def _job(
    command: Any, told: Mapping[str, Any], what: str, accelerator: str | None, config: RunConfig | None = None
) -> packing.Job:
    """What is handed over: the flags of a command without those that say where it runs; those make `config`."""
    if "output_dir" not in told:
        raise ValueError(
            f"{what} needs --output_dir, where what is learned can be found again, such as s3://bucket/run"
        )
    packed = packing.pack(told)
    folder = stores.path(str(packed["output_dir"])).expanduser()
    packed["output_dir"] = folder if isinstance(folder, stores.Address) else folder.absolute()
    kept = {name: value for name, value in packed.items() if name not in _NOT_THERE}
    settings = config or RunConfig(**told)  # a mistake is answered here and not by a machine
    if settings.devices > 1 and packing.device_of(accelerator) == "tpu":
        raise ValueError(f"devices is {settings.devices}, expected 1 on TPUs: their chips do not share a run")
    return packing.make(["train", *words_of(command, kept)], packed, settings)
