"""Where `rl-fn train` runs when it is not here: a cluster of Ray, Kubernetes, or a machine of a cloud.

`skypilot` asks for machines of clouds and of Kubernetes, `ray` for a place on a cluster; both run the same command
there. `manifests` describes that to Kubernetes without either, and `packing` says what is sent. Each is imported when
it is asked for, as they need packages that nothing else does.
"""

from __future__ import annotations

# As SkyPilot calls them.
CLOUDS = (
    *("kubernetes", "gcp", "aws", "azure", "cudo", "do", "fluidstack", "hyperbolic", "ibm", "lambda", "mithril"),
    *("nebius", "oci", "paperspace", "primeintellect", "runpod", "scp", "seeweb", "shadeform", "slurm", "ssh", "vast"),
    *("verda", "vsphere", "yotta"),
)
NAMES = ("local", "ray", "tpu", *CLOUDS)


class LaunchError(RuntimeError):
    """Another system does not take a run, for a reason that is not in what was asked for."""
