"""Trials per hour of a search in one program, against the same trials as separate processes, in one run.

    python benchmarks/search.py                     # a small study, benchmarks/results/search.json
    python benchmarks/search.py --steps 30000 --trials 200 --zoo 10

Both sides are whole commands, from the start of Python to the last evaluation, with a cache of compiled programs that
is empty at first. The search trains `--trials` trials of `--seeds` seeds, `--batch` at a time. A trial in separate
processes is one `rl-fn train` for each seed with one evaluation, at its end; `--separate` trials of that kind are
trained, half of them before the search and half of them behind it, and their number per hour is what all would have.

With `--zoo`, so many trials of rl-baselines3-zoo's own search are measured behind that, from the start of its Python to
the end of its study, with the same steps, one evaluation of as many episodes, its own ranges and no pruning, so that
every trial is whole. A trial of it has one seed: what it takes counts `--seeds` times. It is the search of its DQN on
CartPole, so it goes with `dqn_cartpole` only, and needs `.venv-bench-torch`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "search.json"
ZOO_PYTHON = ROOT / ".venv-bench-torch" / "bin" / "python"
ZOO_SET = "dqn_cartpole"  # that it has the like of
EPISODES = 20  # of an evaluation
RATES = (3e-4, 1e-3, 2e-3, 5e-4)  # of the separate trials


def seconds(words: list[str], cache: Path) -> float:
    """What a command of rl-fn takes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rl_fn", *words], env=environment, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - begin


def zoo_seconds(trials: int, steps: int, folder: str) -> float:
    """What a study of rl-baselines3-zoo's DQN on CartPole takes."""
    what = ["--algo", "dqn", "--env", "CartPole-v1", "--n-timesteps", str(steps), "--log-folder", f"{folder}/zoo"]
    study = ["--optimize", "--n-trials", str(trials), "--sampler", "tpe", "--pruner", "none", "--no-optim-plots"]
    once = ["--n-evaluations", "1", "--eval-episodes", str(EPISODES), "--verbose", "0"]
    begin = time.perf_counter()
    subprocess.run(
        [ZOO_PYTHON, "-m", "rl_zoo3.train", *what, *study, *once], cwd=folder, check=True, capture_output=True
    )
    return time.perf_counter() - begin


def main() -> None:
    """Measures, prints and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hparams", default=ZOO_SET)
    for name, value in (("steps", 10_000), ("trials", 16), ("batch", 8), ("seeds", 3), ("separate", 1), ("zoo", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    told = parser.parse_args()
    if told.zoo and told.hparams != ZOO_SET:
        parser.error(f"--zoo compares {ZOO_SET} only, not {told.hparams}")
    what = ["--hparams", told.hparams, "--train_steps", str(told.steps), "--eval_episodes", str(EPISODES)]
    alone: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def separate(trial: int) -> None:
            """One trial: a process for each seed."""
            setting = ["--hparam_override", f"learning_rate={RATES[trial % len(RATES)]}"]
            once = ["--eval_interval", str(told.steps), "--quiet"]
            words = ["train", *what, *setting, *once, "--output_dir"]
            folders = [f"{folder}/{trial}_{seed}" for seed in range(told.seeds)]
            sizes = [seconds([*words, place, "--seed", str(seed)], cache) for seed, place in enumerate(folders)]
            alone.append(sum(sizes))
            print(f"separate trial {trial}: {', '.join(f'{size:.1f}' for size in sizes)} s", flush=True)

        first = (told.separate + 1) // 2
        for trial in range(first):
            separate(trial)
        numbers = ["--trials", str(told.trials), "--batch", str(told.batch), "--seeds", str(told.seeds)]
        rest = ["--finalists", "0", "--no_pictures", "--output_dir", f"{folder}/search"]
        together = seconds(["search", *what, *numbers, *rest], cache)
        print(f"search: {told.trials} trials in {together:.1f} s", flush=True)
        for trial in range(first, told.separate):
            separate(trial)
        zoo = zoo_seconds(told.zoo, told.steps, folder) * told.seeds if told.zoo else None
    each = statistics.mean(alone)
    figures = {
        "settings": vars(told),
        "machine": machine(),
        "search_seconds": together,
        "separate_seconds": alone,
        "search_trials_per_hour": 3600 * told.trials / together,
        "separate_trials_per_hour": 3600 / each,
        "ratio": told.trials * each / together,
    }
    if zoo is not None:
        figures |= {"zoo_trials_per_hour": 3600 * told.zoo / zoo, "zoo_ratio": told.trials * zoo / told.zoo / together}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(
        f"{figures['search_trials_per_hour']:.0f} trials per hour in one program, "
        f"{figures['separate_trials_per_hour']:.0f} in separate processes: {figures['ratio']:.1f} times"
    )
    if zoo is not None:
        print(f"{figures['zoo_trials_per_hour']:.1f} in rl-baselines3-zoo: {figures['zoo_ratio']:.1f} times")


if __name__ == "__main__":
    main()
