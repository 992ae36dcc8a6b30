"""Kubernetes without anything between: a Job, or a RayJob for the operator KubeRay where a run has several workers."""

from __future__ import annotations

import re
from typing import Any

from rl_fn.systems.packing import Job

_RUNS = "/runs"  # where a volume is, in a pod
_GRACE_SECONDS = 120  # to save in, once a pod is told to stop
_MISTAKES = [2, 3]  # exit codes of what comes out the same again
_FORMS = {  # of what is passed on, and examples
    "cpus": (r"[1-9]\d*(\.\d+)?m?|0?\.\d+", "2 or 500m"),
    "memory": (r"[1-9]\d*(\.\d+)?([KMGT]i|[kMGT])?", "8Gi or 500M"),
    "namespace": (r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "default, in lower-case letters, digits and hyphens"),
}
_TOPOLOGIES = {"1": "1x1", "4": "2x2", "8": "2x4"}
_TPUS = {"v5litepod": "tpu-v5-lite-podslice", "v6e": "tpu-v6e-slice"}  # as Google's clusters call them


def make(
    job: Job,
    image: str,
    *,
    num_workers: int = 1,
    accelerator: str | None = None,
    cpus: str = "2",
    memory: str = "8Gi",
    namespace: str = "default",
    secret: str | None = None,
    volume: str | None = None,
) -> dict[str, Any]:
    """Makes what `kubectl apply` takes.

    Args:
      job: what runs.
      image: with rl-fn in it, see the Dockerfile.
      num_workers: with more than 1, a pod for the learner and one for each worker.
      accelerator: of the learner: "gpu:1", or a slice of TPUs on one machine, such as "v5litepod-8".
      cpus: of each pod.
      memory: of each pod.
      namespace: where the pods are.
      secret: whose values the pods have in their environment, such as keys of an object store.
      volume: a claim of a volume that is put at /runs.

    Raises:
      ValueError: for what Kubernetes would refuse, such as an accelerator that cannot be asked for.
    """
    for setting, value in {"cpus": cpus, "memory": memory, "namespace": namespace}.items():
        form, example = _FORMS[setting]
        if not re.fullmatch(form, value):
            raise ValueError(f"{setting} is {value!r}, expected such as {example}")
    asked, node = _accelerator(accelerator)
    size = {"cpu": cpus, "memory": memory}
    told: dict[str, Any] = {"image": image, "secret": secret, "volume": volume}
    labels = {"app.kubernetes.io/name": "rl-fn", "app.kubernetes.io/instance": job.name}
    metadata = {"name": job.name, "namespace": namespace, "labels": labels}
    if num_workers == 1:
        pod = _pod({**size, **asked}, node, args=list(job.words), restartPolicy="Never", **told)
        spec = {
            "backoffLimit": 6,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": _MISTAKES}},
                    # A machine that is taken away is nobody's failure.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    head, workers = _pod({**size, **asked}, node, **told), _pod(size, {}, **told)
    spec = {
        "entrypoint": f"rl-fn {job.command} --ray_address auto",
        "shutdownAfterJobFinishes": True,
        "backoffLimit": 6,
        "rayClusterSpec": {
            "headGroupSpec": {
                "rayStartParams": {"dashboard-host": "0.0.0.0"},
                "template": {"metadata": {"labels": labels}, "spec": head},
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": num_workers,
                    "minReplicas": num_workers,
                    "maxReplicas": num_workers,
                    "rayStartParams": {},
                    "template": {"metadata": {"labels": labels}, "spec": workers},
                }
            ],
        },
    }
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}


def to_yaml(content: dict[str, Any]) -> str:
    """YAML, with texts of several lines as they are."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, width=4096)


def _pod(
    size: dict[str, str],
    node: dict[str, str],
    *,
    image: str,
    secret: str | None,
    volume: str | None,
    args: list[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A pod that may do nothing but train."""
    container: dict[str, Any] = {
        "name": "rl-fn",
        "image": image,
        **({"args": args} if args else {}),
        "resources": {"requests": size, "limits": size},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: dict[str, Any] = {
        "containers": [container],
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    if volume:
        container["volumeMounts"] = [{"name": "runs", "mountPath": _RUNS}]
        pod["volumes"] = [{"name": "runs", "persistentVolumeClaim": {"claimName": volume}}]
    if node:
        pod["nodeSelector"] = node
    return pod


def _accelerator(accelerator: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """What a container asks for, and on which machines."""
    if accelerator is None:
        return {}, {}
    if gpu := re.fullmatch(r"gpu(?::([1-9]\d*))?", accelerator, re.IGNORECASE):
        return {"nvidia.com/gpu": gpu[1] or "1"}, {}
    kind, _, chips = accelerator.removeprefix("tpu-").partition("-")
    if kind in _TPUS and chips in _TOPOLOGIES:
        selected = {
            "cloud.google.com/gke-tpu-accelerator": _TPUS[kind],
            "cloud.google.com/gke-tpu-topology": _TOPOLOGIES[chips],
        }
        return {"google.com/tpu": chips}, selected
    slices = ", ".join(f"{kind}-{chips}" for kind in _TPUS for chips in _TOPOLOGIES)
    raise ValueError(f"accelerator is {accelerator!r}, expected gpu, gpu:N or one of {slices}")
