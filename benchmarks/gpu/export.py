"""Writes the training steps of `make bench` as StableHLO, for `benchmarks/gpu/run.py`: `make export-bench`.

    build/export-bench/NAME.json               the case, its sizes, and the leaves of its state
                       NAME.PRECISION.mlir.gz  (iterations, state) -> (state, sums of the metrics), the state donated
                       NAME.npz                the state to begin with: of one copy, to be repeated with other keys
                       NAME.check.npz          where results are checked: the states of all copies before and after

No accelerator is needed: TensorFlow lowers for one that is not there. Initial states are arrays rather than programs,
because those of orthogonal kernels have custom calls.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as the command `rl-fn` has it
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from cases import Case
from hlo_cost import cost
from sides.ours import ENVS as OUR_ENVS
from sides.ours import agent_of

from gpu.sizes import CHECKED, COPIES, ENVS, FAMILIES, sized
from rl_fn import envs, loops, random, struct
from rl_fn.agents.base import in_precision
from rl_fn.runs import checkpoint
from rl_fn.runs.stablehlo import portable
from rl_fn.struct import Nest

FOLDER = Path(__file__).parents[2] / "build" / "export-bench"
PRECISIONS = ("float32", "bfloat16")
MORE = 2  # iterations of learners from replay after their first gradient step, after which states are compared
_MAIN = re.compile(r"^  func\.func (?:public )?@main\((?P<arguments>.*?)\) -> ", re.MULTILINE)
_ARGUMENT = re.compile(r"%arg\d+: tensor<[^>]*>")


class Program:
    """A case's training, to be lowered for a platform that need not be here."""

    def __init__(self, case: Case, precision: str):
        name, arguments = OUR_ENVS.get(case.env, (case.env, {}))
        env = envs.make(name, **arguments)
        agent = in_precision(agent_of(case, env)[0], precision)
        self.case = case
        self._init: Callable[[tf.Tensor], Nest] = lambda key: loops.init_state(agent, env, key)
        self.step, self.spec = loops.train_step(agent, env), loops.spec_of(self._init)
        if case.copies > 1:
            self.step = loops.vectorize(self.step)
            of_all = lambda spec: tf.TensorSpec([case.copies, *spec.shape], spec.dtype)
            self.spec = tf.nest.map_structure(of_all, self.spec)

    def init(self, copies: int) -> Nest:
        """The state of so many copies, seeds 0, 1, ..."""
        states = [self._init(random.key(seed)) for seed in range(copies)]
        return states[0] if self.case.copies == 1 else struct.stack(states)

    def lowered(self, platform: str) -> str:
        """`(iterations, state) -> (state, sums)`, the state donated; raises ValueError for what only TensorFlow has."""
        text = portable(loops.lower(self.step, self.spec, platform, "stablehlo"))
        if called := sorted(set(re.findall(r"custom_call @?(\S+?)\(", text))):
            raise ValueError(f"{self.case.name} calls what other compilers do not know: {', '.join(called)}")
        return donated(text, leaves=len(tf.nest.flatten(self.spec)))

    def trained(self, iterations: int) -> tuple[Nest, Nest, float]:
        """The state before and after training here, and the operations of matrix products in an iteration."""
        before = self.init(self.case.copies)
        compiled = loops.compile(self.step, before)
        compiled.run(iterations)
        return before, compiled.read(), cost(compiled.hlo(), gradient_steps(self.case)).operations


def gradient_steps(case: Case) -> int:
    """Gradient steps of each copy in an iteration."""
    settings = case.settings
    return settings.get("gradient_steps") or settings["num_epochs"] * settings["num_minibatches"]


def donated(text: str, leaves: int) -> str:
    """The program with all its arguments after the first updated in place.

    Raises:
      ValueError: if it has other arguments than a number and so many leaves of a state.
    """
    main = _MAIN.search(text)
    arguments = _ARGUMENT.findall(main["arguments"]) if main else []
    if len(arguments) != 1 + leaves:
        raise ValueError(f"the program has {len(arguments)} arguments, expected iterations and {leaves} of the state")
    state = [f"{one} {{tf.aliasing_output = {index} : i32}}" for index, one in enumerate(arguments[1:])]
    start, end = main.span("arguments")
    return text[:start] + ", ".join([arguments[0], *state]) + text[end:]


def export(family: str, case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """Writes a case, and returns what its json is to say."""
    content: dict[str, Any] = {
        "case": case.name,
        "family": family,
        "platform": args.platform,
        "num_envs": case.settings["num_envs"],
        "copies": case.copies,
        "steps_per_iteration": case.steps_per_iteration,
        "first_iterations": case.first_iterations,
        "gradient_steps": gradient_steps(case),
        "precisions": list(args.precisions),
        "versions": {name: metadata.version(name) for name in ("tensorflow", "numpy")},
    }
    for precision in args.precisions:
        program = Program(case, precision)
        text = program.lowered(args.platform)
        (args.folder / f"{case.name}.{precision}.mlir.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    program = Program(case, "float32")
    _save(args.folder / f"{case.name}.npz", program.init(1))
    content["state"] = [
        {"name": name, "shape": list(spec.shape), "dtype": spec.dtype.name}
        for name, spec in struct.named_leaves(program.spec)
    ]
    if case.name in args.check:
        # An iteration of PPO has 16 or 32 gradient steps; after two or three of them a parameter that differed by 1e-7
        # differs by its size, in one compiler as between two.
        iterations = case.first_iterations + (MORE if "gradient_steps" in case.settings else 0)
        before, after, operations = program.trained(iterations)
        _save(args.folder / f"{case.name}.check.npz", {"after": after, "before": before})
        content["check"] = {"iterations": iterations, "digest": checkpoint.digest(after)}
        content["operations"] = operations
    return content


def _save(path: Path, nest: Nest) -> None:
    arrays = {name: np.asarray(leaf) for name, leaf in struct.named_leaves(nest)}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def main(arguments: list[str] | None = None) -> None:
    """Writes what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="NAME")
    parser.add_argument("--envs", nargs="*", type=int, default=ENVS, help="sizes of the families that grow in them")
    parser.add_argument("--copies", nargs="*", type=int, default=COPIES, help="sizes of those that grow in copies")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--check", nargs="*", default=CHECKED, metavar="NAME", help="sizes whose results travel along")
    parser.add_argument("--platform", choices=["CPU", "GPU", "TPU"], default="GPU")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args(arguments)
    # Products in float32 are marked as such; the driver takes the mark away for TF32.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    args.folder.mkdir(parents=True, exist_ok=True)
    cases = list(sized(args.families, args.envs, args.copies))
    per_step: dict[str, float] = {}  # operations, by family
    # First those that are checked, which say how many operations a step of their family takes.
    for family, case in sorted(cases, key=lambda one: one[1].name not in args.check):
        content = export(family, case, args)
        if "operations" in content:
            per_step[family] = content["operations"] / case.steps_per_iteration
        elif family in per_step:  # which grow with the rows of the products
            content["operations"] = per_step[family] * case.steps_per_iteration
        (args.folder / f"{case.name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(f"{case.name}: {', '.join(args.precisions)}{', checked' * ('check' in content)}", flush=True)


if __name__ == "__main__":
    main()
