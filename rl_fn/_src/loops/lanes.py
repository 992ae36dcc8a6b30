"""Which of the workers' rollouts make the next trajectory, and which worker may begin another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

AHEAD = 2  # updates' worth of rollouts that workers may be ahead of the learner


class Piece(NamedTuple):
    """A rollout of one worker: a share of the environments of a trajectory."""

    worker: int
    generation: int  # how often the worker was replaced before
    number: int  # rollouts of the worker before this one, in this generation
    version: int  # updates that the policy had had that acted
    buffer: np.ndarray  # uint8[...]: the Transition `[T, B / workers, ...]`, see `Layout`


class Taken(NamedTuple):
    """What makes a trajectory."""

    pieces: list[Piece]  # by lanes: the first has the first environments of the schedule
    is_cut: bool  # whether some environments of it do not go on where the trajectory before it ended


class Lanes:
    """The environments of an agent's schedule in as many lanes as there are workers, and what waits to fill them.

    A lane is meant for the rollouts of its own worker, one after the other. So the learner would wait for the slowest
    worker: where that is late, a second rollout of a faster one takes its place, and the lanes in which that happens
    do not go on where they ended.

    Args:
      num_workers: the lanes.
      max_lag: updates that the policy may be behind that acted in what is learned from; what is older is dropped. None
        for any. With 0 no worker acts during an update, so that acting and updating take turns.
      has_streams: whether the agent cares that a lane goes on where it ended. If not, first come, first served.
    """

    def __init__(self, num_workers: int, max_lag: int | None, has_streams: bool):
        self._num, self._max_lag, self._has_streams = num_workers, max_lag, has_streams
        self._ahead = AHEAD if max_lag is None else min(max_lag, AHEAD)
        self._waiting: list[Piece] = []  # oldest first
        self._filled: list[tuple[int, int, int] | None] = [None] * num_workers  # the piece that goes on in each lane
        self._is_updating = False  # on what was taken last
        self.dropped = 0  # pieces that were too old

    def may_begin(self, acting: int) -> bool:
        """Whether one more worker may act with the newest policy, where so many are acting already."""
        return (len(self._waiting) + acting) // self._num + self._is_updating <= self._ahead

    def num_waiting(self, worker: int) -> int:
        """Rollouts of a worker that wait to be learned from."""
        return sum(piece.worker == worker for piece in self._waiting)

    def add(self, piece: Piece) -> None:
        """Keeps what a worker has acted."""
        self._waiting.append(piece)

    def take(self, updates: int, is_late: Callable[[int], bool]) -> Taken | None:
        """Takes a trajectory; None where there is none yet.

        Args:
          updates: that the newest policy has had.
          is_late: whether a worker is not to be waited for, because it has been acting for long, or acts nothing.
        """
        if self._max_lag is not None:
            fresh = [piece for piece in self._waiting if updates - piece.version <= self._max_lag]
            self.dropped += len(self._waiting) - len(fresh)
            self._waiting = fresh
        if len(self._waiting) < self._num:
            return None
        chosen: dict[int, Piece] = {}
        for piece in self._waiting:
            chosen.setdefault(piece.worker, piece)
        others = [piece for piece in self._waiting if chosen[piece.worker] is not piece]
        missing = [lane for lane in range(self._num) if lane not in chosen]
        if self._has_streams and not all(map(is_late, missing)):
            return None
        chosen |= dict(zip(missing, others, strict=False))
        pieces = [chosen[lane] for lane in range(self._num)]
        taken = {id(piece) for piece in pieces}
        self._waiting = [piece for piece in self._waiting if id(piece) not in taken]
        is_cut = any(
            before is not None and before != piece[:3] for before, piece in zip(self._filled, pieces, strict=True)
        )
        self._filled = [(piece.worker, piece.generation, piece.number + 1) for piece in pieces]
        self._is_updating = True
        return Taken(pieces, is_cut and self._has_streams)

    def updated(self) -> None:
        """The update on what was taken is done, and its policy may act."""
        self._is_updating = False
