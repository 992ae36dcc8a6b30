"""Whether runs outlive what a cluster of Ray loses: nodes and workers killed at random moments.

    python benchmarks/cluster.py --runs acting copies --nodes 3 --actors 10

Starts a cluster of a head without workers and two nodes on loopback, trains on it with `--ray_address`, and kills
nodes, which are replaced, and processes of workers. The run is cut into as many parts as there are kills, and each is
at a random step of its part or, where that has passed, at the first checkpoint after the kill before. Prints what the
run told, and fails unless it lived through all kills, told of each worker that was killed, and ended with its full
number of steps. Needs the extra `workers`.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
_NODE: dict[str, Any] = {"node_ip_address": "127.0.0.1", "object_store_memory": 10**8}
PPO = "num_envs=4,rollout_length=32,hidden_sizes=(16,)"
STEPS = 4 * 32  # of an iteration
RUNS = {  # how many steps, and what trains: a step of the first takes two milliseconds in which nothing is computed
    "acting": (200_000, ["--hparams=ppo", "--env=SleepingCartPole-v1", "--import=workers"]),
    "copies": (4_000_000, ["--hparams=ppo_cartpole", "--copies=4"]),
}


def iteration(folder: Path) -> int:
    """Where the newest checkpoint of a run is; 0 for none."""
    names = [path.stem.rpartition("_")[2] for path in folder.glob("run_0/checkpoints/iteration_*")]
    return max([int(name) for name in names if name.isdecimal()], default=0)


def workers() -> list[psutil.Process]:
    """The processes that act or train, which their titles name."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if one.name().startswith(("ray::Worker", "ray::Program")):
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


def add(cluster: Any, **options: Any) -> Any:
    """Adds a node, the head first; Ray waits for it for half a minute, and a busy machine may take longer."""
    for attempts_left in reversed(range(5)):
        try:
            return cluster.add_node(**options, **_NODE)
        except Exception as error:
            if not attempts_left:
                raise
            print(f"# a node is started again: {error}", file=sys.stderr, flush=True)
    raise AssertionError("the last attempt returns or raises")


def outlive(name: str, steps: int, kinds: list[str], dice: random.Random) -> None:
    """Trains one run while nodes and workers are killed, and prints what came of it.

    Args:
      name: of `RUNS`.
      steps: to train.
      kinds: what to kill, "node" or "worker", in this order.
      dice: says when, and which.

    Raises:
      RuntimeError: if the run ended before all kills, short of its steps, or untold of a worker that was killed.
    """
    from ray.cluster_utils import Cluster

    begin = time.monotonic()
    cluster = Cluster()
    add(cluster, num_cpus=0, include_dashboard=False)
    nodes = [add(cluster, num_cpus=2) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.txt"
        process = _started(name, steps, folder, cluster.address, told)
        atexit.register(process.kill)
        killed = {"node": 0, "worker": 0}
        part = steps // STEPS / (len(kinds) + 1)
        last = 0  # where the run was at the kill before
        for number, kind in enumerate(kinds):
            moment = max((number + 0.5 + dice.random() / 2) * part, last + 1)
            while process.poll() is None and (last := iteration(Path(folder))) < moment:
                time.sleep(0.1)
            if process.poll() is not None:
                break
            if kind == "node":
                cluster.remove_node(nodes.pop(dice.randrange(2)), allow_graceful=False)
                nodes.append(add(cluster, num_cpus=2))
            else:
                while not (there := workers()):
                    time.sleep(0.1)
                os.kill(dice.choice(there).pid, signal.SIGKILL)
            killed[kind] += 1
            print(f"# {name}: {kind} killed at iteration {iteration(Path(folder))}", file=sys.stderr, flush=True)
        code = process.wait()
        lines = told.read_text().splitlines()
        summaries = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("run_*/summary.json"))]
    cluster.shutdown()
    done = sorted({summary["env_steps"] for summary in summaries})
    replaced = sum("is replaced" in line for line in lines)
    row: list[Any] = [name, len(summaries), *killed.values(), replaced, code, done, f"{time.monotonic() - begin:.0f} s"]
    print(f"| {' | '.join(map(str, row))} |", flush=True)
    is_whole = not code and done and done[0] >= steps
    if not is_whole or sum(killed.values()) < len(kinds) or replaced < killed["worker"]:
        raise RuntimeError("\n".join(lines[-20:]))


def _started(name: str, steps: int, folder: str, address: str, told: Path) -> subprocess.Popen:
    where = ["--output_dir", folder, "--num_workers=2", "--ray_address", address, "--quiet"]
    length = [f"--train_steps={steps}", "--eval_episodes=2", f"--eval_interval={steps // 4}", "--checkpoint_seconds=1"]
    command = ["train", *RUNS[name][1], "--hparam_override", PPO, *where, *length]
    with told.open("w") as file:
        return subprocess.Popen([sys.executable, "-m", "rl_fn", *command], stdout=file, stderr=subprocess.STDOUT)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=tuple(RUNS), default=list(RUNS))
    parser.add_argument("--train_steps", type=int, help="of each run, where not enough for its kills")
    parser.add_argument("--nodes", type=int, default=3, help="to kill in each run")
    parser.add_argument("--actors", type=int, default=10, help="workers to kill in each run")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the run ends, too
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the latter: on loopback
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])  # of nodes and runs alike
    print("| run | copies | nodes killed | workers killed | told as replaced | exit code | steps | took |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in args.runs:
        dice = random.Random(args.seed)
        kinds = ["node"] * args.nodes + ["worker"] * args.actors
        dice.shuffle(kinds)
        outlive(name, args.train_steps or RUNS[name][0], kinds, dice)


if __name__ == "__main__":
    main()
