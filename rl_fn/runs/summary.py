"""What a run has come to, in numbers: the content of summary.json."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_fn import loops
from rl_fn.envs.host.failures import Failures


class Timing(NamedTuple):
    """How long a run has taken so far, and what was mended on the way; kept in each checkpoint."""

    train_seconds: float = 0.0  # compiled calls, compilation included
    running_seconds: float = 0.0  # of these, without compilation
    running_iterations: int = 0  # done in `running_seconds`
    restarts: int = 0  # of environments on the host
    timeouts: int = 0  # of these, for want of an answer

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Timing:
        """The times that a checkpoint holds; raises ValueError where they cannot be."""
        timing = cls(**content)
        if not all(isinstance(value, int | float) and 0 <= value < math.inf for value in timing):
            raise ValueError(f"progress is {content}, expected numbers of at least 0")
        return timing

    def after(self, chunk: loops.Chunk) -> Timing:
        """The times with those of a chunk."""
        running = not chunk.compiled
        return self._replace(
            train_seconds=self.train_seconds + chunk.seconds,
            running_seconds=self.running_seconds + running * chunk.seconds,
            running_iterations=self.running_iterations + running * chunk.iterations,
        )

    @property
    def failures(self) -> Failures:
        """Of environments, as their counts are reported."""
        return Failures(self.restarts, self.timeouts)

    def mended(self, more: Failures | None) -> Timing:
        """The counts with those of environments that were made again since."""
        return self._replace(**self.failures.plus(more or Failures())._asdict())


def summarize(
    run: Any,
    evaluation: loops.Evaluation | None,
    timing: Timing,
    first_step_seconds: float | None,
    digests: list[str],
) -> list[dict[str, Any]]:
    """What summary.json of each copy holds.

    Args:
      run: the Run, at its end.
      evaluation: the last.
      timing: of the whole run, also before it was resumed.
      first_step_seconds: from the making of the run to its first chunk, compilation included.
      digests: of the state of each copy.
    """
    speed = run.agent.schedule.steps * timing.running_iterations / max(timing.running_seconds, 1e-9)
    returns, _, finished = map(np.atleast_2d, evaluation) if evaluation else (None, None, None)
    return [
        {
            "agent": run.config.agent,
            "env": run.env.spec.name,
            "hparams": run.config.hparams,
            "seed": run.config.seed + copy,
            "env_steps": run.env_steps,
            "updates": run.iteration,
            "eval_return_mean": None if returns is None else float(returns[copy].mean()),
            "eval_return_std": None if returns is None else float(returns[copy].std()),
            "eval_episodes": run.config.eval_episodes,
            "eval_episodes_unfinished": None if finished is None else int((~finished[copy]).sum()),
            "env_steps_per_second": speed,
            "env_steps_per_second_all_copies": speed * run.config.copies,
            "first_step_seconds": first_step_seconds,
            "train_seconds": timing.train_seconds,
            "env_restarts": timing.restarts,
            "env_timeouts": timing.timeouts,
            "state_digest": digest,
        }
        for copy, digest in enumerate(digests)
    ]


def check_summary(summary: Mapping[str, Any], seed: int, env_steps: int) -> None:
    """Checks what a file says that should be the summary of a copy.

    Args:
      summary: what the file holds.
      seed: of the copy.
      env_steps: at the end; a run that is made longer has a summary of fewer.

    Raises:
      ValueError: if it is of another run or copy, or no summary.
    """
    if summary.get("seed") != seed:
        raise ValueError(f"seed is {summary.get('seed')!r}, expected {seed}")
    steps = summary.get("env_steps")
    if not isinstance(steps, int) or not 0 < steps <= env_steps:
        raise ValueError(f"env_steps is {steps!r}, expected {env_steps}")
    # Of a run without evaluations, some are None.
    numbers = ["env_steps_per_second", "train_seconds", "eval_episodes"]
    if summary.get("eval_episodes"):
        numbers += ["eval_return_mean", "eval_return_std", "eval_episodes_unfinished"]
    for name in numbers:
        value = summary.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > sys.float_info.max:
            raise ValueError(f"{name} is {value!r}, expected a number")
