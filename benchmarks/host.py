"""Stepping host environments through `loops.host_train`, against EnvPool's own loop.

    python benchmarks/host.py [--write]

Eight games of Pong by EnvPool (`pip install "rl-fn[envpool]"`). Ours acts at random with a compiled function and
updates nothing, so what is measured is what the loop adds. The two sides take turns; the ratio is the median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import envpool
import numpy as np
import tensorflow as tf
from machine import machine

from rl_fn import envs, loops, random
from rl_fn.agents.base import ActorStep, Agent, Schedule

RESULTS = Path(__file__).parent / "results" / "host.json"
NUM_ENVS, ROLLOUT, ITERATIONS, ROUNDS = 8, 32, 30, 15


class Nothing(NamedTuple):
    """A state without parameters."""

    policy: tf.Tensor  # nothing that anyone reads


def random_agent(num_actions: int) -> Agent:
    """Acts at random and learns nothing."""

    def act(policy: Any, actor: Any, observation: Any, key: random.Key, mode: str) -> ActorStep:
        del policy, mode
        return ActorStep(random.randint(key, [observation.shape[0]], 0, num_actions), actor, {})

    def update(state: Any, trajectory: Any, key: random.Key) -> tuple[Any, dict[str, tf.Tensor]]:
        del key
        return state, {"reward": tf.reduce_mean(trajectory.reward)}

    schedule = Schedule(NUM_ENVS, ROLLOUT)
    return Agent(schedule, lambda key: Nothing(tf.constant(0)), lambda batch_size: (), act, update)


def ours() -> Callable[[], float]:
    """Steps per second of `host_train`."""
    env = envs.make("envpool:Pong-v5", num_envs=NUM_ENVS)
    agent = random_agent(int(env.spec.action_space.n))
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))
    chunks = loops.host_train(agent, env, compiled, iterations=10**6, chunk_seconds=1e9, max_chunk=ITERATIONS)

    def run() -> float:
        chunk = next(chunks)
        return chunk.iterations * ROLLOUT * NUM_ENVS / chunk.seconds

    return run


def bare() -> Callable[[], float]:
    """Steps per second of EnvPool's own loop."""
    env = envpool.make("Pong-v5", env_type="gymnasium", num_envs=NUM_ENVS)
    env.reset()
    rng = np.random.default_rng(0)

    def run() -> float:
        begin = time.perf_counter()
        for _ in range(ITERATIONS * ROLLOUT):
            env.step(rng.integers(env.action_space.n, size=NUM_ENVS))
        return ITERATIONS * ROLLOUT * NUM_ENVS / (time.perf_counter() - begin)

    return run


def main() -> None:
    """Prints the speeds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name} beside this file")
    args = parser.parse_args()
    sides = {"rl_fn": ours(), "envpool": bare()}
    for run in sides.values():
        run()
    speeds = [{name: run() for name, run in sides.items()} for _ in range(ROUNDS)]
    rates = {name: round(statistics.median(speed[name] for speed in speeds)) for name in sides}
    ratio = round(statistics.median(speed["rl_fn"] / speed["envpool"] for speed in speeds), 3)
    for name, rate in rates.items():
        print(f"{name:8} {rate:10,} steps/s")
    print(f"ratio {ratio:.2f}")
    if args.write:
        RESULTS.write_text(json.dumps({"machine": machine(), "steps_per_s": rates, "ratio": ratio}, indent=1) + "\n")


if __name__ == "__main__":
    main()
