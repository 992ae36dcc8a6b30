"""Whether runs outlive what a cluster of Ray loses: nodes and actors killed at random moments.

    python benchmarks/cluster.py --nodes 2 --actors 4

Starts a cluster of a head without workers and two nodes on loopback, trains on it with `--ray_address`, and kills a
node, which is replaced, or the process of an actor, until so many of both are gone. Prints what the run told of it and
fails unless every run ended with its full number of steps. Needs the extra `workers`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

_HOST = "127.0.0.1"
_STORE_BYTES = 10**8
_PPO = "num_envs=4,rollout_length=32,hidden_sizes=(16,)"
_RUNS = {
    "acting": ["--hparams", "ppo", "--env", "gymnasium:CartPole-v1", "--hparam_override", _PPO],
    "copies": ["--hparams", "ppo_cartpole", "--hparam_override", _PPO, "--copies", "4"],
}


def _actors() -> list[psutil.Process]:
    """The processes that act or train, which their titles name."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if one.name().startswith("ray::") and "IDLE" not in one.name():
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


def outlive(name: str, steps: int, nodes: int, actors: int, seconds: float, dice: random.Random) -> None:
    """Trains one run while nodes and actors are killed, and prints what came of it.

    Raises:
      RuntimeError: if the run did not end with its full number of steps.
    """
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": _HOST, "num_cpus": 2, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
    with tempfile.TemporaryDirectory() as folder:
        running = [cluster.add_node(**node), cluster.add_node(**node)]
        common = ["--output_dir", folder, "--num_workers", "2", "--ray_address", cluster.address, "--quiet"]
        length = ["--train_steps", str(steps), "--eval_episodes", "2", "--checkpoint_seconds", "1"]
        command = [sys.executable, "-m", "rl_fn", "train", *_RUNS[name], *common, *length]
        told = Path(folder) / "told.txt"
        with told.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None and not list(Path(folder).glob("run_0/checkpoints/iteration_*")):
            time.sleep(0.5)
        kills = ["node"] * nodes + ["actor"] * actors
        dice.shuffle(kills)
        killed = {"node": 0, "actor": 0}
        for kind in kills:
            time.sleep(dice.uniform(0.5, 1.5) * seconds)
            if process.poll() is not None:
                break
            if kind == "node":
                cluster.remove_node(running.pop(dice.randrange(2)), allow_graceful=False)
                running.append(cluster.add_node(**node))
            elif there := _actors():
                os.kill(dice.choice(there).pid, signal.SIGKILL)
            else:
                continue
            killed[kind] += 1
        code = process.wait()
        lines = told.read_text().splitlines()
        summaries = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("run_*/summary.json"))]
    cluster.shutdown()
    done = [summary["env_steps"] for summary in summaries]
    replaced = sum("is replaced" in line for line in lines)
    print(f"| {name} | {killed['node']} | {killed['actor']} | {replaced} | {code} | {done} |", flush=True)
    if code or not done or min(done) < steps:
        raise RuntimeError("\n".join(lines[-20:]))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=tuple(_RUNS), default=list(_RUNS))
    parser.add_argument("--train_steps", type=int, default=2_000_000)
    parser.add_argument("--nodes", type=int, default=2, help="to kill in each run")
    parser.add_argument("--actors", type=int, default=4, help="to kill in each run")
    parser.add_argument("--seconds", type=float, default=20.0, help="between two of these, in the mean")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    print("| run | nodes killed | actors killed | told as replaced | exit code | steps of each copy |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in args.runs:
        outlive(name, args.train_steps, args.nodes, args.actors, args.seconds, random.Random(args.seed))


if __name__ == "__main__":
    main()
