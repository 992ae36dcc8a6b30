"""Statistics of few runs.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice".

Scores are lists of arrays, one per environment: `[runs, ...]` with whatever axes belong to a run (points of a curve).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

Scores: TypeAlias = Sequence[np.ndarray]  # per environment [runs, ...]
# From scores whose runs are on axis 1, `[resamples, runs, ...]`, to a value of each resample `[resamples, ...]`
Statistic: TypeAlias = Callable[[Scores], np.ndarray]

RESAMPLES = 2_000
_AT_ONCE = 1 << 22  # numbers that are held while resampling


def iqm(scores: Scores) -> np.ndarray:
    """The interquartile mean: that of the middle half of all runs in all environments.

    A quarter of the values, rounded down, is left out at each end. NaN where one of them is NaN.
    """
    values = np.sort(np.concatenate(scores, axis=1), axis=1)
    cut = values.shape[1] // 4
    middle = values[:, cut : values.shape[1] - cut].mean(axis=1)
    return np.where(np.isnan(values[:, -1]), np.nan, middle)  # where a NaN is sorted to


def mean(scores: Scores) -> np.ndarray:
    """The mean of all runs in all environments."""
    return np.concatenate(scores, axis=1).mean(axis=1)


def median(scores: Scores) -> np.ndarray:
    """The median over all runs in all environments."""
    return np.median(np.concatenate(scores, axis=1), axis=1)


def of(statistic: Statistic, scores: Scores) -> np.ndarray:
    """The statistic of the scores themselves."""
    return statistic([np.asarray(one, np.float64)[np.newaxis] for one in scores])[0]


def interval(
    statistic: Statistic, scores: Scores, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The stratified bootstrap interval of a statistic: runs are drawn with replacement, in each environment alone.

    Args:
      statistic: of the scores.
      scores: `[runs, ...]` of each environment.
      level: the share of resamples inside of the interval, as many of the others below as above.
      resamples: how many.
      seed: of the draws.

    Returns:
      Its ends.
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, min(resamples, _AT_ONCE // max(1, sum(np.size(one) for one in scores))))
    values = []
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        drawn = [np.asarray(one, np.float64)[rng.integers(len(one), size=(count, len(one)))] for one in scores]
        values.append(statistic(drawn))
    low, high = np.quantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def probability_of_improvement(scores: Scores) -> np.ndarray:
    """How likely a run of the second half of the scores is better than one of the first half in the same environment.

    Agarwal et al. (2021), section 4.3: the mean over environments of the Mann-Whitney statistic, where equal scores
    count half.

    Args:
      scores: those of one algorithm in each environment, then those of another in the same ones.
    """
    half = len(scores) // 2
    pairs = zip(scores[:half], scores[half:], strict=True)
    each = []
    for before, after in pairs:
        larger = after[:, :, np.newaxis] > before[:, np.newaxis]
        equal = after[:, :, np.newaxis] == before[:, np.newaxis]
        each.append((larger + 0.5 * equal).mean(axis=(1, 2)))
    return np.mean(each, axis=0)


def profile(thresholds: np.ndarray) -> Statistic:
    """The share of runs above each threshold, averaged over environments: a performance profile (section 4.2)."""

    def above(scores: Scores) -> np.ndarray:
        return np.mean([(one[:, :, np.newaxis] > thresholds).mean(axis=1) for one in scores], axis=0)

    return above
