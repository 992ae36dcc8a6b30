"""Runs that last: `python benchmarks/soak.py failures --minutes 60`, and `memory`; needs psutil, Linux or macOS.

`failures` trains in environments in processes, of whose episodes 1% raise, 0.1% hang and 0.1% die. It takes about the
minutes given, and checks that the run makes its full number of steps, that the failures it counts are those that
happened, and that memory and descriptors do not grow. `memory` checks that 500 evaluations and 500 checkpoints of a
compiled run, and of one on the host, keep the memory within 20 MB. What is wrong is said, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gymnasium
import numpy as np
import psutil

STEPS_PER_MINUTE = 20_000
EPISODE = 20  # steps
STEP_SECONDS = 0.006
RATES = {"raise": 0.01, "hang": 0.001, "die": 0.001}  # of episodes
TIMEOUT = 3.0
NUM_ENVS = 4
MEGABYTE = 1e6
ALLOWED_MEGABYTES, ALLOWED_DESCRIPTORS = 20, 2


class Mishaps(gymnasium.Env):
    """A random walk, some of whose episodes end in a mishap, which it notes down before."""

    def __init__(self, notes: str):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._notes = notes
        self._chance = random.Random()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begins an episode, and decides what becomes of it."""
        super().reset(seed=seed)
        self._time = 0
        draw, total = self._chance.random(), 0.0
        self._mishap = ""
        for mishap, rate in RATES.items():
            if total <= draw < total + rate:
                self._mishap, self._when = mishap, self._chance.randint(1, EPISODE)
            total += rate
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Takes its time, and has its mishap when it is due."""
        time.sleep(STEP_SECONDS)
        self._time += 1
        if self._mishap and self._time == self._when:
            with open(self._notes, "a") as file:
                file.write(f"{self._mishap}\n")
            if self._mishap == "raise":
                raise ArithmeticError("the walker fell")
            if self._mishap == "die":
                os._exit(3)
            time.sleep(3_600)
        return self._observation(), float(action), False, self._time == EPISODE, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.normal(size=4).astype(np.float32)


class Sampler:
    """A reporter that looks at the memory, of this process and of its children, and at the descriptors."""

    def __init__(self, pauses_only: bool):
        self._pauses_only = pauses_only
        self.samples: list[dict[str, float]] = []

    def start(self, run: Any) -> None:
        """See `rl_fn.runs.reporters.Reporter`."""

    def report(self, report: Any) -> None:
        """See `rl_fn.runs.reporters.Reporter`."""
        if report.is_pause or not self._pauses_only:
            self.samples.append(sample())

    def close(self) -> None:
        """See `rl_fn.runs.reporters.Reporter`."""

    def grown(self, name: str) -> float:
        """By how much the largest of the last quarter exceeds that of the second quarter; the first is warming up."""
        values = [each[name] for each in self.samples]
        quarter = len(values) // 4
        return max(values[-quarter:]) - max(values[quarter : 2 * quarter])


def sample() -> dict[str, float]:
    """Megabytes and counts, now."""
    process = psutil.Process()
    children = process.children(recursive=True)
    return {
        "megabytes": process.memory_info().rss / MEGABYTE,
        "megabytes_of_children": sum(child.memory_info().rss for child in children) / MEGABYTE,
        "children": len(children),
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
    }


def failures(minutes: float) -> tuple[dict[str, Any], list[str]]:
    """The figures of a run in environments that fail, and what is wrong with them."""
    import rl_fn as rl

    folder = Path(tempfile.mkdtemp(prefix="soak_"))
    notes = str(folder / "notes")
    rl.envs.register("Mishaps-v0", functools.partial(Mishaps, notes), kind="host")
    hparams = rl.agents.dqn.DQNHParams(
        train_steps=int(minutes * STEPS_PER_MINUTE), num_envs=NUM_ENVS, rollout_length=8, learning_starts=100
    ).override(hidden_sizes=(32,), replay_capacity=10_000)
    env = rl.envs.make("Mishaps-v0", NUM_ENVS, backend="process", timeout=TIMEOUT)
    agent = rl.agents.dqn.make(env.spec, hparams)
    sampler = Sampler(pauses_only=False)
    reporters = [rl.runs.reporters.TensorBoard(), rl.runs.reporters.Table(), sampler]
    begin = time.monotonic()
    with rl.runs.Run(
        agent, env, folder / "run", hparams=hparams, eval_episodes=NUM_ENVS, checkpoint_seconds=5, reporters=reporters
    ) as run:
        last = [report.failures for report in run][-1]
    env.close()
    happened = Path(notes).read_text().split()
    counts = {mishap: happened.count(mishap) for mishap in RATES}
    figures = {
        "minutes": (time.monotonic() - begin) / 60,
        "env_steps": run.env_steps,
        "happened": counts,
        "reported": last._asdict(),
        "summary": {name: run.summary[name] for name in ("env_steps", "env_restarts", "env_timeouts")},
        "begin": sampler.samples[len(sampler.samples) // 4],
        "end": sampler.samples[-1],
        "grown": {name: sampler.grown(name) for name in sampler.samples[0]},
        "left_behind": len(psutil.Process().children(recursive=True)),
    }
    wrong = []
    if run.summary["env_steps"] != run.total_steps:
        wrong.append(f"{run.summary['env_steps']} steps of {run.total_steps}")
    if (run.summary["env_restarts"], run.summary["env_timeouts"]) != (len(happened), counts["hang"]):
        wrong.append("failures were counted that did not happen, or not all that did")
    if figures["left_behind"]:
        wrong.append("processes were left behind")
    return figures, wrong + grown(sampler)


def memory(make: Callable[[Any], Any]) -> tuple[dict[str, Any], list[str]]:
    """The figures of many evaluations and checkpoints, and what is wrong with them."""
    import rl_fn as rl

    hparams = rl.agents.dqn.DQNHParams(train_steps=32_000, num_envs=4, rollout_length=16, learning_starts=100).override(
        hidden_sizes=(32,), replay_capacity=1_000
    )
    env = make(hparams.num_envs)
    agent = rl.agents.dqn.make(env.spec, hparams)
    sampler = Sampler(pauses_only=True)
    reporters = [rl.runs.reporters.TensorBoard(), rl.runs.reporters.Table(), sampler]
    folder = tempfile.mkdtemp(prefix="soak_")
    with rl.runs.Run(
        agent,
        env,
        folder,
        hparams=hparams,
        eval_episodes=4,
        eval_interval=agent.schedule.steps,
        checkpoint_seconds=0,
        reporters=reporters,
    ) as run:
        list(run)
    figures = {
        "evaluations": len(sampler.samples),
        "begin": sampler.samples[len(sampler.samples) // 4],
        "end": sampler.samples[-1],
        "grown": {name: sampler.grown(name) for name in sampler.samples[0]},
    }
    return figures, grown(sampler)


def grown(sampler: Sampler) -> list[str]:
    """What has grown more than is allowed."""
    allowed = {
        "megabytes": ALLOWED_MEGABYTES,
        "megabytes_of_children": ALLOWED_MEGABYTES * NUM_ENVS,
        "descriptors": ALLOWED_DESCRIPTORS,
        "threads": ALLOWED_DESCRIPTORS,
    }
    return [f"{name} grew by {sampler.grown(name):.1f}" for name, most in allowed.items() if sampler.grown(name) > most]


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("failures", "memory"))
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="of `failures`, about")
    args = parser.parse_args()
    logging.getLogger("rl_fn").setLevel(logging.CRITICAL)  # thousands of lines
    import rl_fn as rl

    if args.what == "failures":
        found = {"failures": failures(args.minutes)}
    else:
        found = {
            "compiled": memory(lambda num_envs: rl.envs.make("Catch-bsuite")),
            "host": memory(lambda num_envs: rl.envs.make("gymnasium:FrozenLake-v1", num_envs, max_episode_steps=10)),
        }
    print(json.dumps({name: figures for name, (figures, _) in found.items()}, indent=1))
    for name, (_, wrong) in found.items():
        for sentence in wrong:
            print(f"{name}: {sentence}")
    raise SystemExit(int(any(wrong for _, wrong in found.values())))


if __name__ == "__main__":
    main()
