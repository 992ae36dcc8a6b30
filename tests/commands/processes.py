"""The command line as users run it: in processes of their own, which take seconds to start."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = "rollout_length=16,hidden_sizes=(16,)"


def start(*args, cwd=ROOT, **env):
    return subprocess.Popen(
        [sys.executable, "-m", "rl_fn", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def train(folder, *args, override="", steps=4_000):
    """The arguments of a small run of PPO."""
    override = ",".join(filter(None, [SMALL, override]))
    flags = ["--hparams", "ppo_cartpole", "--output_dir", folder, "--hparam_override", override]
    return ["train", *map(str, flags), "--train_steps", str(steps), "--eval_episodes", "5", *map(str, args)]


def summary(folder, copy=0):
    return json.loads((folder / f"run_{copy}" / "summary.json").read_text())
