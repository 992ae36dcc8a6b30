"""How the sides take turns: each is a process that stays alive and answers lines of JSON on its pipes.

Nothing but the standard library is imported here, because every side reads it in an environment of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from cases import EPISODES, Case, find

FOLDER = Path(__file__).parent


class Side(Protocol):
    """A training that can be continued."""

    def run(self, iterations: int) -> None:
        """Trains for that many iterations, and returns when they are done."""

    def settle(self, iterations: int) -> dict[str, Any]:
        """Trains a little before the turns, to choose what is fastest on this machine; returns what was chosen."""

    def evaluate(self, episodes: int) -> float:
        """The mean return of that many whole episodes in each copy."""


def serve(make: Callable[[Case], Side], packages: tuple[str, ...]) -> None:
    """Makes the side of the case on the command line, trains to its first update, and then does as it is told.

    Args:
      make: makes the side; what it imports should have been imported before.
      packages: those whose versions are reported.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    case = find(sys.argv[1])
    imported = peak_megabytes()
    begin = time.perf_counter()
    side = make(case)
    side.run(case.first_iterations)
    seconds = time.perf_counter() - begin
    answer(seconds=seconds, versions={name: metadata.version(name) for name in packages})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "run":
            begin = time.perf_counter()
            side.run(command["iterations"])
            answer(seconds=time.perf_counter() - begin)
        elif command["do"] == "settle":
            answer(chosen=side.settle(command["iterations"]))
        elif command["do"] == "memory":
            answer(whole=peak_megabytes(), above_imports=peak_megabytes() - imported)
        else:
            answer(episode_return=side.evaluate(EPISODES))


def peak_megabytes() -> float:
    """The most that this process has had in memory so far, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


class Process:
    """A side, seen from the script that drives it."""

    def __init__(self, python: Path, module: str, case: Case, environment: Mapping[str, str]):
        self._name = f"{module} in case {case.name}"
        self._folder = tempfile.TemporaryDirectory()
        self._said = Path(self._folder.name) / "stderr"
        begin = time.perf_counter()
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [str(python), "-m", module, case.name],
                cwd=FOLDER,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        first = self._answer()
        self.versions: dict[str, str] = first["versions"]
        self.first_update = {"from_start": time.perf_counter() - begin, "after_imports": first["seconds"]}

    def run(self, iterations: int) -> float:
        """Trains on; returns the seconds it took."""
        return self._ask(do="run", iterations=iterations)["seconds"]

    def settle(self, iterations: int) -> dict[str, Any]:
        """Lets the side choose what is fastest; returns what it chose."""
        return self._ask(do="settle", iterations=iterations)["chosen"]

    def evaluate(self) -> float:
        """The mean return of an evaluation."""
        return self._ask(do="evaluate")["episode_return"]

    def memory(self) -> dict[str, float]:
        """Its peak so far in megabytes, and what of that came after the imports."""
        return self._ask(do="memory")

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def _ask(self, **command: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise SystemExit(f"{self._said.read_text()[-5_000:]}\n{self._name} ended with status {status}")
        return json.loads(line)
