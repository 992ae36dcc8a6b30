"""Whether a search finds a better set than the shipped one: searches, then trains both with fresh seeds.

    python benchmarks/search_best.py                                    # ppo_acrobot and ppo_mountaincar
    python benchmarks/search_best.py --sets ppo_acrobot --trials 16 --batch 8

The search is a whole command, `rl-fn search` by TPE from the shipped set. Its `best.toml` and the shipped set are then
trained with `--fresh` seeds from `SEED`, which no search uses, and evaluated by `EPISODES` episodes each. The
probability of improvement (Agarwal et al., 2021, section 4.3) is that of a run of the set that was found over one of
the shipped set, with its 95% bootstrap interval. Figures are kept in benchmarks/results/search_best.json, those of
other sets stay there; `search_page.py` puts them into docs/search.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from rl_fn.media import statistics
from rl_fn.runs.config import read_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "search_best.json"
SEED, EPISODES = 1_000, 100


def rl_fn(*words: object) -> None:
    """A command of rl-fn."""
    command = [sys.executable, "-m", "rl_fn", *map(str, words)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True)


def trained(hparams: object, folder: Path, count: int) -> list[float]:
    """The mean returns of as many copies, trained with fresh seeds."""
    settings = ["--seed", SEED, "--copies", count, "--eval_episodes", EPISODES, "--quiet"]
    rl_fn("train", "--hparams", hparams, *settings, "--output_dir", folder)
    return [read_json(folder / f"run_{copy}" / "summary.json")["eval_return_mean"] for copy in range(count)]


def measured(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Searches from a set, trains what was found and what is shipped, and compares them."""
    folder = told.folder / name
    numbers = ["--trials", told.trials, "--batch", told.batch, "--seeds", told.seeds]
    begin = time.perf_counter()
    rl_fn("search", "--hparams", name, *numbers, "--no_pictures", "--output_dir", folder / "search")
    seconds = time.perf_counter() - begin
    best = folder / "search" / "best.toml"
    shipped, found = trained(name, folder / "shipped", told.fresh), trained(best, folder / "found", told.fresh)
    scores = [np.array(shipped), np.array(found)]
    low, high = statistics.interval(statistics.probability_of_improvement, scores)
    return {
        "settings": {key: value for key, value in vars(told).items() if key not in ("folder", "sets")},
        "machine": machine(),
        "search_seconds": seconds,
        "found": best.read_text(),
        "returns": {"shipped": shipped, "found": found},
        "probability": float(statistics.of(statistics.probability_of_improvement, scores)),
        "interval": [float(low), float(high)],
    }


def main() -> None:
    """Searches, trains, prints and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["ppo_acrobot", "ppo_mountaincar"])
    for name, value in (("trials", 64), ("batch", 8), ("seeds", 3), ("fresh", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "search_best", help="where they are trained")
    told = parser.parse_args()
    for name in told.sets:
        figures = measured(name, told)
        known = read_json(RESULTS) if RESULTS.exists() else {}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**known, name: figures}, indent=1) + "\n")
        low, high = figures["interval"]
        medians = {of: float(np.median(returns)) for of, returns in figures["returns"].items()}
        print(
            f"{name}: {told.trials} trials in {figures['search_seconds']:.0f} s; shipped {medians['shipped']:.1f}, "
            f"found {medians['found']:.1f}; probability of improvement {figures['probability']:.2f} "
            f"({low:.2f} to {high:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
