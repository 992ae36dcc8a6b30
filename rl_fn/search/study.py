"""A study: trials that Optuna chooses, trained side by side in one compiled program."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rl_fn import loops, sets
from rl_fn.envs.base import Env
from rl_fn.search import objective, samplers, space
from rl_fn.search.config import POPULATION, SearchConfig
from rl_fn.search.program import Placed, Program
from rl_fn.search.storage import Shelf, import_optuna

_REFUSED, _SCORES = "refused", "scores"  # what trials remember


class Trial(NamedTuple):
    """A trial that has been finished."""

    number: int
    values: dict[str, Any]  # of what was searched
    value: float | None  # None where it came to nothing
    state: str  # "complete", "pruned" or "failed"


class Progress(NamedTuple):
    """How far a study is, all its processes together."""

    finished: int
    trials: int
    best: Trial | None
    seconds_left: float  # if it goes on as now in this process alone
    refused: str | None  # why the newest trial was, if it was


class _Lane:
    """A trial that is being trained."""

    def __init__(self, trial: Any, values: dict[str, Any]):
        self.trial, self.values = trial, values
        self.scores: list[float] = []


class Study:
    """A search for the best hyper-parameters; several processes may share one.

        study = rl.search.Study(rl.search.SearchConfig("dqn_cartpole", "runs/search", trials=40))
        for progress in study.run():
            print(progress.finished, progress.best)

    Trials whose settings need no program of their own are copies in one compiled program, which is compiled once for
    the study. What changes a shape is the same in all trials of a batch, and makes a program for each value.

    Args:
      config: what is searched, and how.

    Raises:
      ValueError: at once, for settings that cannot be, or if the folder holds another study.
    """

    def __init__(self, config: SearchConfig):
        if config.method == POPULATION:
            raise ValueError("method is pbt, expected one of a study's; see rl_fn.search.Evolution")
        samplers.sampler(config.method, config.batch, (0,))  # refuses what is not installed
        run = config.run().resolved()
        self.config, self.run_config = config, run
        self._hparams = run.make_hparams()
        self.space = space.parse(config.space, self._hparams, config.hparam_override)
        self._env = compiled_env(run.make_env(self._hparams.num_envs))
        self._make_agent = sets.agent_module(str(run.agent)).make
        self._make_agent(self._env.spec, self._hparams)
        self._grid = space.grid(self.space, config.grid_points) if config.method == "grid" else []
        self.trials = min(config.trials, len(self._grid)) if self._grid else config.trials
        self._batch = min(config.batch, self.trials)
        self._distributions = samplers.distributions(self.space)
        told = ", ".join(map(str, self.space))
        pruner = samplers.pruner(config.pruner, config.rungs)
        self.shelf = Shelf(config.storage, config.output_dir, config.identity(told), pruner)
        self._states = import_optuna().trial.TrialState
        begun = len(self.shelf.study.get_trials(deepcopy=False))
        seed = (config.seed, self.shelf.number, begun)
        self._sampler = samplers.sampler(config.method, self._batch, seed)
        self._held: list[_Lane] = []  # asked for, of another program than that at work
        self._programs: dict[tuple, tuple[Program, int]] = {}  # with the iterations of a whole run
        self._seconds: list[float] = []  # per trial, of steps of a program

    def run(self, stop: loops.Stop = lambda: False) -> Iterator[Progress]:
        """Trains until all trials are finished or in the hands of other processes; goes on where others ended.

        What is not finished when this ends, for whatever reason, is begun anew by who goes on.

        Args:
          stop: asked every second or so; where it says true, this ends.

        Yields:
          The progress, whenever trials are finished.
        """
        self.shelf.recover(is_first=True)
        self._queue_grid()
        while not stop() and (lane := self._take(None)):
            yield from self._batch_from(lane, stop)
            self.shelf.recover()

    def finished(self) -> list[Trial]:
        """All trials that are finished, by their numbers."""
        names = {self._states.COMPLETE: "complete", self._states.PRUNED: "pruned", self._states.FAIL: "failed"}
        trials = self.shelf.study.get_trials(deepcopy=False, states=tuple(names))
        return [
            Trial(one.number, samplers.decoded(self.space, one.params), one.value, names[one.state]) for one in trials
        ]

    def at_work(self) -> int:
        """Trials that processes are at."""
        return len(self.shelf.study.get_trials(deepcopy=False, states=(self._states.RUNNING, self._states.WAITING)))

    def best(self, count: int) -> list[Trial]:
        """The best trials that came to their end, best first."""
        complete = [one for one in self.finished() if one.state == "complete" and one.value is not None]
        return sorted(complete, key=lambda one: (-float(one.value or 0.0), one.number))[:count]

    def retrained(self, trials: list[Trial], stop: loops.Stop = lambda: False) -> dict[int, np.ndarray] | None:
        """Trains settings again with seeds that no trial had, as many of each as the program has room for.

        Returns:
          The returns `[seeds, episodes]` at the end by the trials' numbers; None where `stop` said true.
        """
        fresh = self._batch * self.config.seeds // len(trials) or 1
        found: dict[int, np.ndarray] = {}
        first = self.config.seed + self.config.seeds
        for statics in dict.fromkeys(self._statics(trial.values) for trial in trials):
            program, iterations = self._program(statics)
            waiting = [
                (trial.number, Placed(trial.values, seed))
                for trial in trials
                for seed in range(first, first + fresh)
                if self._statics(trial.values) == statics
            ]
            returns: dict[int, list[np.ndarray]] = {}
            for start in range(0, len(waiting), program.copies):
                part = waiting[start : start + program.copies]
                program.place({copy: placed for copy, (_, placed) in enumerate(part)})
                if not program.advance(iterations, stop):
                    return None
                for (number, _), one in zip(part, program.returns(stop), strict=False):
                    returns.setdefault(number, []).append(one)
            found |= {number: np.stack(rows) for number, rows in returns.items()}
        return found

    def close(self) -> None:
        """Lets other processes know that this one has ended."""
        self.shelf.close()

    def _batch_from(self, first: _Lane, stop: loops.Stop) -> Iterator[Progress]:
        """Trains a batch that begins with a trial; where one program fits all trials, until there are no more."""
        statics = self._statics(first.values)
        lanes: list[_Lane | None] = [None] * self._batch
        waiting = [first]
        left = self._batch if statics else self.trials
        try:
            try:
                program, iterations = self._program(statics)
            except ValueError as error:
                yield self._refuse(waiting.pop(), str(error))
                return
            step = -(-iterations // self.config.rungs)
            while True:
                placed: dict[int, Placed] = {}
                for index, lane in enumerate(lanes):
                    if lane is None and left and (lane := waiting.pop() if waiting else self._take(statics)):
                        lanes[index], left = lane, left - 1
                        placed |= self._placed(index, lane)
                if not any(lanes):
                    return
                if placed:
                    program.place(placed)
                begin = time.monotonic()
                if not program.advance(step, stop):
                    return
                returns = program.returns(stop)
                self._seconds.append((time.monotonic() - begin) / sum(lane is not None for lane in lanes))
                ended = self._judge(lanes, returns.reshape([self._batch, self.config.seeds, -1]))
                if ended:
                    lanes = [None if lane in ended else lane for lane in lanes]
                    yield self._progress()
        except loops.Stopped:
            return
        finally:
            for lane in [*filter(None, lanes), *waiting, *self._held]:
                self.shelf.give_back(lane.trial._trial_id)
            self._held.clear()

    def _placed(self, index: int, lane: _Lane) -> dict[int, Placed]:
        seeds = range(self.config.seeds)
        return {index * len(seeds) + seed: Placed(lane.values, self.config.seed + seed) for seed in seeds}

    def _judge(self, lanes: list[_Lane | None], returns: np.ndarray) -> list[_Lane]:
        """Tells the study what trials have come to; returns those that are at their end."""
        ended, study = [], self.shelf.study
        for lane, mine in zip(lanes, returns, strict=True):
            if lane is None:
                continue
            lane.scores.append(objective.score(mine))
            value = objective.value(lane.scores, self.config.objective)
            if not np.isfinite(value):
                self._refuse(lane, "its returns are infinite or no numbers")
                ended.append(lane)
                continue
            if self.config.rungs > 1:
                lane.trial.report(value, len(lane.scores))
            is_last = len(lane.scores) == self.config.rungs
            if is_last or lane.trial.should_prune():
                lane.trial.set_user_attr(_SCORES, lane.scores)
                study.tell(lane.trial, *([value] if is_last else [None, self._states.PRUNED]))
                ended.append(lane)
        return ended

    def _take(self, statics: tuple | None) -> _Lane | None:
        """A trial of a program, or of any; None where there is none left for this process."""
        for lane in self._held:
            if statics in (None, self._statics(lane.values)):
                self._held.remove(lane)
                return lane
        if self._held:
            return None  # the queue has come to another program
        study, fixed = self.shelf.study, dict(statics or ())
        encoded = {name: samplers.encoded(value) for name, value in fixed.items()}
        with self.shelf.asking():
            trials = study.get_trials(deepcopy=False)
            if len(trials) >= self.trials and not any(one.state == self._states.WAITING for one in trials):
                return None
            partial = import_optuna().samplers.PartialFixedSampler
            study.sampler = partial(encoded, self._sampler) if encoded else self._sampler
            trial = study.ask(self._distributions)
            self.shelf.claim(trial)
        lane = _Lane(trial, samplers.decoded(self.space, trial.params))
        if statics is not None and self._statics(lane.values) != statics:
            self._held.append(lane)
            return None
        return lane

    def _queue_grid(self) -> None:
        with self.shelf.asking():
            for values in self._grid[len(self.shelf.study.get_trials(deepcopy=False)) : self.trials]:
                self.shelf.study.enqueue_trial({name: samplers.encoded(value) for name, value in values.items()})

    def _refuse(self, lane: _Lane, why: str) -> Progress:
        lane.trial.set_user_attr(_REFUSED, why)
        self.shelf.study.tell(lane.trial, state=self._states.FAIL)
        return self._progress(why)

    def _statics(self, values: Mapping[str, Any]) -> tuple:
        return tuple((one.name, values[one.name]) for one in space.static(self.space))

    def _program(self, statics: tuple) -> tuple[Program, int]:
        if statics not in self._programs:
            hparams, names = self._hparams.override(**dict(statics)), space.tensors(self.space)
            make = lambda settings: self._make_agent(self._env.spec, hparams.override(**settings))
            make({})
            program = Program(make, self._env, names, self._batch * self.config.seeds, self.config.eval_episodes)
            self._programs[statics] = program, hparams.num_iterations
        return self._programs[statics]

    def _progress(self, refused: str | None = None) -> Progress:
        finished, best = len(self.finished()), self.best(1)
        each = float(np.median(self._seconds)) * self.config.rungs if self._seconds else 0.0
        return Progress(finished, self.trials, best[0] if best else None, each * (self.trials - finished), refused)


def compiled_env(env: Any) -> Env:
    """The environment, if it is compiled.

    Raises:
      ValueError: if it is not.
    """
    if isinstance(env, Env):
        return env
    env.close()
    raise ValueError(f"{env.spec.name} is stepped on the host, and trials side by side need a compiled environment")
