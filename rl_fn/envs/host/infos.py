"""The numbers that environments report in the `info` of an episode's last step. TensorFlow is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_SINGLE = (bool, int, float, np.bool_, np.integer, np.floating)
_OWN = ("TimeLimit.truncated", "final_info", "final_obs", "final_observation", "terminal_observation")


def numbers(info: Any) -> dict[str, float]:
    """Single numbers and truths, also of a dict in it, such as `episode/r`; everything else is left out."""
    found: dict[str, float] = {}
    for name, value in info.items() if isinstance(info, Mapping) else ():
        if not isinstance(name, str) or name in _OWN:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in numbers(value).items()}
        elif isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
            found[name] = float(value.item())
        elif isinstance(value, _SINGLE):
            found[name] = float(value)
    return found


class Infos:
    """Means over the episodes that ended since they were last taken, of each number over those that reported it."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, found: Mapping[str, float]) -> None:
        """Adds the numbers of one episode."""
        self.add_sums({name: (value, 1) for name, value in found.items()})

    def take(self) -> dict[str, float]:
        """The means by name, which begin anew."""
        return {name: total / count for name, (total, count) in self.take_sums().items()}

    def take_sums(self) -> dict[str, tuple[float, int]]:
        """The sums by name, with the number of episodes in each, which begin anew."""
        sums, self._sums = self._sums, {}
        return sums

    def add_sums(self, sums: Mapping[str, tuple[float, int]]) -> None:
        """Adds what `take_sums` of others gave."""
        for name, (more, episodes) in sums.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + more, count + episodes
