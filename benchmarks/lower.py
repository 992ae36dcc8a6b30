"""Lowers training steps for a platform that need not be here: `python benchmarks/lower.py GPU [--sets NAME ...]`.

Prints, as JSON, what became of each named set of hyper-parameters: bytes of HLO and seconds, or the error.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from rl_fn import envs, loops, random, sets

# Sets that name a compiled environment; the others are for any environment, and their agents are among these.
SETS = [name for name, named in sets.SETS.items() if named.env in envs.names("compiled")]


class Lowered(NamedTuple):
    """A training step as TensorFlow hands it to XLA."""

    hlo: bytes  # a serialised HloModuleProto
    state_leaves: int  # the arguments after the first, which is the number of iterations, and the first results
    seconds: float  # for tracing and lowering


def lower(name: str, platform: str) -> Lowered:
    """Lowers the program of a whole chunk of training, as `rl-fn train --hparams NAME` runs it."""
    named = sets.SETS[name]
    values = sets.make(named)
    env = envs.make(f"compiled:{named.env}", **named.env_kwargs)
    agent = sets.agent_module(named.agent).make(env.spec, values)
    if agent.schedule.is_offline:
        state, step = loops.init_offline_state(agent, random.key(0)), loops.offline_step(agent)
    else:
        state, step = loops.init_state(agent, env, random.key(0)), loops.train_step(agent, env)
    compiled = loops.compile(step, state)
    start = time.perf_counter()
    hlo = compiled.lower(platform)
    return Lowered(hlo, len(tf.nest.flatten(state)), time.perf_counter() - start)


def first_line(error: Exception) -> str:
    """The error in one line that fits a table."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def main() -> None:
    """Prints the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("platform", choices=["CPU", "GPU", "TPU"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME")
    args = parser.parse_args()
    results: dict[str, dict[str, float | str]] = {}
    for name in args.sets:
        try:
            lowered = lower(name, args.platform)
            results[name] = {"hlo_bytes": len(lowered.hlo), "seconds": round(lowered.seconds, 1)}
        except Exception as error:  # whatever TensorFlow refuses is what is looked for
            results[name] = {"error": first_line(error)}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
