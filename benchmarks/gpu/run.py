"""Times exported training steps where JAX is, beside rejax's: `python benchmarks/gpu/run.py`.

    python benchmarks/gpu/run.py --devices cpu --check   # whether they come to what TensorFlow came to
    python benchmarks/gpu/run.py --minutes 9             # as many rows as there is time for; called again, it goes on

Reads what `make export-bench` wrote, and needs JAX and NumPy alone; rejax and gymnax are taken from the wheels of `make
gpu-wheels` where they are not installed. Both sides train in turns in one process, as in `make bench`. After each row
the figures are written again, as results.json and results.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np
from hlo_cost import cost

from gpu.exported import Exported, digest, peak_memory
from gpu.sizes import sized
from gpu.table import markdown

FOLDER = Path(__file__).parents[2] / "build" / "export-bench"
# Products of matrices -> what JAX is told, which is what the exported programs say of theirs
PRECISIONS = {"float32": "highest", "tf32": "high", "bfloat16": "BF16_BF16_F32"}
# Of floating-point numbers, how much of the largest in their array two compilers may differ by. Whole numbers may not.
TOLERANCE = 0.001


def unpack(wheels: Path, site: Path) -> None:
    """Makes packages importable that are not installed; wheels are archives."""
    if not site.exists():
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
    if site.exists():
        sys.path.append(str(site))


def rejax_side() -> Any:
    """The class of rejax's side; None where it or gymnax is missing."""
    try:
        from sides.rejax import Rejax
    except Exception as error:  # of packages that do not fit this JAX, too
        print(f"without rejax: {first_line(error)}", flush=True)
        return None
    return Rejax


def check(folder: Path, name: str) -> bool:
    """Prints whether some iterations come to what they came to in TensorFlow, and returns whether they do."""
    exported = Exported(folder, name, "float32")
    with np.load(folder / f"{name}.check.npz") as arrays:
        before, expected = (
            {leaf["name"]: arrays[f"{when}/{leaf['name']}"] for leaf in exported.told["state"]}
            for when in ("before", "after")
        )
    exported.restore(before)
    exported.run(exported.told["check"]["iterations"])
    found = exported.named()
    if digest(found) == exported.told["check"]["digest"]:
        print(f"{name}: equal digests", flush=True)
        return True
    apart = {leaf: differs(found[leaf], expected[leaf]) for leaf in expected}
    wrong = [leaf for leaf, by in apart.items() if by > (TOLERANCE if expected[leaf].dtype.kind == "f" else 0)]
    rounded = sum(by > 0 for by in apart.values())
    print(
        f"{name}: {len(apart) - rounded} of {len(apart)} arrays equal to the bit, the others to "
        f"{max(apart.values()):.1e} of their largest number; {'wrong: ' + ', '.join(wrong) if wrong else 'good'}",
        flush=True,
    )
    return not wrong


def differs(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest number; infinite where something is not finite."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return float("inf")
    if np.array_equal(found, expected):
        return 0.0
    apart = np.abs(found.astype(float) - expected).max() / max(np.abs(expected.astype(float)).max(), 1e-6)
    return float(apart) if np.isfinite(apart) else float("inf")


def rates(on_cpu: bool) -> dict[str, Any]:
    """What the device reaches: operations per second in large products, by precision; bytes per second in a copy."""
    size, products, numbers = (1_024, 2, 1 << 24) if on_cpu else (8_192, 8, 1 << 28)

    def matrix_rate(name: str) -> float:
        kind, told = (jax.numpy.bfloat16, None) if name == "bfloat16" else (jax.numpy.float32, PRECISIONS[name])
        left = jax.random.normal(jax.random.key(0), [size, size]).astype(kind)
        one = lambda _, x: jax.numpy.matmul(x, left, precision=told) / kind(size**0.5)
        several = jax.jit(lambda x: jax.lax.fori_loop(0, products, one, x))
        return 2 * products * size**3 / best(lambda: several(left))

    plus, array = jax.jit(lambda x: x + 1, donate_argnums=0), [jax.numpy.zeros([numbers])]

    def copy() -> Any:
        array[0] = plus(array[0])
        return array[0]

    return {"matrix": {name: matrix_rate(name) for name in PRECISIONS}, "copy": 2 * 4 * numbers / best(copy)}


def best(run: Callable[[], Any], repetitions: int = 7) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    return min(timed(lambda: jax.block_until_ready(run())) for _ in range(1 + repetitions))


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(folder: Path, name: str, precision: str, rival: Any, reached: dict[str, Any], args: Any) -> dict[str, Any]:
    """A row: both sides in turns."""
    ours = Exported(folder, name, precision)
    told, sides = ours.told, {"rl_fn": ours}
    row = {"case": name, "precision": precision, "steps_per_iteration": told["steps_per_iteration"]}
    row |= {"compile_seconds": {"rl_fn": ours.compile_seconds}, "memory": {"rl_fn": ours.memory}}
    if rival is not None:
        case = next(
            case for _, case in sized([told["family"]], [told["num_envs"]], [told["copies"]]) if case.name == name
        )
        try:
            with jax.default_matmul_precision(PRECISIONS[precision]):
                theirs = rival(case)
                begin = time.perf_counter()
                program = theirs.compile()
            row["compile_seconds"]["rejax"], row["memory"]["rejax"] = time.perf_counter() - begin, peak_memory(program)
            theirs.run(told["first_iterations"])
            sides["rejax"] = theirs
        except Exception as error:  # whatever it, or the device, cannot do
            row["failure"] = f"rejax: {first_line(error)}"
    ours.run(told["first_iterations"])
    slowest = max(timed(lambda side=side: side.run(1)) for side in sides.values())
    iterations = max(1, round(args.seconds / slowest))
    steps = iterations * told["steps_per_iteration"]
    row["speeds"] = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, training in sides.items():
            row["speeds"][side].append(steps / timed(lambda training=training: training.run(iterations)))
    per_second = float(np.median(row["speeds"]["rl_fn"])) / told["steps_per_iteration"]
    if told.get("operations"):
        row["matrix_share"] = told["operations"] * per_second / reached["matrix"][precision]
    row["bandwidth_share"] = cost(ours.hlo(), told["gradient_steps"]).bytes * per_second / reached["copy"]
    return row


def first_line(error: Exception) -> str:
    """The error in one line that fits a table."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def main(arguments: list[str] | None = None) -> None:
    """Checks or measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of what was exported")
    parser.add_argument("--devices", help="JAX's name of the platform, such as cpu or cuda; else what it finds")
    parser.add_argument("--check", action="store_true", help="compare results with TensorFlow's; measure nothing")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="else all that were exported")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no row is begun")
    parser.add_argument("--results", type=Path, help="else results.json in the folder; rows that are there are kept")
    args = parser.parse_args(arguments)
    until = time.monotonic() + 60 * args.minutes
    if args.devices:
        jax.config.update("jax_platforms", args.devices)
    told = {path.stem: json.loads(path.read_text()) for path in args.folder.glob("*.json") if path.stem != "results"}
    names = sorted(told, key=lambda name: (told[name]["steps_per_iteration"], name))
    if unknown := set(args.cases or names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))} was not exported to {args.folder}; there are {', '.join(names)}")
    if not names:
        parser.error(f"{args.folder} holds nothing that was exported: make export-bench")
    names = [name for name in names if name in (args.cases or names)]
    if args.check:
        good = [check(args.folder, name) for name in names if "check" in told[name]]
        sys.exit(0 if good and all(good) else 1)
    unpack(args.folder / "wheels", args.folder / "site")
    rival, path, device = rejax_side(), args.results or args.folder / "results.json", jax.devices()[0]
    results = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    results |= {"device": device.device_kind, "jax": jax.__version__, "rates": rates(device.platform == "cpu")}
    for precision in args.precisions:
        for name in names:
            if f"{name} {precision}" in results["rows"] or time.monotonic() > until:
                continue
            try:
                row = measure(args.folder, name, precision, rival, results["rates"], args)
            except Exception as error:  # whatever the device cannot do
                row = {"case": name, "precision": precision, "failure": first_line(error)}
            results["rows"][f"{name} {precision}"] = row
            path.write_text(json.dumps(results, indent=1) + "\n")
            path.with_suffix(".md").write_text(markdown(results))
            print(f"{name} {precision}: {row.get('failure') or row['speeds']}", flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
