"""An exported training step, compiled by JAX; nothing of TensorFlow or rl_fn is imported here."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.interpreters.mlir import ir

_EXACT, _TF32 = "precision = [HIGHEST, HIGHEST]", "precision = [HIGH, HIGH]"  # of float32's products


class Exported:
    """The training of a case, with its state on the device.

    Args:
      folder: of `export`.
      name: of the case.
      precision: "float32", "tf32" or "bfloat16".

    Raises:
      OSError: if it was not exported so.
    """

    def __init__(self, folder: Path, name: str, precision: str):
        self.told: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        leaves = [jax.ShapeDtypeStruct(leaf["shape"], leaf["dtype"]) for leaf in self.told["state"]]
        kind = "bfloat16" if precision == "bfloat16" else "float32"
        text = gzip.decompress((folder / f"{name}.{kind}.mlir.gz").read_bytes()).decode()
        text = text.replace(_EXACT, _TF32) if precision == "tf32" else text
        begin = time.perf_counter()
        with jax.enable_x64(True):  # the state has counters of 64 bits
            self._step = compiled(text, [jax.ShapeDtypeStruct([], np.int32), *leaves], range(1, 1 + len(leaves)))
        self.compile_seconds = time.perf_counter() - begin
        self.memory = peak_memory(self._step)
        with np.load(folder / f"{name}.npz") as arrays:
            self.restore({leaf: repeated(leaf, arrays[leaf], self.told["copies"]) for leaf in arrays})

    def run(self, iterations: int) -> None:
        """Trains for that many iterations, and returns when they are done."""
        with jax.enable_x64(True):
            results = self._step(np.int32(iterations), *self._state)
        self._state = list(jax.block_until_ready(results))[: len(self._state)]

    def named(self) -> dict[str, np.ndarray]:
        """The leaves of the state."""
        names = [leaf["name"] for leaf in self.told["state"]]
        return {name: np.asarray(leaf) for name, leaf in zip(names, self._state, strict=True)}

    def restore(self, named: dict[str, np.ndarray]) -> None:
        """Replaces the state."""
        with jax.enable_x64(True):
            self._state: list[jax.Array] = [jax.device_put(named[leaf["name"]]) for leaf in self.told["state"]]

    def hlo(self) -> str:
        """What the compiler made of it."""
        return self._step.as_text()


def compiled(text: str, arguments: Iterable[jax.ShapeDtypeStruct], donated: Iterable[int]) -> jax.stages.Compiled:
    """Compiles StableHLO for JAX's default device.

    A function of JAX with the same arguments and results is lowered, and its program replaced by that of the text.
    """
    arguments = list(arguments)
    main = next(line for line in text.splitlines() if "@main(" in line)
    results = list(_results(main))
    empty = lambda *_: [jax.numpy.zeros(one.shape, one.dtype) for one in results]
    lowered = jax.jit(empty, donate_argnums=tuple(donated), keep_unused=True).lower(*arguments)
    module = lowered.compiler_ir("stablehlo")
    with module.context:
        ours = ir.Module.parse(text)
        for operation in list(module.body.operations):
            operation.erase()
        for operation in list(ours.body.operations):
            module.body.append(operation)
    return lowered.compile()


def _results(main: str) -> Iterator[jax.ShapeDtypeStruct]:
    """What a program returns, by the line with its `main`."""
    kinds = {"i1": "bool", "ui8": "uint8", "i32": "int32", "ui32": "uint32", "i64": "int64", "f32": "float32"}
    for part in main.rpartition("->")[2].split("tensor<")[1:]:
        *sizes, kind = part.partition(">")[0].split("x")
        yield jax.ShapeDtypeStruct([int(size) for size in sizes], kinds[kind])


def peak_memory(program: jax.stages.Compiled) -> int:
    """Bytes that a program needs while it runs: what comes in, what goes out elsewhere, and what lies between."""
    plan = program.memory_analysis()
    there = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return there + plan.temp_size_in_bytes


def repeated(name: str, leaf: np.ndarray, copies: int) -> np.ndarray:
    """A leaf of the state of one copy for all of them, each with a key of its own."""
    if copies == 1:
        return leaf
    leaves = np.repeat(leaf, copies, axis=0)
    if name.rpartition("/")[2] == "key":
        leaves[:, 1] += np.arange(copies, dtype=np.uint32)
    return leaves


def digest(named: dict[str, np.ndarray]) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all leaves, as a run's `state_digest`."""
    sha = hashlib.sha256()
    for name, leaf in named.items():
        array = np.ascontiguousarray(leaf)
        sha.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
