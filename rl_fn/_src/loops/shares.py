"""Copies in shares: a program of some copies each, which run side by side on the cores of this machine.

XLA hands parts of one program to several threads, which pays for large products alone: copies of small networks wait
for threads longer than they compute. Programs that run at the same time need not wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from rl_fn._src.loops.compile import Compiled, Running, check_specs, vectorize
from rl_fn._src.xla.startup import usable_cores
from rl_fn.struct import Nest


def compile_copies(
    step: Callable[[Nest], tuple[Nest, Nest]], states: Nest, shares: int | None = None
) -> Compiled | Shares:
    """Compiles `step: state -> (state, outputs)` of one copy, to be run in a loop for many.

    Args:
      step: a pure function of one copy.
      states: of all copies, with a leading axis for them in every leaf.
      shares: how many programs run side by side, of equally many copies; where that does not come out even, the last
        of all copies is there more than once. As many as there are cores unless told; one where there is an
        accelerator, or for one copy.

    Returns:
      What runs. States and sums have the leading axis, whatever the shares.

    Raises:
      ValueError: if there are fewer copies than shares, or no share.
    """
    states = tf.nest.map_structure(tf.convert_to_tensor, states)
    copies = tf.nest.flatten(states)[0].shape[0]
    if shares is None:
        each = -(-copies // min(_cores(), copies))
        shares = -(-copies // each)
    if not 1 <= shares <= copies:
        raise ValueError(f"compile_copies: shares is {shares}, expected 1 to {copies}, the number of copies")
    return Shares(step, states, shares) if shares > 1 else Compiled(vectorize(step), states)


class Shares(Running):
    """Copies in programs that run side by side. Made by `compile_copies`."""

    def __init__(self, step: Callable[[Nest], tuple[Nest, Nest]], states: Nest, shares: int):
        self.spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, states)
        self.shares = shares
        self._copies = tf.nest.flatten(states)[0].shape[0]
        self._each = -(-self._copies // shares)
        first, *others = self._cut(states)
        many = vectorize(step)
        self._first = Compiled(many, first)
        self._programs = [self._first, *(Compiled(many, part, like=self._first) for part in others)]

    @property
    def trace_count(self) -> int:
        """How often the step was traced."""
        return self._first.trace_count

    def run(self, iterations: int) -> Nest:
        """See Running."""
        self._first.trace()
        self.graph = self._first.graph
        with ThreadPoolExecutor(self.shares) as threads:
            sums = list(threads.map(lambda program: program.run(iterations), self._programs))
        return tf.nest.map_structure(lambda *leaves: np.concatenate(leaves)[: self._copies], *sums)

    def read(self, select: Callable[[Nest], Nest] = lambda state: state) -> Nest:
        """See Held."""
        parts = [program.read(select) for program in self._programs]
        return tf.nest.map_structure(lambda *leaves: tf.concat(leaves, axis=0)[: self._copies], *parts)

    def leaves(self, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
        """See Held."""
        parts = [program.leaves(wanted) for program in self._programs]
        return {name: np.concatenate([part[name] for part in parts])[: self._copies] for name in parts[0]}

    def nonfinite(self, select: Callable[[Nest], Nest], copies: int | None = None) -> list[tuple[str, int]]:
        """See Held."""
        del copies
        parts = [program.nonfinite(select, self._each) for program in self._programs]
        found = [(name, index * self._each + copy) for index, part in enumerate(parts) for name, copy in part]
        return [(name, copy) for name, copy in found if copy < self._copies]

    def restore(self, state: Nest) -> None:
        """See Held."""
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        check_specs("restore", state, self.spec)
        for program, part in zip(self._programs, self._cut(state), strict=True):
            program.restore(part)

    def put(self, copy: int, state: Nest) -> None:
        """See Held."""
        index, within = divmod(copy, self._each)
        self._programs[index].put(within, state)

    def _cut(self, states: Nest) -> list[Nest]:
        """The states of each share."""
        rows = np.minimum(np.arange(self.shares * self._each), self._copies - 1)
        parts = np.split(rows, self.shares)
        return [tf.nest.map_structure(lambda leaf, rows=part: tf.gather(leaf, rows), states) for part in parts]


def _cores() -> int:
    """How many programs may run at the same time: one on an accelerator."""
    if any(device.device_type != "CPU" for device in tf.config.list_logical_devices()):
        return 1
    told = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    threads = int(told) if told.isdecimal() else tf.config.threading.get_intra_op_parallelism_threads()
    return min(usable_cores(), threads) if threads else usable_cores()
