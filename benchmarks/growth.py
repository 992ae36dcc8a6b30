"""What happens to rl_fn's speed, memory and compilation as the work grows: `python benchmarks/growth.py [--write]`.

One thing grows at a time, from a case of `benchmarks/agents.py`: environments, copies, the replay, the width of hidden
layers, the length of sequences. Each point is a process of its own. Its speed is that of the fastest of three
trainings of half a second or more, or of one where an iteration alone takes ten.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apart
from cases import CASES, Case
from machine import machine
from turns import peak_megabytes

RESULTS = Path(__file__).parent / "results" / "growth.json"
LEAST_SECONDS, LONG_SECONDS, REPETITIONS = 0.5, 10.0, 3


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One thing that grows."""

    case: str
    what: str
    values: tuple[int, ...]
    changed: Callable[[Case, int], Case]


def _with(**settings: Callable[[int], Any]) -> Callable[[Case, int], Case]:
    """A change of settings that depend on the value."""
    return lambda case, value: dataclasses.replace(
        case, settings={**case.settings, **{name: of(value) for name, of in settings.items()}}
    )


SWEEPS = {
    "environments": Sweep(
        "ppo_cartpole_64",
        "environments",
        (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536),
        _with(num_envs=lambda value: value),
    ),
    "copies": Sweep(
        "ppo_cartpole_4",
        "copies of 4 environments",
        (1, 2, 4, 8, 16, 32, 64, 128),
        lambda case, value: dataclasses.replace(case, copies=value),
    ),
    "replay": Sweep(
        "dqn_cartpole",
        "transitions that the replay holds",
        (10_000, 100_000, 1_000_000, 10_000_000),
        _with(replay_capacity=lambda value: value),
    ),
    "units": Sweep(
        "ppo_cartpole_64",
        "units of two hidden layers",
        (16, 32, 64, 128, 256, 512, 1_024, 2_048),
        _with(hidden_sizes=lambda value: (value, value)),
    ),
    "sequences": Sweep(
        "ppo_cartpole_4",
        "steps of a rollout and its sequences, with a GRU",
        (16, 64, 256, 1_024),
        _with(
            rollout_length=lambda value: value,
            sequence_length=lambda value: value,
            memory=lambda _: "gru",
            num_minibatches=lambda _: 1,
        ),
    ),
}


def point(sweep: Sweep, value: int) -> dict[str, Any]:
    """Measures one point, in this process."""
    from sides.ours import Compiled

    case = sweep.changed(CASES[sweep.case], value)
    imported = peak_megabytes()
    begin = time.perf_counter()
    side = Compiled(case)
    side.run(case.first_iterations)
    first = time.perf_counter() - begin
    iterations, seconds = 1, _seconds(side, 1)
    while seconds < LEAST_SECONDS:
        iterations *= 2
        seconds = _seconds(side, iterations)
    if seconds < LONG_SECONDS:
        seconds = min(seconds, *(_seconds(side, iterations) for _ in range(REPETITIONS - 1)))
    return {
        "value": value,
        "steps_per_s": round(iterations * case.steps_per_iteration / seconds),
        "iteration_ms": round(1e3 * seconds / iterations, 3),
        "first_update_s": round(first, 1),
        "megabytes": round(peak_megabytes() - imported),
    }


def _seconds(side: Any, iterations: int) -> float:
    begin = time.perf_counter()
    side.run(iterations)
    return time.perf_counter() - begin


def main() -> None:
    """Prints the sweeps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS), metavar="NAME")
    parser.add_argument("--value", type=int, help="this point of the one sweep alone, as JSON")
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name} beside this file")
    args = parser.parse_args()
    if args.value is not None:
        return print(json.dumps(point(SWEEPS[args.sweeps[0]], args.value)))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.sweeps:
        points = []
        for value in SWEEPS[name].values:
            points.append(apart.measured("growth", "--sweeps", name, "--value", str(value)))
            print(name, points[-1], flush=True)
        results[name] = {"what": SWEEPS[name].what, "case": SWEEPS[name].case, "machine": machine(), "points": points}
        if args.write:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
