"""A population against fixed settings: population-based training, and a random search of the same range and length.

    python benchmarks/search_population.py                      # 16 members, ppo_minatar_breakout, a million steps each
    python benchmarks/search_population.py --steps 5000000

Both are whole commands: `rl-fn search --method pbt`, and `--method random` with as many trials of one seed, all of them
side by side in one program. Each ends with an evaluation of all members or trials by as many episodes, of which the
best counts, so that luck has as many chances on either side. Figures are in benchmarks/results/search_population.json,
the lineage is drawn to docs/search/lineage.png, and `search_page.py` puts both into docs/search.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from machine import machine

from rl_fn.search.storage import NAME, import_optuna, open_storage

ROOT = Path(__file__).parents[1]
RESULTS, PICTURE = ROOT / "benchmarks" / "results" / "search_population.json", ROOT / "docs" / "search" / "lineage.png"


def search(words: list[str], folder: Path) -> tuple[float, str]:
    """The seconds that a search takes, and what it prints."""
    command = [sys.executable, "-m", "rl_fn", "search", *words, "--output_dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - begin, done.stdout


def main() -> None:
    """Trains both, prints and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hparams", default="ppo_minatar_breakout")
    parser.add_argument("--space", default="learning_rate,entropy_cost")
    numbers = (("steps", 1_000_000), ("members", 16), ("generations", 20), ("episodes", 20), ("seed", 0))
    for name, value in numbers:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "search_population", help="where they train")
    told = parser.parse_args()
    words = ["--hparams", told.hparams, "--space", told.space, "--trials", str(told.members), "--seeds", "1"]
    words += ["--train_steps", str(told.steps), "--eval_episodes", str(told.episodes), "--seed", str(told.seed)]
    pbt = ["--method", "pbt", "--evaluations", str(told.generations)]
    fixed = ["--method", "random", "--batch", str(told.members), "--finalists", "0", "--no_pictures"]
    pbt_seconds, printed = search([*words, *pbt], told.folder / "pbt")
    random_seconds, _ = search([*words, *fixed], told.folder / "random")
    study = import_optuna().load_study(study_name=NAME, storage=open_storage(None, told.folder / "random"))
    figures = {
        "settings": {**vars(told), "folder": None},
        "machine": machine(),
        "pbt": float(re.search(r"member \d+: (\S+)", printed).group(1)),
        "random": sorted((trial.value for trial in study.trials), reverse=True),
        "pbt_seconds": pbt_seconds,
        "random_seconds": random_seconds,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    PICTURE.parent.mkdir(exist_ok=True)
    shutil.copy(told.folder / "pbt" / "pictures" / "lineage.png", PICTURE)
    print(f"population {figures['pbt']:.4g}; best of {told.members} fixed settings {figures['random'][0]:.4g}")


if __name__ == "__main__":
    main()
