"""A search that is killed again and again: `python benchmarks/search_kills.py`, with the extra `search`.

The command is started on one folder, by `--processes` processes at a time, and all of them get SIGKILL at a moment
drawn at random: while they start and compile, or while they train and write after new trials were finished. After each
of `--kills` kills, every trial that was finished before must be there as it was. At last the command runs to its end,
and the study must hold `--trials` finished trials, numbered without a gap, no two of them the same. What is wrong is
said, and the exit status is 1; the figures are in benchmarks/results/search_kills.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine

ROOT = Path(__file__).parent.parent
EARLY = 0.4  # of the kills
LONGEST = 10.0  # seconds from the start, or from when something new was finished, to a kill
RESULTS = Path(__file__).parent / "results" / "search_kills.json"


def trials(folder: Path, storage: str | None) -> dict[int, Any]:
    """The finished trials of a study by their numbers: state, values and what they came to."""
    from rl_fn.search.storage import NAME, import_optuna, open_storage

    optuna = import_optuna()
    try:
        study = optuna.load_study(study_name=NAME, storage=open_storage(storage, folder))
    except (KeyError, ValueError):  # it was killed before it had begun one
        return {}
    return {one.number: [one.state.name, one.params, one.value] for one in study.trials if one.state.is_finished()}


def main() -> None:
    """Kills, checks, prints and keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hparams", default="vpg_cartpole")
    numbers = (("kills", 10), ("trials", 120), ("batch", 2), ("steps", 200_000), ("processes", 1), ("seed", 0))
    for name, value in numbers:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--storage", help="a URL of Optuna's; a journal in the folder unless given")
    told = parser.parse_args()
    draw, wrong, rows = random.Random(told.seed), [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "search"
        command = [sys.executable, "-m", "rl_fn", "search", "--hparams", told.hparams, "--output_dir", str(folder)]
        command += ["--trials", str(told.trials), "--batch", str(told.batch), "--train_steps", str(told.steps)]
        command += ["--seeds", "1", "--eval_episodes", "5", "--finalists", "0", "--no_pictures"]
        command += ["--storage", told.storage] if told.storage else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{place}/cache"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        start = lambda: [subprocess.Popen(command, env=environment, cwd=ROOT, **quiet) for _ in range(told.processes)]
        known: dict[int, Any] = {}
        for kill in range(told.kills):
            is_early = draw.random() < EARLY  # else at some time after something new was finished
            begin, limit, seen = time.monotonic(), draw.uniform(0.0, LONGEST), None
            processes = start()
            while any(process.poll() is None for process in processes):
                time.sleep(0.02)
                if seen is None and (is_early or len(trials(folder, told.storage)) > len(known)):
                    seen = time.monotonic()
                if seen is not None and time.monotonic() - seen > limit:
                    break
            for process in processes:
                process.kill()
                process.wait()
            found = trials(folder, told.storage)
            lost = [number for number, trial in known.items() if found.get(number) != trial]
            wrong += [f"kill {kill}: trial {number} is lost or another" for number in lost]
            if len(known) == told.trials:
                wrong.append(f"kill {kill}: all trials were finished before, so --trials is too small")
            seconds = time.monotonic() - begin
            rows.append({"seconds": seconds, "finished_before": len(known), "finished": len(found)})
            print(f"kill {kill} after {seconds:.1f} s: {len(found)} trials finished, {len(lost)} lost", flush=True)
            known = found
        codes = [process.wait() for process in start()]
        found = trials(folder, told.storage)
    wrong += [f"trial {number} is lost or another" for number, trial in known.items() if found.get(number) != trial]
    if any(codes):
        wrong.append(f"at last the command ended with {codes}")
    if sorted(found) != list(range(told.trials)):
        wrong.append(f"the study holds {len(found)} trials, expected {told.trials}")
    if len({json.dumps(params) for _, params, _ in found.values()}) < len(found):
        wrong.append("trials are there twice")
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {"settings": vars(told), "machine": machine(), "kills": rows, "trials": len(found), "wrong": wrong}
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{len(found)} of {told.trials} trials after {told.kills} kills", *wrong, sep="\n")
    raise SystemExit(int(bool(wrong)))


if __name__ == "__main__":
    main()
