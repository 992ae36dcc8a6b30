"""Where trials are trained: in this process, by the program that their settings ask for."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from rl_fn import loops
from rl_fn.search import space
from rl_fn.search.host import HostProgram
from rl_fn.search.plan import Plan, Statics
from rl_fn.search.program import Placed, Program


class Refused(ValueError):
    """An agent cannot be made with what a trial is to be trained with."""


class TrainerLost(Exception):
    """A trainer has ended, with all that it was at; it may be asked again."""


class Trained(NamedTuple):
    """What copies of a program came to."""

    returns: np.ndarray  # [copies, episodes], of those that were trained, by their numbers
    seconds: float  # of training and evaluation, without what a program needs once


class Trainer(Protocol):
    """Who trains trials."""

    def train(
        self, statics: Statics, placed: Mapping[int, Placed], anew: Collection[int], parts: int, stop: loops.Stop
    ) -> Trained | None:
        """Trains copies of a program for a part of a run, and plays whole episodes with each.

        Args:
          statics: which program.
          placed: what each copy trains.
          anew: the copies that begin; the others go on from their last part.
          parts: of so many that a whole run has.
          stop: asked every second or so.

        Returns:
          What they came to; None where `stop` said true.

        Raises:
          Refused: if there is no agent for the program.
          TrainerLost: if nothing of it is left; all that it was at begins anew.
          RunError: if nothing can be trained any more.
        """

    def close(self) -> None:
        """Lets go of environments and processes."""


class LocalTrainer:
    """Trains in this process; programs are made once, and kept."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self.programs: dict[Statics, Program | HostProgram] = {}
        self._done: dict[Statics, int] = {}  # parts, since all copies of a program began at once

    def train(
        self, statics: Statics, placed: Mapping[int, Placed], anew: Collection[int], parts: int, stop: loops.Stop
    ) -> Trained | None:
        """See Trainer."""
        program = self._program(statics)
        if anew:
            program.place({copy: placed[copy] for copy in anew})
        if len(anew) == len(placed):
            self._done[statics] = 0
        begin = time.monotonic()
        try:
            returns = program.train(sorted(placed), self._next_iterations(statics, parts), stop)
        except loops.Stopped:
            return None
        return Trained(returns, time.monotonic() - begin)

    def close(self) -> None:
        """See Trainer."""
        for program in self.programs.values():
            program.close()
        self.programs.clear()

    def _next_iterations(self, statics: Statics, parts: int) -> int:
        """Of the next part: so many parts in a row are a whole run, from whichever on a copy begins."""
        whole, done = self._plan.iterations(statics), self._done[statics]
        self._done[statics] = done + 1
        return -(-(done + 1) * whole // parts) + (-done * whole // parts)

    def _program(self, statics: Statics) -> Program | HostProgram:
        if statics not in self.programs:
            plan, names = self._plan, space.tensors(self._plan.space)
            episodes = plan.config.eval_episodes
            try:
                make = plan.make(statics)
            except ValueError as error:
                raise Refused(str(error)) from None
            self.programs[statics] = (
                Program(make, plan.env, names, plan.copies, episodes)
                if plan.env
                else HostProgram(make, plan.run_config.make_env, names, episodes, plan.iterations(statics))
            )
        return self.programs[statics]
