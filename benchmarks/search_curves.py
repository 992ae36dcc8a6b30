"""The best so far of searches by several methods: trains studies, then draws docs/search/best_so_far.png.

    python benchmarks/search_curves.py                          # 5 studies each of tpe, gp and random, sac_pendulum
    python benchmarks/search_curves.py --studies 2 --trials 8 --steps 1000 --methods tpe random

Each study is a whole command, `rl-fn search` with a seed of its own; one that was broken off goes on in its folder. The
curves are in benchmarks/results/search_curves.json: at each trial the best value so far, as the interquartile mean over
studies with its 95% bootstrap interval (Agarwal et al., 2021). `search_page.py` puts them into docs/search.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from machine import machine

from rl_fn.media import plots, statistics
from rl_fn.media.curves import Curve
from rl_fn.search.storage import NAME, import_optuna, open_storage

ROOT = Path(__file__).parents[1]
RESULTS, PICTURE = ROOT / "benchmarks" / "results" / "search_curves.json", ROOT / "docs" / "search" / "best_so_far.png"


def best_so_far(folder: Path) -> np.ndarray:
    """The best value of a finished study, of each trial and those before it."""
    study = import_optuna().load_study(study_name=NAME, storage=open_storage(None, folder))
    values = [trial.value if trial.value is not None else -np.inf for trial in study.trials]
    return np.maximum.accumulate(values)


def main() -> None:
    """Trains what is not trained yet, draws, prints and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hparams", default="sac_pendulum")
    parser.add_argument("--hparam_override", default="", help="such as hidden_sizes=(64,64)")
    parser.add_argument("--space", default="usual")
    parser.add_argument("--methods", nargs="+", default=["tpe", "gp", "random"])
    numbers = (("steps", 8_000), ("studies", 5), ("trials", 40), ("batch", 4), ("seeds", 1), ("episodes", 20))
    for name, value in numbers:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "search_curves", help="where they are trained")
    told = parser.parse_args()
    found: dict[str, list[list[float]]] = {method: [] for method in told.methods}
    for seed in range(told.studies):
        for method in told.methods:  # in turn, so that what is there early is comparable
            folder = told.folder / f"{method}_{seed}"
            words = ["--hparams", told.hparams, "--space", told.space, "--method", method, "--seed", str(seed)]
            words += ["--hparam_override", told.hparam_override] if told.hparam_override else []
            words += ["--train_steps", str(told.steps), "--trials", str(told.trials), "--batch", str(told.batch)]
            words += ["--seeds", str(told.seeds), "--eval_episodes", str(told.episodes), "--finalists", "0"]
            command = [sys.executable, "-m", "rl_fn", "search", *words, "--no_pictures", "--output_dir", str(folder)]
            subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True)
            found[method].append(best_so_far(folder).tolist())
    figures = {"settings": {**vars(told), "folder": None}, "machine": machine(), "best_so_far": found}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    numbers = np.arange(1, told.trials + 1)
    curves = [Curve(method, told.hparams, numbers, np.array(values)) for method, values in found.items()]
    plot = plots.draw_curves(curves)
    for panel in plot.figure.axes:
        panel.set_xlabel("trials")
        panel.set_ylabel("best so far")
    PICTURE.parent.mkdir(exist_ok=True)
    plot.save(PICTURE)
    for method, values in found.items():
        ends = [np.array(values)[:, -1]]
        low, high = statistics.interval(statistics.iqm, ends)
        print(f"{method}: {statistics.of(statistics.iqm, ends):.4g} ({low:.4g} to {high:.4g}) at {told.trials} trials")


if __name__ == "__main__":
    main()
