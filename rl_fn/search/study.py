"""A study: trials that Optuna chooses, trained side by side in one compiled program where that can be."""

from __future__ import annotations

import dataclasses
import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import numpy as np

from rl_fn import loops
from rl_fn.envs.base import Env
from rl_fn.runs import cluster
from rl_fn.search import objective, samplers, tracking, workers
from rl_fn.search.batches import Batches, Lane
from rl_fn.search.config import POPULATION, SearchConfig
from rl_fn.search.plan import Plan, Statics
from rl_fn.search.program import Placed
from rl_fn.search.storage import Shelf, import_optuna
from rl_fn.search.trainer import LocalTrainer, Trained, Trainer, TrainerLost

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
    notes: tuple[str, ...]  # sentences that people should be told


class Study:
    """A search for the best hyper-parameters; several processes may share one.

        study = rl.search.Study(rl.search.SearchConfig("dqn_cartpole", "runs/search", trials=40))
        for progress in study.run():
            print(progress.finished, progress.best)

    Trials whose settings need no program of their own are copies in one compiled program, which is compiled once for
    the study. What changes a shape is the same in all trials of a batch, and makes a program for each value. In an
    environment that is stepped on the host, trials and their seeds are trained one after the other.

    Args:
      config: what is searched, and how.

    Raises:
      ValueError: at once, for settings that cannot be, or if the folder holds another study.
    """

    def __init__(self, config: SearchConfig):
        if config.method == POPULATION:
            raise ValueError("method is pbt, expected one of a study's; see rl_fn.search.Evolution")
        samplers.sampler(config.method, 1, (0,))  # refuses what is not installed
        if config.num_workers > 1:
            cluster.check_installed(config.num_workers)
        self.config, self.plan = config, (plan := Plan(config))
        self.space, self.trials, self.run_config = plan.space, plan.trials, plan.run_config
        self._distributions = samplers.distributions(self.space)
        told = ", ".join(map(str, self.space))
        pruner = samplers.pruner(config.pruner, config.rungs)
        self.shelf = Shelf(config.storage, config.output_dir, config.identity(told), pruner)
        self._states = import_optuna().trial.TrialState
        begun = len(self.shelf.study.get_trials(deepcopy=False))
        seed = (config.seed, self.shelf.number, begun)
        self._sampler = samplers.sampler(config.method, plan.batch * config.num_workers, seed)
        self._seconds: list[float] = []  # per trial, of parts of it, of one trainer
        self.notes: deque[str] = deque()  # that the next progress tells
        self._resources = ExitStack()
        self._trainers: list[Trainer] = []
        self._tracker = tracking.tracker(config, self._settings(), plan.spec.name)
        self._telling: tracking.Telling | None = None

    def run(self, stop: loops.Stop = lambda: False) -> Iterator[Progress]:
        """Trains until all trials are finished or in the hands of other processes; goes on where others ended.

        What is not finished when this ends, for whatever reason, is begun anew by who goes on.

        Args:
          stop: asked every second or so; where it says true, this ends.

        Yields:
          The progress, whenever trials are finished.

        Raises:
          EnvFailed: if environments on the host cannot be gone on with.
          RunError: if workers cannot be started, or end again and again.
        """
        self.shelf.recover(is_first=True)
        self._queue_grid()
        if self._tracker and not self._telling:
            is_finished = lambda: len(self.finished()) >= self.trials
            self._telling = tracking.Telling(self._tracker, self.shelf, self._told, is_finished, self.notes.append)
        yield from workers.together([Batches(self, trainer).run for trainer in self.trainers], stop)

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
        """Trains settings again with seeds that no trial had: in one program as many of each as it has room for.

        Returns:
          The returns `[seeds, episodes]` at the end by the trials' numbers; None where `stop` said true.
        """
        plan = self.plan
        fresh = max(plan.copies // len(trials), 1) if plan.env else self.config.seeds
        first = self.config.seed + self.config.seeds
        jobs: list[tuple[Statics, list[tuple[int, Placed]]]] = []
        for statics in dict.fromkeys(plan.statics(trial.values) for trial in trials):
            waiting = [
                (trial.number, Placed(trial.values, seed))
                for trial in trials
                for seed in range(first, first + fresh)
                if plan.statics(trial.values) == statics
            ]
            jobs += [(statics, waiting[start : start + plan.copies]) for start in range(0, len(waiting), plan.copies)]
        free: queue.SimpleQueue[Trainer] = queue.SimpleQueue()
        for trainer in self.trainers:
            free.put(trainer)

        def trained(job: tuple[Statics, list[tuple[int, Placed]]]) -> Trained | None:
            trainer, placed = free.get(), {copy: one for copy, (_, one) in enumerate(job[1])}
            try:
                while not stop():
                    with suppress(TrainerLost):
                        return trainer.train(job[0], placed, placed, 1, stop)
                return None
            finally:
                free.put(trainer)

        returns: dict[int, list[np.ndarray]] = {trial.number: [] for trial in trials}
        with ThreadPoolExecutor(len(self.trainers)) as pool:
            for (_, part), found in zip(jobs, list(pool.map(trained, jobs)), strict=True):
                if found is None:
                    return None
                for (number, _), one in zip(part, found.returns, strict=True):
                    returns[number].append(one)
        return {number: np.stack(rows) for number, rows in returns.items()}

    @property
    def trainers(self) -> list[Trainer]:
        """Who trains: this process, or its workers, which are started when they are first asked for."""
        if not self._trainers and self.config.num_workers == 1:
            self._trainers = [LocalTrainer(self.plan)]
            self._resources.callback(self._trainers[0].close)
        elif not self._trainers:
            self._trainers = [*self._resources.enter_context(workers.crew(self.config))]
        return self._trainers

    def close(self) -> None:
        """Lets go of environments and workers, tells the rest to who is told, and other processes of the end."""
        self._resources.close()
        if self._telling:
            self._telling.close()
        self._trainers = []
        self.shelf.close()

    def ask(self, statics: Statics | None) -> Lane | None:
        """A trial to be trained now, if it can be had of a program; None where there is none left."""
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
        return Lane(trial, samplers.decoded(self.space, trial.params))

    def judge(self, lane: Lane, returns: np.ndarray) -> bool:
        """Tells the study what a trial has come to; returns whether that is its end."""
        lane.scores.append(objective.score(returns))
        value = objective.value(lane.scores, self.config.objective)
        if not np.isfinite(value):
            self.refuse(lane, "its returns are infinite or no numbers")
            return True
        if self.config.rungs > 1:
            lane.trial.report(value, len(lane.scores))
        is_last = len(lane.scores) == self.config.rungs
        if not is_last and not lane.trial.should_prune():
            return False
        lane.trial.set_user_attr(_SCORES, lane.scores)
        self.shelf.study.tell(lane.trial, *([value] if is_last else [None, self._states.PRUNED]))
        return True

    def refuse(self, lane: Lane, why: str) -> None:
        """Tells the study that a trial has come to nothing."""
        lane.trial.set_user_attr(_REFUSED, why)
        self.shelf.study.tell(lane.trial, state=self._states.FAIL)
        self.notes.append(f"trial {lane.trial.number} was refused: {why}")

    def took(self, seconds: float) -> None:
        """Notes what a part of a trial took."""
        self._seconds.append(seconds)

    def progress(self) -> Progress:
        """How far it is; notes are told once."""
        finished, best = len(self.finished()), self.best(1)
        each = float(np.median(self._seconds)) * self.config.rungs / self.config.num_workers if self._seconds else 0.0
        if self._telling:
            self._telling.wake()
        notes = tuple(self.notes.popleft() for _ in range(len(self.notes)))
        return Progress(finished, self.trials, best[0] if best else None, each * (self.trials - finished), notes)

    def _told(self) -> list[tracking.Told]:
        """All trials that are finished, in the order in which they were."""
        known = {one.number: one for one in self.finished()}
        trials = [one for one in self.shelf.study.get_trials(deepcopy=False) if one.number in known]
        told: list[tracking.Told] = []
        best: float | None = None
        for count, one in enumerate(sorted(trials, key=lambda one: (one.datetime_complete, one.number)), 1):
            trial, scores = known[one.number], one.user_attrs.get(_SCORES, [])
            value = trial.value if trial.state == "complete" else None
            best = max((each for each in (best, value) if each is not None), default=None)
            times = one.datetime_start or one.datetime_complete, one.datetime_complete
            told.append(tracking.Told(one.number, trial.values, value, trial.state, scores, *times, count, best))
        return told

    def _settings(self) -> dict[str, Any]:
        """What is told of the whole: the settings of the search, and the hyper-parameters that stay as they are."""
        searched, run = {one.name for one in self.space}, self.run_config
        told = {item.name: getattr(self.config, item.name) for item in dataclasses.fields(self.config)}
        told |= {name: getattr(run, name) for name in ("agent", "env", "train_steps")}
        told |= {"space": ", ".join(map(str, self.space)), "batch": self.plan.batch}
        apart = ("hparam_override", "env_kwargs")
        return {
            **{name: value for name, value in told.items() if name not in apart},
            **{name: value for name, value in run.hparam_override.items() if name not in searched},
            **run.env_kwargs,
        }

    def _queue_grid(self) -> None:
        with self.shelf.asking():
            for values in self.plan.grid[len(self.shelf.study.get_trials(deepcopy=False)) : self.trials]:
                self.shelf.study.enqueue_trial({name: samplers.encoded(value) for name, value in values.items()})


def compiled_env(env: Any) -> Env:
    """The environment, if it is compiled.

    Raises:
      ValueError: if it is not.
    """
    if isinstance(env, Env):
        return env
    env.close()
    raise ValueError(f"{env.spec.name} is stepped on the host, and a population needs a compiled environment")
