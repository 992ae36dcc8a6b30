"""Training steps of the benchmarks that leave TensorFlow, and are compiled and run by JAX."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu import export, exported, run

NAME = "ppo_cartpole_4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("exported")
    sizes = ["--families", "ppo_cartpole", "--envs", "4", "--copies", "--check", NAME]
    export.main([*sizes, "--folder", str(root)])
    return root


def test_an_iteration_in_jax_comes_to_what_it_comes_to_in_tensorflow(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(["--folder", str(folder), "--devices", "cpu", "--check"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0, printed
    assert printed.startswith(f"{NAME}: ")
    with np.load(folder / f"{NAME}.check.npz") as arrays:
        before, after = (arrays[f"{when}/agent/learner/params/policy/head/kernel"] for when in ("before", "after"))
        assert arrays["after/iteration"] == 1
    assert np.abs(after - before).max() > 1e-3  # it has learned


def test_a_run_writes_a_table_and_goes_on_where_it_was(folder, capsys):
    command = ["--folder", str(folder), "--devices", "cpu", "--rounds", "1", "--seconds", "0.001"]
    run.main([*command, "--precisions", "bfloat16"])
    results = json.loads((folder / "results.json").read_text())
    row = results["rows"][f"{NAME} bfloat16"]
    assert row["speeds"]["rl_fn"][0] > 0
    assert 100_000 < row["memory"]["rl_fn"] < 10_000_000  # 27,000 numbers, and a rollout
    assert row["bandwidth_share"] > 0 < row["matrix_share"]
    table = (folder / "results.md").read_text().splitlines()
    assert table[2].startswith(f"| {NAME} | bfloat16 | ")
    assert "TFLOP/s" in table[-1]
    run.main([*command, "--precisions", "bfloat16"])
    assert json.loads((folder / "results.json").read_text())["rows"] == results["rows"]
    run.main([*command, "--minutes", "0"])  # of which none is left for other rows
    assert list(json.loads((folder / "results.json").read_text())["rows"]) == [f"{NAME} bfloat16"]
    with pytest.raises(SystemExit):
        run.main([*command, "--cases", "ppo_cartpole_5"])
    assert f"ppo_cartpole_5 was not exported to {folder}; there are {NAME}" in capsys.readouterr().err


def test_the_operations_are_those_of_the_products(folder):
    told = json.loads((folder / f"{NAME}.json").read_text())
    actor, critic = 4 * 64 + 64 * 64 + 64 * 2, 4 * 64 + 64 * 64 + 64 * 1
    acting = 2 * 512 * (actor + critic)  # few next observations are valued apart: where episodes or rollouts end
    # Of 4 epochs: forwards, into the kernels, and into the hidden layers.
    learning = 2 * 4 * 512 * (3 * (actor + critic) - 2 * 4 * 64)
    assert told["operations"] == pytest.approx(acting + learning, rel=0.02)


def test_a_program_updates_its_state_in_place():
    text = """
      func.func @main(%arg0: tensor<i32>, %arg1: tensor<2xf32> {tf.aliasing_output = 0 : i32}) -> (tensor<2xf32>) {
        %0 = stablehlo.add %arg1, %arg1 : tensor<2xf32>
        return %0 : tensor<2xf32>
      }"""
    state = jax.device_put(np.array([1.0, 2.0], np.float32))
    specs = [jax.ShapeDtypeStruct([], np.int32), jax.ShapeDtypeStruct([2], np.float32)]
    (after,) = exported.compiled(text, specs, [1])(np.int32(1), state)
    assert after.tolist() == [2.0, 4.0]
    assert state.is_deleted()


@pytest.mark.parametrize(
    ("found", "expected", "apart"),
    [
        (np.array([1, 2]), np.array([1, 2]), 0.0),
        (np.array([1, 2]), np.array([1, 4]), 0.5),
        (np.array([1.0, 2.0]), np.array([1.0, 2.02]), 0.02 / 2.02),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), np.inf),
        (np.array([1.0]), np.array([1]), np.inf),
    ],
)
def test_how_far_two_arrays_are_apart(found, expected, apart):
    assert run.differs(found, expected) == pytest.approx(apart)


def test_copies_begin_alike_but_for_their_keys():
    keys = exported.repeated("key", np.array([[7, 1]], np.uint32), 3)
    assert keys.tolist() == [[7, 1], [7, 2], [7, 3]]
    assert exported.repeated("agent/bias", np.array([[0.5]]), 2).tolist() == [[0.5], [0.5]]


def test_a_program_with_other_arguments_is_refused():
    main = "  func.func @main(%arg0: tensor<i32>, %arg1: tensor<2xf32>) -> tensor<2xf32> {"
    assert export.donated(main, 1) == main.replace("<2xf32>)", "<2xf32> {tf.aliasing_output = 0 : i32})", 1)
    with pytest.raises(ValueError, match="the program has 2 arguments, expected iterations and 2 of the state"):
        export.donated(main, 2)
