"""Whether a run with workers comes back from the death of its learner, and leaves no process behind.

    python benchmarks/killed.py --runs acting copies --kills 10

Starts the run again and again, with a Ray of its own each time, and kills it with SIGKILL: every third time while it
starts, else at a random step of the part of the run that belongs to the kill. Then all its processes must end, Ray's
included, and the next start must go on from the newest checkpoint that there was. Left alone at last, it must make all
its steps, and have told of none twice. Needs the extra `workers`, and Linux.
"""

from __future__ import annotations

import argparse
import atexit
import csv
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
from cluster import PPO, ROOT, RUNS, STEPS, iteration

_MARK = "RL_FN_KILLED_BY"  # in the environment of all processes of a start
_PATIENCE_SECONDS = 120.0


def of_start(mark: str, known: set[psutil.Process]) -> set[psutil.Process]:
    """The processes that belong to a start: those with its mark, those known, and their descendants.

    Processes of Ray that give themselves a title lose what says their environment, and with it the mark.
    """
    found = set()
    for one in {*psutil.process_iter(), *known}:
        try:
            if one in known or one.environ().get(_MARK) == mark:
                found |= {one, *one.children(recursive=True)}
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return {one for one in found if one.is_running() and not _is_dead(one)}


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def outlive(name: str, steps: int, kills: int, dice: random.Random) -> None:
    """Kills one run so often, lets it end, and prints what came of it.

    Raises:
      RuntimeError: if a process stays, or something is lost.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        where = ["--output_dir", made, "--num_workers=2", "--quiet"]
        length = [f"--train_steps={steps}", "--eval_episodes=2", f"--eval_interval={steps}", "--checkpoint_seconds=1"]
        command = [sys.executable, "-m", "rl_fn", "train", *RUNS[name][1], "--hparam_override", PPO, *where, *length]
        newest, usual = 0, 0.0
        for kill in range(kills + 1):
            mark = uuid.uuid4().hex
            begin = time.monotonic()
            process = subprocess.Popen(
                command, env={**os.environ, _MARK: mark}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            atexit.register(process.kill)
            if kill == kills:
                said = process.communicate()[1]
                break
            moment = (kill + dice.random()) * steps / STEPS / (kills + 1)
            limit = begin + usual * dice.random() if kill % 3 == 2 else math.inf
            while process.poll() is None and iteration(folder) <= max(moment, newest) and time.monotonic() < limit:
                usual = usual if iteration(folder) > newest else time.monotonic() - begin
                time.sleep(0.05)
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended before {kills} kills: {process.stderr and process.stderr.read()}")
            left = of_start(mark, set())
            count = len(left)
            process.kill()
            killed, after = time.monotonic(), iteration(folder)
            while (left := of_start(mark, left)) and time.monotonic() - killed < _PATIENCE_SECONDS:
                time.sleep(0.2)
            if left:
                raise RuntimeError(f"{name} leaves {[one.cmdline()[:3] for one in left]}")
            said = process.communicate()[1]
            expected = f"going on from the checkpoint at {newest * STEPS:,} steps"
            gone = f"{time.monotonic() - killed:.0f} s"
            during = "start" if after == newest else "training"
            row = (name, kill + 1, f"{killed - begin:.0f} s", during, newest, after, count, gone)
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            if after < newest or (after > newest > 0 and expected not in said):
                raise RuntimeError(f"{name} was at iteration {newest} and is at {after}: {said}")
            newest = after
        summaries = [json.loads(path.read_text()) for path in folder.glob("run_*/summary.json")]
        if not summaries or process.returncode or f"checkpoint at {newest * STEPS:,} steps" not in said:
            raise RuntimeError(f"{name} did not go on from iteration {newest} to its end: {said}")
        if any(summary["env_steps"] < steps for summary in summaries):
            raise RuntimeError(f"{name} made {[summary['env_steps'] for summary in summaries]} of {steps} steps")
        for table in folder.glob("run_*/metrics.csv"):
            with table.open() as file:
                reached = [int(float(row["env_steps"])) for row in csv.DictReader(file)]
            if any(after <= before for before, after in itertools.pairwise(reached)):
                raise RuntimeError(f"{table} has a report twice: {reached}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=tuple(RUNS), default=list(RUNS))
    parser.add_argument("--train_steps", type=int, help="of each run; by default as many as its kills need")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the run ends, too
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    print("| run | kill | after | during | checkpoint at start | at the kill | processes | gone within |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in args.runs:
        outlive(name, args.train_steps or RUNS[name][0], args.kills, random.Random(args.seed))
        print(f"{name}: all steps were made", flush=True)


if __name__ == "__main__":
    main()
