"""Whether a run fits into memory, told before anything is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from rl_fn import random, struct
from rl_fn.agents.base import Schedule
from rl_fn.runs.config import RunConfig
from rl_fn.struct import EnvSpec, Nest

_CGROUPS = (  # what a container may use, and what it uses, in both versions of Linux's control groups
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_ITEM_BYTES = 64  # of a transition beside its observations, or of a weight with all that belongs to it
_UNNOTICED = 0.02  # a share of memory that no run needs


def check(init: Callable[[random.Key], Nest], config: RunConfig, spec: EnvSpec, schedule: Schedule) -> None:
    """Checks that the state of a run and its trajectories fit into what memory there is.

    The state is counted twice: a state is made, and then held in variables. What the compiled program needs beside is
    not counted, so a run may still be too large by that. Only where a hyper-parameter is so large that it could matter
    is the state looked at, since that takes a second.

    Args:
      init: makes the state of one copy; it is traced, not called.
      config: the resolved settings.
      spec: of the environment.
      schedule: of the agent.

    Raises:
      ValueError: if not; the message says what is needed and what there is.
    """
    there = available()
    item = _ITEM_BYTES + 2 * _observation_bytes(spec)
    trajectory = config.copies * schedule.steps * 2 * _observation_bytes(spec)
    if there is None or config.copies * _largest_count(config.hparam_override) * item + trajectory < there * _UNNOTICED:
        return
    state = config.copies * state_bytes(init)
    if (needed := 2 * state + trajectory) > there:
        capacity = config.hparam_override.get("replay_capacity")
        raise ValueError(
            f"the run needs {_told(needed)} of memory at least and {_told(there)} are available: its state takes "
            f"{_told(state)}, replay included, twice, and its trajectories {_told(trajectory)}"
            + (f"; it takes less with a replay_capacity of less than {capacity:,}" if capacity else "")
        )


def holds(arrays: Nest) -> bool:
    """Whether there is memory for a copy of these, and for as much again."""
    there = available()
    return there is None or 2 * sum(array.nbytes for array in tf.nest.flatten(arrays)) < there


def available() -> int | None:
    """Bytes that a process may still take, by the machine and by its container; None where the system does not say."""
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    for limit, usage in _CGROUPS:
        most, used = _read(limit).strip(), _read(usage).strip()
        if most.isdigit() and used.isdigit():
            found.append(max(0, int(most) - int(used)))
    return min(found, default=None)


def state_bytes(init: Callable[[random.Key], Nest]) -> int:
    """Bytes of the state that `init` would make."""
    traced = tf.function(init, autograph=False).get_concrete_function(tf.TensorSpec([2], tf.uint32))
    return sum(_bytes(leaf) for leaf in tf.nest.flatten(traced.structured_outputs))


def _observation_bytes(spec: EnvSpec) -> int:
    return sum(map(_bytes, tf.nest.flatten(struct.space_spec(spec.observation_space))))


def _largest_count(hparams: Mapping[str, Any]) -> int:
    """The largest number of something among hyper-parameters; of weights, where they are widths of layers."""
    counts = [value for value in hparams.values() if isinstance(value, int)]
    widths = [
        value for value in hparams.values() if isinstance(value, tuple) and all(isinstance(n, int) for n in value)
    ]
    return max([*counts, *(max(sizes, default=0) ** 2 for sizes in widths)], default=0)


def _bytes(leaf: Any) -> int:
    return math.prod(size or 0 for size in leaf.shape) * leaf.dtype.size


def _told(count: int) -> str:
    """A number of bytes as people say it."""
    if count < 10**9:
        return f"{count / 10**6:,.0f} MB"
    return f"{count / 10**9:,.1f} GB" if count < 10**15 else f"{count // 10**9:.1e} GB"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
