"""Trials of a study, a batch after the other, with one trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rl_fn import loops
from rl_fn.search.plan import Statics
from rl_fn.search.program import Placed
from rl_fn.search.trainer import Refused, Trainer, TrainerLost

if TYPE_CHECKING:
    from rl_fn.search.study import Progress, Study


@dataclasses.dataclass(eq=False)
class Lane:
    """A trial that is being trained."""

    trial: Any  # Optuna's
    values: dict[str, Any]
    scores: list[float] = dataclasses.field(default_factory=list)  # of its evaluations so far


class Batches:
    """Asks a study for trials, has them trained, and tells it what they came to.

    What is not finished when this ends, for whatever reason, waits in the study for who asks next.

    Args:
      study: the study.
      trainer: who trains; nobody else uses it meanwhile.
    """

    def __init__(self, study: Study, trainer: Trainer):
        self._study, self._trainer, self._plan = study, trainer, study.plan
        self._held: list[Lane] = []  # asked for, of another program than that at work

    def run(self, stop: loops.Stop) -> Iterator[Progress]:
        """Trains until there are no more trials; yields the progress whenever some are finished, or lost."""
        while not stop() and (lane := self._take(None)):
            yield from self._batch_from(lane, stop)
            self._study.shelf.recover()

    def _batch_from(self, first: Lane, stop: loops.Stop) -> Iterator[Progress]:
        """Trains a batch that begins with a trial; where one program fits all trials, until there are no more."""
        plan, study = self._plan, self._study
        statics = plan.statics(first.values)
        lanes: list[Lane | None] = [None] * plan.batch
        waiting = [first]
        left = plan.batch if statics else plan.trials
        try:
            while True:
                anew: list[int] = []
                for index, lane in enumerate(lanes):
                    if lane is None and left and (lane := waiting.pop() if waiting else self._take(statics)):
                        lanes[index], left = lane, left - 1
                        anew += self._copies(index)
                at_work = [lane for lane in lanes if lane]
                if not at_work:
                    return
                placed = {copy: one for lane in at_work for copy, one in self._placed(lanes.index(lane), lane)}
                try:
                    trained = self._trainer.train(statics, placed, anew, plan.config.rungs, stop)
                except Refused as error:  # of all trials of the program
                    lanes.clear()
                    for lane in at_work:
                        study.refuse(lane, str(error))
                    yield study.progress()
                    return
                except TrainerLost as error:
                    study.notes.append(f"{error}; {_named(at_work)} begin anew")
                    yield study.progress()
                    return
                if trained is None:
                    return
                study.took(trained.seconds / len(at_work))
                returns = trained.returns.reshape([len(at_work), plan.config.seeds, -1])
                if ended := [lane for lane, mine in zip(at_work, returns, strict=True) if study.judge(lane, mine)]:
                    lanes = [None if lane in ended else lane for lane in lanes]
                    yield study.progress()
        finally:
            for lane in [*filter(None, lanes), *waiting, *self._held]:
                study.shelf.give_back(lane.trial._trial_id)
            self._held.clear()

    def _copies(self, index: int) -> range:
        seeds = self._plan.config.seeds
        return range(index * seeds, (index + 1) * seeds)

    def _placed(self, index: int, lane: Lane) -> Iterator[tuple[int, Placed]]:
        for seed, copy in enumerate(self._copies(index), self._plan.config.seed):
            yield copy, Placed(lane.values, seed)

    def _take(self, statics: Statics | None) -> Lane | None:
        """A trial of a program, or of any; None where there is none left."""
        for lane in self._held:
            if statics in (None, self._plan.statics(lane.values)):
                self._held.remove(lane)
                return lane
        if self._held:
            return None  # the queue has come to another program
        asked = self._study.ask(statics)
        if asked and statics is not None and self._plan.statics(asked.values) != statics:
            self._held.append(asked)
            return None
        return asked


def _named(lanes: list[Lane]) -> str:
    return f"trials {', '.join(str(lane.trial.number) for lane in lanes)}"
