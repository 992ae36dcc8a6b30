"""What a trial is worth, by the returns of its evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rl_fn.media import statistics


def score(returns: np.ndarray) -> float:
    """The interquartile mean over seeds and episodes (Agarwal et al., 2021).

    Args:
      returns: `[seeds, episodes]`.
    """
    return float(statistics.of(statistics.iqm, [np.ravel(returns)]))


def finite(score: float) -> float:
    """A score by which the best can be found: who came to no number is the worst."""
    return score if math.isfinite(score) else -math.inf


def value(scores: Sequence[float], objective: str) -> float:
    """What counts of the evaluations so far, evenly spaced over a run.

    Args:
      scores: of each, in their order.
      objective: "final" for the last one, "auc" for the area under their curve, which is their mean.
    """
    return float(scores[-1] if objective == "final" else np.mean(scores))
