"""Population-based training in a folder: a generation after the other, each kept, with its lineage in a table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn._src.xla.calls import graph
from rl_fn.runs import checkpoint, files
from rl_fn.runs.files import read_json
from rl_fn.runs.lock import Lock
from rl_fn.search import followed, lineage, objective, space
from rl_fn.search.best import FILE, write_set
from rl_fn.search.config import SearchConfig
from rl_fn.search.followed import Followed
from rl_fn.search.lineage import Row
from rl_fn.search.population import Population, check, init_population, initial_settings, population_step
from rl_fn.search.study import compiled_env
from rl_fn.search.tunable import Settings, tunable

CONFIG, LINEAGE, CHECKPOINTS = "search.json", "lineage.csv", "checkpoints"
_SETTINGS, _CHOICES, _EVALUATION = 2, 3, 4  # folded into the seed's key


class Evolution:
    """Population-based training with the settings of a search: `trials` members, `evaluations` generations.

        evolution = rl.search.Evolution(rl.search.SearchConfig("ppo_cartpole", "runs/pbt", method="pbt", trials=16))
        for rows in evolution.run():
            print(max(row.fitness for row in rows))

    Started again in its folder, it goes on from its newest generation, to the bits that it would have come to anyway.

    Raises:
      ValueError: at once, for settings that cannot be.
    """

    def __init__(self, config: SearchConfig):
        run = config.run().resolved()
        self.config, self.run_config = config, run
        hparams = run.make_hparams()
        self.space = space.parse(config.space, hparams, config.hparam_override)
        check(self.space)
        self._names = [one.name for one in self.space]
        self._env = compiled_env(run.make_env(hparams.num_envs))
        self._make = lambda settings: run.make_agent(self._env.spec, hparams.override(**settings))
        self._agent = tunable(self._make, {one.name: tf.constant(one.interval.at(0.5)) for one in self.space})
        self._iterations, self._longer = divmod(hparams.num_iterations, config.evaluations)
        if not self._iterations:
            told = f"{hparams.num_iterations}, the training iterations of {hparams.train_steps:,} steps"
            raise ValueError(f"evaluations is {config.evaluations}, expected at most {told}")
        self._key = random.key(config.seed)
        self._folder = config.output_dir / CHECKPOINTS
        self._identity = json.loads(json.dumps(config.identity(", ".join(map(str, self.space)))))
        self._compiled: loops.Compiled | None = None
        self.rows: list[Row] = []  # of all generations
        self.generation = 0
        self.seconds = 0.0  # that the newest generation took
        ends = [one * self._iterations + min(one, self._longer) for one in range(1, config.evaluations + 1)]
        self._followed = Followed(config, run, self._env, [end * hparams.schedule.steps for end in ends])
        self._tracker = followed.tracker(config)
        self._is_telling = False
        self.notes = self._followed.notes  # sentences that people should be told

    def run(self, stop: loops.Stop = lambda: False) -> Iterator[list[Row]]:
        """Goes on to the last generation; `stop` is asked between two of them. Yields the rows of each."""
        files.make_folder(self._folder)
        lock = Lock(self.config.output_dir)
        try:
            compiled = self._start()
            self._begin_telling()
            while self.generation < self.config.evaluations and not stop():
                begin = time.monotonic()
                done = compiled()
                self.seconds = time.monotonic() - begin
                self.generation += 1
                rows = self._new_rows(done)
                self.rows += rows
                lineage.write(self.config.output_dir / LINEAGE, self.rows, self._names)
                state = tf.nest.map_structure(lambda leaf: leaf.numpy(), compiled.read())
                checkpoint.save(self._folder, self.generation, state, {})
                checkpoint.keep_newest(self._folder)
                if self._tracker:
                    self._tracker.generation(rows)
                yield rows
        finally:
            lock.release()

    def close(self) -> None:
        """Tells what is left to be told, where somebody is told of the population."""
        if self._is_telling and self._tracker:
            self._tracker.close()

    def judge(self, stop: loops.Stop = lambda: False) -> tuple[int, float]:
        """Plays whole episodes with all members; returns the best one's number and its interquartile mean."""
        compiled = self._start()
        play = loops.evaluate(self._agent, self._env, self.config.eval_episodes, copies=True)
        keys = random.split(random.fold_in(self._key, _EVALUATION), self.config.trials)
        returns = play(compiled.read(lambda state: state.members.agent.policy), keys, stop).returns
        scores = [objective.finite(objective.score(one)) for one in returns]
        return int(np.argmax(scores)), max(scores)

    def write(self, member: int, score: float) -> Path:
        """Writes the settings by which a member has learned last, `best.toml` in the folder; returns where."""
        newest = {row.member: row for row in self.rows if row.generation == self.generation}
        # Who has just taken over has learned by the settings of whom it took over from, not by its own.
        values = newest[newest[member].parent].settings
        doc = f"What member {member} of a population from {self.config.hparams} ended with: {score:.6g}."
        return write_set(self.config.output_dir / FILE, self.run_config, values, doc)

    def _begin_telling(self) -> None:
        if self._tracker and not self._is_telling:
            self._tracker.start(self._followed)
            self._is_telling = True
            for begin in range(0, len(self.rows), self.config.trials):
                self._tracker.generation(self.rows[begin : begin + self.config.trials])

    def _start(self) -> loops.Compiled:
        if self._compiled is None:
            state = self._initial()
            self._check()
            newest = checkpoint.load_newest([self._folder], lambda _, path: checkpoint.load(path, state))
            if newest is not None:
                [saved], _ = newest
                state, self.generation = checkpoint.restore(saved, state), saved.iteration
                rows = lineage.read(self.config.output_dir / LINEAGE, self._names)
                self.rows = [row for row in rows if row.generation <= self.generation]
            train = loops.train_step(self._agent, self._env)
            step = population_step(train, self.space, self._iterations, self._longer)
            self._compiled = loops.compile(step, state)
        return self._compiled

    def _initial(self) -> Population:
        count = self.config.trials
        settings = initial_settings(random.fold_in(self._key, _SETTINGS), self.space, count)
        init = graph(self._initial_member)
        members = [
            init({name: values[member] for name, values in settings.items()}, random.fold_in(self._key, 1_000 + member))
            for member in range(count)
        ]
        return init_population(struct.stack(members), random.fold_in(self._key, _CHOICES))

    def _initial_member(self, settings: Settings, key: random.Key) -> loops.TrainState:
        return loops.init_state(tunable(self._make, settings), self._env, key)

    def _check(self) -> None:
        """Sees that the folder holds no other population; remembers this one where it holds none."""
        path = self.config.output_dir / CONFIG
        if not path.exists():
            files.write(path, lambda file: file.write(json.dumps(self._identity, indent=1).encode()))
        known = read_json(path)
        for name in {**known, **self._identity}:
            if known.get(name) != self._identity.get(name):
                told = f"its {name} is {known.get(name)}, not {self._identity.get(name)}"
                raise ValueError(f"{self.config.output_dir} holds another population: {told}")

    def _new_rows(self, done: Any) -> list[Row]:
        settings = {name: values.numpy().tolist() for name, values in done.settings.items()}
        columns = zip(done.parents.numpy().tolist(), done.fitness.numpy().tolist(), strict=True)
        return [
            Row(self.generation, member, parent, fitness, {name: values[member] for name, values in settings.items()})
            for member, (parent, fitness) in enumerate(columns)
        ]
