"""Compiles training steps for a TPU on a machine without one: `make check-tpu`.

TensorFlow lowers each step with its TPU kernels, and libtpu compiles the result ahead of time for one chip of a
TPU v5e. Nothing runs. Exits with status 1 if any step cannot be lowered or compiled, or would talk to the host.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

# Set before libtpu is loaded, which would otherwise look for the chips of this machine and ask a cloud's
# metadata server about them. No chip is used, so several such processes may run side by side.
os.environ.update(
    TPU_SKIP_MDS_QUERY="1",
    TPU_ACCELERATOR_TYPE="v5litepod-4",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_WORKER_ID="0",
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",
)

import numpy as np
from jax.experimental import topologies
from jax.interpreters import mlir
from jaxlib import _jax as xla
from jaxlib.mlir import ir
from lower import SETS, Lowered, first_line, lower

from rl_fn import sets

TOPOLOGY = "v5e:2x2"
# Operations by which a program leaves the device while it runs. A custom call may be one.
HOST_OPERATIONS = re.compile(r"stablehlo\.(?:send|recv|infeed|outfeed|custom_call)\b[^\n]{0,80}")


class Program(NamedTuple):
    """What libtpu made of a step; sizes are those of its memory analysis."""

    seconds: float  # for compiling
    code: int  # bytes
    arguments: int  # bytes: the state
    in_place: int  # bytes of the arguments that the results overwrite
    temporary: int  # bytes


def to_stablehlo(lowered: Lowered) -> bytes:
    """Turns HLO into StableHLO whose state is updated in place.

    Raises:
      ValueError: if the program talks to the host, or does not return its state.
    """
    with mlir.make_ir_context():
        module = ir.Module.parse(xla.mlir.hlo_to_stablehlo(lowered.hlo))
        if found := HOST_OPERATIONS.search(str(module)):
            raise ValueError(f"the step talks to the host: {found.group()}")
        main = next(function for function in module.body.operations if function.name.value == "main")
        leaves = lowered.state_leaves
        arguments, results = list(main.type.inputs), list(main.type.results)
        if arguments[1 : 1 + leaves] != results[:leaves]:
            raise ValueError("the step's results do not begin with its state")
        number = ir.IntegerType.get_signless(32)
        # Tensors that the step captured come after the state, and stay as they are.
        donated = {1 + leaf: {"tf.aliasing_output": ir.IntegerAttr.get(number, leaf)} for leaf in range(leaves)}
        main.arg_attrs = ir.ArrayAttr.get([ir.DictAttr.get(donated.get(i, {})) for i in range(len(arguments))])
        return mlir.module_to_bytecode(module)


def compile_for_tpu(stablehlo: bytes) -> Program:
    """Compiles for one chip of the topology."""
    device = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY).devices[0]
    options = xla.CompileOptions()
    options.num_replicas = options.num_partitions = 1
    options.device_assignment = xla.DeviceAssignment.create(np.array([[device.id]]))
    start = time.perf_counter()
    executable = device.client.compile(stablehlo, xla.DeviceList((device,)), options)
    seconds = time.perf_counter() - start
    memory = executable.get_compiled_memory_stats()
    return Program(
        seconds,
        memory.generated_code_size_in_bytes,
        memory.argument_size_in_bytes,
        memory.alias_size_in_bytes,
        memory.temp_size_in_bytes,
    )


def lowered_for_gpu(python: str, names: list[str]) -> dict[str, Any]:
    """What `lower.py` says of the GPU under another Python, because the wheel for TPUs cannot lower for one."""
    script = Path(__file__).with_name("lower.py")
    answer = subprocess.run([python, script, "GPU", "--sets", *names], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def megabytes(size: int) -> str:
    """Bytes as a number of MB."""
    return f"{size / 1e6:.2f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME")
    parser.add_argument("--gpu_python", help="a Python with the plain TensorFlow, which also lowers for GPU")
    args = parser.parse_args()
    columns = ["set", "agent", "environment", "HLO MB", "lower s", "compile s"]
    columns += ["code MB", "state MB", "in place MB", "temporary MB", "GPU HLO MB"]
    on_gpu = lowered_for_gpu(args.gpu_python, args.sets) if args.gpu_python else {}
    failures = {f"{name} for GPU": result["error"] for name, result in on_gpu.items() if "error" in result}
    print("|", " | ".join(columns), "|")
    print("|---" * 3 + "|---:" * (len(columns) - 3) + "|", flush=True)
    for name in args.sets:
        cells = [name, sets.SETS[name].agent, str(sets.SETS[name].env)]
        try:
            lowered = lower(name, "TPU")
            cells += [megabytes(len(lowered.hlo)), f"{lowered.seconds:.1f}"]
            program = compile_for_tpu(to_stablehlo(lowered))
            cells += [f"{program.seconds:.1f}", *(megabytes(size) for size in program[1:])]
        except Exception as error:  # whatever the compilers refuse is what is looked for
            failures[f"{name} for TPU"] = first_line(error)
            cells += ["failed"] * (len(columns) - 1 - len(cells))
        gpu_bytes = on_gpu.get(name, {}).get("hlo_bytes")
        cells.append(megabytes(gpu_bytes) if gpu_bytes else "failed" if name in on_gpu else "-")
        print("|", " | ".join(cells), "|", flush=True)
    for name, message in failures.items():
        print(f"{name}: {message}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
