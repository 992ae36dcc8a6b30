"""Training speed of rl_fn's agents against other libraries, with equal settings, in one run.

    make bench                           # all cases, and the machine's limits
    make bench CASE=ppo_cartpole_64      # one case
    python benchmarks/agents.py --report # docs/performance.md from the figures of the last run

Each side is a process of its own that stays alive, in an environment of its own. First each is started alone, up to
its first update: that is the cold time, compilation included. Each then trains a little, to choose what a library
leaves to be chosen by speed (torch's number of threads). Then the sides train on in turns (A B A B ...), each turn
over the same number of environment steps; the ratio of speeds is taken within each round, and its median and range
over the rounds are the figures. In the end each side's agent is evaluated, which shows that it did learn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import apart
import report
from cases import CASES, EPISODES, Case
from machine import machine
from turns import Process

from rl_fn._src.xla.startup import xla_flags

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "agents.json"
# side -> the environment that `make bench` makes for it, and its module
RIVALS = {
    "rejax": (".venv-bench-jax", "sides.rejax"),
    "sbx": (".venv-bench-torch", "sides.sbx"),
    "sb3": (".venv-bench-torch", "sides.sb3"),
    "dreamerv3": (".venv-bench-dreamer", "sides.dreamerv3"),
}


def start(side: str, case: Case, cache: str | None = None) -> Process:
    """Starts a side and waits for its first update.

    Args:
      side: its name.
      case: what it trains.
      cache: a folder in which rl_fn keeps its compiled programs; without, it keeps none.

    Raises:
      SystemExit: if its environment is missing, or it ends before the first update.
    """
    if side == "rl_fn":
        # This checkout is what is measured, whatever is installed.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": xla_flags()}  # as `rl-fn train` has them
        if cache:  # and so is this one
            environment["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={cache}"
        if case.on_host:
            environment["TF_NUM_INTRAOP_THREADS"] = "1"  # others wait for a thread longer than an action takes
        return Process(Path(sys.executable), "sides.ours", case, environment)
    folder, module = RIVALS[side]
    python = ROOT / folder / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{side} needs the environment {folder}, which `make bench` makes; {python} does not exist")
    return Process(python, module, case, os.environ)


def compared(case: Case, rival: str, ours: list[float], theirs: list[float], ratios: list[float]) -> dict[str, Any]:
    """The figures of one comparison: a value of each side per round, and their ratios, the larger the better."""
    return {
        "rival": rival,
        "ours": ours,
        "theirs": theirs,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "median": round(statistics.median(ratios), 3),
        "range": [round(min(ratios), 3), round(max(ratios), 3)],
        "target": case.targets[rival],
    }


def in_turns(case: Case, pairs: int, scale: float) -> dict[str, Any]:
    """Trains all sides of a case in turns."""
    names = ["rl_fn", *case.targets]
    iterations = max(1, round(case.iterations * scale / pairs))
    steps = iterations * case.steps_per_iteration
    sides: dict[str, Process] = {}
    try:
        for name in names:
            sides[name] = start(name, case)
        settling = max(1, iterations // 10)
        chosen = {name: side.settle(settling) for name, side in sides.items()}
        speeds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(pairs):
            for name, side in sides.items():
                speeds[name].append(steps / side.run(iterations))
        memory = {name: side.memory() for name, side in sides.items()}
        returns = {name: round(side.evaluate(), 1) for name, side in sides.items()}
    finally:
        for side in sides.values():
            side.close()
    rows = []
    for rival in case.targets:
        ratios = [ours / theirs for ours, theirs in zip(speeds["rl_fn"], speeds[rival], strict=True)]
        rows.append(compared(case, rival, speeds["rl_fn"], speeds[rival], ratios))
    return {
        "unit": "steps/s",
        "train_steps": pairs * steps,
        "chosen": {name: what for name, what in chosen.items() if what},
        "returns": returns,
        "learned": {name: value >= case.learned for name, value in returns.items()},
        "first_update": {name: side.first_update for name, side in sides.items()},
        "memory": memory,
        "versions": {name: side.versions for name, side in sides.items()},
        "rows": rows,
    }


def in_cold_turns(case: Case, pairs: int) -> dict[str, Any]:
    """Starts the sides of a case again and again, each up to its first update."""
    names = ["rl_fn", *case.targets]
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    versions = {}
    with tempfile.TemporaryDirectory() as cache:
        if case.cached:
            start("rl_fn", case, cache).close()
        for _ in range(pairs):
            for name in names:
                side = start(name, case, cache if case.cached else None)
                side.close()
                times[name].append(side.first_update)
                versions[name] = side.versions
    rows = []
    for rival in case.targets:
        for since in ("from_start", "after_imports"):
            ours, theirs = ([time[since] for time in times[name]] for name in ("rl_fn", rival))
            ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
            rows.append({**compared(case, rival, ours, theirs, ratios), "since": since})
    return {"unit": "s", "versions": versions, "rows": rows}


def measure(case: Case, pairs: int, scale: float) -> dict[str, Any]:
    """All figures of a case, with what was compared."""
    figures = in_cold_turns(case, pairs) if case.cold else in_turns(case, pairs, scale)
    described = {
        "env": case.env,
        "algorithm": case.algorithm,
        "copies": case.copies,
        "settings": case.settings,
        "unequal": case.unequal,
    }
    return {**described, "pairs": pairs, "scale": scale, "episodes": EPISODES, "machine": machine(), **figures}


def main() -> None:
    """Measures what the command line asks for, and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=[*CASES, "limits"], default=[*CASES, "limits"], metavar="NAME")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of turns")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of each training, for a quick look")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures are kept")
    parser.add_argument("--report", action="store_true", help="write docs/performance.md and .png; measure nothing")
    args = parser.parse_args()
    if args.pairs < 1 or not 0 < args.scale <= 1:
        parser.error(f"pairs is {args.pairs} and scale {args.scale}, expected at least 1, and above 0 and at most 1")
    if args.report:
        return report.write(args.results, ROOT / "docs" / "performance.md")
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    print(f"{machine()}; {args.pairs} rounds, evaluations of {EPISODES} episodes", flush=True)
    for name in args.cases:
        if name == "limits":
            results[name] = apart.measured("limits")
            print(report.limits_text(results[name]), flush=True)
        else:
            results[name] = measure(CASES[name], args.pairs, args.scale)
            print(report.case_text(name, results[name]), flush=True)
        args.results.parent.mkdir(exist_ok=True)
        args.results.write_text(json.dumps(results, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
