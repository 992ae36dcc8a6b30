"""What loops say of a chunk of iterations, and how they are told to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rl_fn._src.loops.compile import Running
from rl_fn._src.loops.finite import NonFiniteError, nonfinite
from rl_fn._src.loops.rollout import Episodes
from rl_fn.envs.host.failures import EnvFailed
from rl_fn.struct import Mean, Metrics

# Whether a loop is to end: asked about every second or more often, and answered at once.
Stop: TypeAlias = Callable[[], bool]


class Stopped(Exception):
    """A loop that was told to end before its time."""


def never() -> bool:
    """A loop goes on to its end."""
    return False


class StepReport(NamedTuple):
    """What an iteration has to say, or the sums of it over many."""

    metrics: Metrics  # the agent's, under its own names
    episodes: Episodes  # float32[]: totals over the environments


class EpisodeMeans(NamedTuple):
    """Episodes that ended, as arrays; the means are NaN where none did."""

    count: Any  # tuples have a method of that name, which no array is
    episode_return: np.ndarray
    episode_length: np.ndarray


class Chunk(NamedTuple):
    """What a training loop reports between two chunks; arrays are `[]`, or `[copies]`."""

    iteration: int  # iterations done in all
    iterations: int  # of these, in this chunk
    seconds: float  # this chunk took; the first of a run includes compilation
    compiled: bool  # whether this chunk compiled the step
    metrics: dict[str, np.ndarray]  # the agent's, means over the chunk; names with nothing to report are left out
    episodes: EpisodeMeans
    nonfinite: tuple[tuple[str, int], ...] = ()  # metrics that are infinite or NaN: the name, and in which copy

    def to_json(self) -> dict[str, Any]:
        """What it reports, as JSON holds it."""
        metrics = {name: np.asarray(value).tolist() for name, value in self.metrics.items()}
        episodes = {name: np.asarray(value).tolist() for name, value in self.episodes._asdict().items()}
        return {**self._asdict(), "metrics": metrics, "episodes": episodes, "nonfinite": []}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Chunk:
        """The chunk that `to_json` wrote."""
        metrics = {name: np.asarray(value) for name, value in content["metrics"].items()}
        episodes = EpisodeMeans(**{name: np.asarray(value) for name, value in content["episodes"].items()})
        return cls(**{**content, "metrics": metrics, "episodes": episodes, "nonfinite": ()})


def chunked(
    iterate: Callable[[int], None],
    drain: Callable[[], StepReport],
    done: int,
    iterations: int,
    chunk_seconds: float,
    max_chunk: int | None,
    pause_every: int | None,
    measured: Callable[[int, float], dict[str, np.ndarray]] = lambda size, seconds: {},
) -> Iterator[Chunk]:
    """Makes chunks of iterations that are calls.

    Args:
      iterate: does the iteration of that number. Where it raises Stopped, EnvFailed or NonFiniteError, it is lost, and
        a chunk with those before it is the last; the latter two are raised after that.
      drain: waits for what has begun, and returns the sums since the last call.
      done: iterations so far.
      iterations: the number to reach.
      chunk_seconds: as that of the loop, and so are the arguments that follow.
      max_chunk: see there.
      pause_every: see there.
      measured: more metrics of a chunk, by its iterations and seconds.
    """
    first, is_stopped = True, False
    failure: EnvFailed | NonFiniteError | None = None
    while done < iterations and not is_stopped:
        limit = min(iterations - done, max_chunk or iterations, 1 if first else iterations)
        if pause_every:
            limit = min(limit, pause_every - done % pause_every)
        begin, size = time.perf_counter(), 0
        try:
            while size < limit and (not size or time.perf_counter() - begin < chunk_seconds):
                iterate(done + size)
                size += 1
        except Stopped:
            is_stopped = True
        except (EnvFailed, NonFiniteError) as error:
            failure = error
        sums = drain()
        seconds = time.perf_counter() - begin
        done += size
        if size:
            metrics, episodes = summarize(sums, size)
            metrics |= measured(size, seconds)
            yield Chunk(done, size, seconds, first, metrics, episodes, nonfinite_metrics(sums))
        if failure is not None:
            raise failure
        first = False


def summarize(sums: StepReport, iterations: int) -> tuple[dict[str, np.ndarray], EpisodeMeans]:
    """Turns sums over iterations into means of the metrics, and episode totals into means over episodes.

    A metric with a count of 0 is left out. Among copies it is NaN where only some of them have nothing to report.

    Args:
      sums: from `Compiled.run`.
      iterations: how many were summed, which is the count of metrics that are plain scalars.
    """
    count = sums.episodes.count
    episodes = EpisodeMeans(count, _mean(sums.episodes.return_sum, count), _mean(sums.episodes.length_sum, count))
    return means(sums.metrics, iterations), episodes


def nonfinite_metrics(sums: StepReport) -> tuple[tuple[str, int], ...]:
    """The names of metrics whose sums are infinite or NaN, and the copies in which they are."""
    totals = {name: value.total if isinstance(value, Mean) else value for name, value in sums.metrics.items()}
    totals["episode_return"] = sums.episodes.return_sum
    shape = np.shape(sums.episodes.count)
    return tuple(nonfinite(totals, *shape))


def means(sums: dict[str, Any], iterations: int) -> dict[str, np.ndarray]:
    """The part of `summarize` that deals with metrics."""
    pairs = {name: value if isinstance(value, Mean) else Mean(value, iterations) for name, value in sums.items()}
    return {name: _mean(*pair) for name, pair in pairs.items() if np.any(pair.count)}


def iterations_done(label: str, running: Running, start: int | None) -> int:
    """Where a loop begins: `start`, which must be where the state is, or that.

    Raises:
      ValueError: if the two differ.
    """
    if not hasattr(running.spec, "iteration"):
        return start or 0
    done = int(np.max(running.read(lambda state: state.iteration)))
    if start not in (None, done):
        raise ValueError(f"{label}: start is {start}, expected the {done} iterations that the state has done")
    return done


def _mean(total: Any, count: Any) -> np.ndarray:
    return np.asarray(total / np.where(np.equal(count, 0), np.nan, count), np.result_type(total))
