"""Reads what was exported, as others would: there is no rl_fn in here. `python exported.py FORM FOLDER...`.

Prints for each output the share of the agent's own that it equals. For a training step it does two, beginning with the
arrays of the folder's before.npz, and writes after.npz.
"""

import json
import sys
from pathlib import Path

import numpy as np

STEPS = 2


def compare(folder, outputs, example):
    for name, given in outputs.items():
        expected = example[f"expected_{name}"]
        assert given.shape == expected.shape, name
        same = given == expected if expected.dtype.kind in "iub" else np.abs(given - expected) <= 1e-4
        print(f"{folder.name} {name} {np.mean(same):.4f} of {len(expected)}", flush=True)


def saved_model(folder, described, inputs):
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    return serve(**{name: tf.constant(leaf) for name, leaf in inputs.items()})


def tflite(folder, described, inputs):
    from ai_edge_litert.interpreter import Interpreter

    serve = Interpreter(model_path=str(folder / "policy.tflite")).get_signature_runner()
    count = len(next(iter(inputs.values())))
    rows = [serve(**{name: leaf[i : i + 1] for name, leaf in inputs.items()}) for i in range(count)]
    assert "tensorflow" not in sys.modules
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def train(folder, described):
    import jax
    from jax.extend.backend import get_backend
    from jax.interpreters import mlir
    from jaxlib import _jax as xla
    from jaxlib.mlir import ir

    jax.config.update("jax_enable_x64", True)
    with mlir.make_ir_context():
        program = mlir.module_to_bytecode(ir.Module.parse((folder / "train_step.mlir").read_text()))
    backend = get_backend("cpu")
    step = backend.compile_and_load(program, xla.DeviceList(tuple(backend.local_devices()[:1])), xla.CompileOptions())
    state = dict(np.load(folder / "before.npz"))
    for argument in described["arguments"]:
        if "value" in argument:
            state[argument["name"]] = np.array(argument["value"], argument["dtype"])
    for _ in range(STEPS):
        arguments = [jax.device_put(state[argument["name"]]) for argument in described["arguments"]]
        results = step.execute_sharded(arguments).disassemble_into_single_device_arrays()
        state |= {one["name"]: np.asarray(array[0]) for one, array in zip(described["results"], results, strict=True)}
    np.savez(folder / "after.npz", **state)


for folder in map(Path, sys.argv[2:]):
    described = json.loads((folder / "export.json").read_text())
    example = dict(np.load(folder / "example.npz"))
    if sys.argv[1] == "stablehlo":
        train(folder, described["train_step"])
        continue
    read = {"saved_model": saved_model, "tflite": tflite}[sys.argv[1]]
    outputs = read(folder, described, {one["name"]: example[one["name"]] for one in described["inputs"]})
    assert sorted(outputs) == sorted(described["outputs"])
    compare(folder, {name: np.asarray(leaf) for name, leaf in outputs.items()}, example)
assert "rl_fn" not in sys.modules
