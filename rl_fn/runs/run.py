"""A run: any agent in any environment, trained in an output folder.

output_dir/run_0/         one folder per copy
    config.json           every setting and hyper-parameter, versions, the command line
    events.out.tfevents.* TensorBoard
    metrics.csv           the same curves as a table
    checkpoints/          the newest three
    videos/               with `record_video`
    summary.json          at the end
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn.agents.base import Agent, in_precision
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv, close_and_tell
from rl_fn.envs.host.failures import EnvFailed, Failures
from rl_fn.media import films
from rl_fn.runs import checkpoint, datasets, finite, folder, loading, memory, stores, telling
from rl_fn.runs.config import FILE, RunConfig
from rl_fn.runs.files import read_json
from rl_fn.runs.parts import check_parts
from rl_fn.runs.pauses import Pauses
from rl_fn.runs.placing import place
from rl_fn.runs.report import Report, make_report
from rl_fn.runs.reporters import Films, Reporter, Table, TensorBoard, tracked
from rl_fn.runs.scripts import agreed_train_steps, hparam_values
from rl_fn.runs.storage import Storage
from rl_fn.runs.summary import Timing, check_summary, summarize
from rl_fn.runs.workers import Workers
from rl_fn.struct import Nest

EVALUATIONS = 20  # during a run, evenly spaced
POINTS = 200  # at least so many reports
_EVALUATION = 1  # folded into the seed's key


class Run:
    """An agent trained in an environment, with checkpoints, evaluations, TensorBoard and a summary in a folder.

        run = Run(agent, env, "runs/mine", train_steps=100_000, seed=0)
        for report in run:
            print(report.env_steps, report.metrics["episode_return"])

    Iterating trains, and hands over between compiled chunks; who leaves the loop early finds the state saved. Where
    the folder holds a part of this very run, it goes on from there, to the bits that it would have come to anyway.
    A run prints nothing and handles no signals, so it works in a thread, and many work in one process.

    Args:
      agent: the agent.
      env: a compiled environment, or host environments, as many as the agent's schedule says.
      output_dir: the folder, also on an object store, such as "s3://bucket/run".
      train_steps: environment steps of each copy; may be left to `hparams`.
      seed: of copy 0; copy i has the seed `seed + i`.
      copies: how many seeds side by side, in one program; only in compiled environments.
      devices: how many GPUs share the environments and the batches, or CPUs where there is no GPU; what is learned is
        what one device would learn, to rounding. Only in compiled environments.
      precision: "float32", or "bfloat16" for the networks' matrix products and convolutions alone, on devices that are
        fast in it.
      eval_episodes: whole episodes per evaluation and copy; 0 for no evaluations.
      checkpoint_seconds: the state is saved so often, while training goes on; 0 for every chance, before the report is
        handed over. Unless given it is 20, and more where writing would take more than a twentieth of the time.
      eval_interval: environment steps between evaluations. Unless given, they are a twentieth of the run, and more
        where evaluations would take more than a twentieth of its time.
      init_from: the folder of another run, or of one of its copies, with what that has learned to begin with.
      record_video: whether to record films of copy 0 at evaluations, to its folder `videos`.
      video_episodes: episodes to record, or to show.
      video_interval: environment steps between films, which come with an evaluation. Unless given, with each, and
        rarer where films would take more than a twentieth of its time.
      render: whether to show them in a window.
      hparams: the agent's hyper-parameters, a struct or a dict, to be kept in config.json.
      eval_env: where evaluations happen: an environment, or a function from a number to so many host environments;
        unless given, what `envs.judged` says of a compiled one, and host environments made as those of the training.
      reporters: what watches the run, in place of `[TensorBoard(), Table()]`; films are added where they are asked for.

    Raises:
      TypeError: at once, if the agent, the environment or a reporter is something else.
      ValueError: at once, for settings that cannot be, or if the folder holds another run.
    """

    def __init__(
        self,
        agent: Agent,
        env: Env | HostEnv,
        output_dir: Path | str,
        *,
        train_steps: int | None = None,
        seed: int = 0,
        copies: int = 1,
        devices: int = 1,
        precision: str = "float32",
        eval_episodes: int = 100,
        checkpoint_seconds: float | None = None,
        eval_interval: int | None = None,
        init_from: Path | str | None = None,
        record_video: bool = False,
        video_episodes: int = 1,
        video_interval: int | None = None,
        render: bool = False,
        hparams: Any = None,
        eval_env: Env | HostEnv | Callable[[int], HostEnv] | None = None,
        reporters: Sequence[Reporter] | None = None,
    ):
        check_parts(agent, env, reporters or ())
        if not isinstance(output_dir, str | Path) or not str(output_dir):
            raise ValueError(f"output_dir is {output_dir!r}, expected a folder")
        config = RunConfig(
            hparams=None,
            output_dir=stores.path(str(output_dir)),
            env=env.spec.name,
            hparam_override=hparam_values(hparams),
            train_steps=agreed_train_steps(train_steps, hparams, agent.schedule),
            seed=seed,
            copies=copies,
            devices=devices,
            precision=precision,
            eval_episodes=eval_episodes,
            checkpoint_seconds=checkpoint_seconds,
            eval_interval=eval_interval,
            init_from=None if init_from is None else stores.path(str(init_from)),
            record_video=record_video,
            video_episodes=video_episodes,
            video_interval=video_interval,
            render=render,
        )
        self._set_up(in_precision(agent, precision), env, config, eval_env, reporters, owned=[])

    @classmethod
    def from_config(cls, config: RunConfig, reporters: Sequence[Reporter] | None = None) -> Run:
        """Makes the run that a RunConfig describes; `reporters` and errors are those of Run."""
        if not config.is_named:
            raise ValueError(f"{config.output_dir} is the run of an agent without a name: only its script can make it")
        if config.sys != "local":
            raise ValueError(f"sys is {config.sys!r}, expected 'local': only the command hands a run over")
        config = config.resolved()
        hparams = config.make_hparams()
        env = config.make_env(hparams.num_envs if config.num_workers == 1 else 1)  # workers make their own
        owned = [] if isinstance(env, Env) else [env]
        run = cls.__new__(cls)
        try:
            agent, config = datasets.make_agent(config, hparams, env.spec)
            run._set_up(agent, env, config, None, reporters, owned)
        except BaseException:
            for made in owned:
                made.close()
            raise
        return run

    def _set_up(
        self,
        agent: Agent,
        env: Env | HostEnv,
        config: RunConfig,
        eval_env: Any,
        reporters: Sequence[Reporter] | None,
        owned: list[HostEnv],
    ) -> None:
        self.agent, self.env, self.config = agent, env, config
        self.iteration = 0  # rollouts and updates so far
        self.summaries: list[dict[str, Any]] | None = None  # of each copy, once the run has come to its end
        self._iterations = math.ceil((config.train_steps or 0) / agent.schedule.steps)
        self._runner = place(agent, env, eval_env, config)
        memory.check(self._runner.init, config, env.spec, agent.schedule)
        self._seeds = range(config.seed, config.seed + config.copies)
        self._keys = [random.key(seed) for seed in self._seeds]
        self._owned = owned  # made by the run, and closed with it
        contents = folder.contents(config)
        self._storage = Storage(config.output_dir, contents, agent.schedule.steps, config.checkpoint_seconds)
        # Whether environments are part of the state, or there are none.
        is_here = isinstance(env, Env) and not isinstance(self._runner, Workers)
        self._goes_on = is_here or agent.schedule.is_offline
        self.notes = self._storage.notes  # sentences that people should be told
        interval = config.eval_interval and math.ceil(config.eval_interval / agent.schedule.steps)
        self._pause_every = interval or math.ceil(self._iterations / EVALUATIONS)
        self._pauses = Pauses("evaluations", "eval_interval", interval is not None, self.notes)
        if config.eval_episodes and env.spec.max_episode_steps is None and not isinstance(env, Env):
            limit = f"{loops.MAX_STEPS:,} steps"
            self.notes.append(f"{env.spec.name} sets its episodes no limit: evaluations cut them off after {limit}")
        self.reporters: list[Reporter] = [TensorBoard(), Table()] if reporters is None else list(reporters)
        self.reporters += tracked(config.track, config.track_uri, config.output_dir)
        if config.record_video or config.render:
            shown = films.single(env)
            self._owned += [] if isinstance(shown, Env) else [shown]
            self.reporters.insert(0, Films.of(self, shown))  # before who shows the newest film
        self._made_at = time.monotonic()
        self._first_step_seconds: float | None = None
        self._timing = Timing()
        self._stopping = threading.Event()
        self._started = False
        self._state: Nest = None  # to begin with, until it is compiled
        self._compiled: loops.Running | None = None
        self._evaluation: loops.Evaluation | None = None  # the newest, unless it was broken off
        self._due: loops.Chunk | None = None  # is in the state and was not reported yet

    @property
    def env_steps(self) -> int:
        """Environment steps so far, of each copy."""
        return self.iteration * self.agent.schedule.steps

    @property
    def reported_steps(self) -> int:
        """Up to where reporters were told everything that is in the state."""
        return self.env_steps - 1 if self._due else self.env_steps

    @property
    def train_seconds(self) -> float:
        """What training has taken so far, compilation included, also before the run was resumed."""
        return self._timing.train_seconds

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole run, of each copy: `train_steps` in whole rollouts."""
        return self._iterations * self.agent.schedule.steps

    @property
    def summary(self) -> dict[str, Any] | None:
        """What summary.json of the first copy says, once the run has come to its end."""
        return self.summaries[0] if self.summaries else None

    @property
    def _is_beside(self) -> bool:
        """Whether files are written while training goes on."""
        return self.config.checkpoint_seconds != 0

    @property
    def policy(self) -> Nest:
        """A copy of the newest policy; its leaves have a leading axis for the copies, where there are several."""
        return self._compile().read(lambda state: state.agent.policy)

    def leaves(self, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
        """Copies of the leaves of the newest state whose names are wanted, such as `agent/policy/params/head/bias`."""
        return self._compile().leaves(wanted)

    @property
    def graph(self) -> tf.Graph | None:
        """That of the training step; None before it is compiled."""
        return self._compile().graph

    def policy_of(self, copy: int) -> Nest:
        """A copy of the newest policy of one copy of the run."""
        return self._of(self.policy, copy)

    def folder(self, copy: int = 0) -> Path:
        """Where a copy's files are written, on this machine also where they are copied to an object store."""
        return self._storage.folders[copy]

    def stop(self) -> None:
        """Ends the run soon, with a checkpoint. Any thread may call this, and a handler of signals."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._runner.stopping()

    def is_stopping(self) -> bool:
        """Whether it was told to stop: what takes its time in a reporter may ask, and raise `loops.Stopped`."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Makes the folders and takes up the newest complete checkpoint; iterating does it where nobody has.

        Raises:
          ValueError: if no checkpoint is good, or the summary is damaged, or they belong to another agent, or another
            run is in the folder.
          OSError: if a folder cannot be written.
          RunError: if a file in it cannot be read or written.
        """
        if self._started:
            return
        self.summaries = self._storage.summaries(self._check_summary, self.total_steps)
        if self.summaries:
            self.iteration = self._iterations
            self.notes.append(f"{self.config.output_dir} holds this run, finished; nothing to do")
        else:
            with self._storage.locked():
                self._restore()
                self._storage.prepare()
            if self.iteration:
                at = f"{self.env_steps:,} steps in {self.config.output_dir}"
                self.notes.append(f"going on from the checkpoint at {at}")
            if self.iteration and not self._goes_on:
                name = self.env.spec.name
                self.notes.append(f"{name} is no part of the checkpoint: its environments begin new episodes")
        self._started = True

    def close(self) -> None:
        """Closes the environments that the run has made, as it does by itself at its end."""
        self._runner.close()
        while self._owned:
            env = self._owned.pop()
            close_and_tell(env.spec.name, env)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Report]:
        self.start()
        if self.summaries is None and not self.is_stopping():
            with self._storage.locked():
                with telling.started(self):
                    yield from self._train()
                if self.iteration == self._iterations and not self._due:
                    with suppress(loops.Stopped):
                        self._summarize()
        elif self.summaries:
            telling.tell_the_rest(self)
        self.close()

    def _train(self) -> Iterator[Report]:
        compiled = self._compile()
        if self._due:  # where its evaluation was broken off, or a reporter failed
            yield from self._handed_over(self._due)
        for chunk in self._chunks(compiled):
            self.iteration, self._timing = chunk.iteration, self._timing.after(chunk)
            self._first_step_seconds = self._first_step_seconds or time.monotonic() - self._made_at
            self._check_finite(compiled, chunk)
            self._due = chunk
            yield from self._handed_over(chunk)
        self._save()

    def _chunks(self, compiled: loops.Running) -> Iterator[loops.Chunk]:
        """Trains; where environments cannot be gone on with, what was learned before is saved."""
        try:
            yield from self._runner.train(
                compiled,
                self._iterations,
                start=self.iteration,
                max_chunk=math.ceil(self._iterations / POINTS),
                pause_every=self._pause_every,
                stop=self.is_stopping,
            )
        except (EnvFailed, loops.NonFiniteError):
            self._failures()
            self._save()
            raise

    def _handed_over(self, chunk: loops.Chunk) -> Iterator[Report]:
        """What happens between two chunks; the state is whole there, and is saved where anything ends the run."""
        try:
            self._storage.settle(patient=False)
            if self._storage.lost():
                self._save()
            is_pause = self._is_pause()
            with suppress(loops.Stopped):
                self._evaluation = self._evaluate() if is_pause and self.config.eval_episodes else None
                failures = self._failures()
                seen = self._runner.actions(), self._runner.infos()
                report = make_report(chunk, self._evaluation, is_pause, self.agent.schedule, failures, *seen)
                for reporter in self.reporters:
                    telling.tell(self, reporter, "report", report)
                self._keep_best()
                self._due = None
        except Exception:
            self._save()
            raise
        if self.iteration == self._iterations or self.is_stopping():
            self._save()
        elif self._storage.is_due(self.train_seconds):
            self._save(beside=self._is_beside)
        if self._due:
            return
        try:
            yield report
        except GeneratorExit:
            self._save()
            raise

    def _keep_best(self) -> None:
        """Keeps the policy of each copy that was evaluated best, the newest of equals."""
        if self._evaluation is None:
            return
        means = np.atleast_2d(self._evaluation.returns).mean(axis=1)
        if not any(now >= best for now, best in zip(means, self._best, strict=True)):
            return
        policy = tf.nest.map_structure(np.array, self.policy)
        for copy, now in enumerate(means):
            if now >= self._best[copy]:
                self._best[copy] = float(now)
                self._storage.save_best(self.iteration, copy, self._of(policy, copy), float(now), self._is_beside)

    def _check_finite(self, compiled: loops.Running, chunk: loops.Chunk) -> None:
        """What is lost is not saved, and ends the run: the newest checkpoint stays the last good one."""
        saved = f"{self._storage.saved * self.agent.schedule.steps:,} steps in {self.config.output_dir}"
        kept = f"the last good checkpoint is at {saved}" if self._storage.saved else "no checkpoint was written"
        finite.check_chunk(compiled, chunk, self._seeds, f"after {self.env_steps:,} steps; {kept}")

    def _failures(self) -> Failures | None:
        """Those of environments so far, where they can fail."""
        new = self._runner.failures()
        self._timing = self._timing.mended(new)
        return None if new is None else self._timing.failures

    def _is_pause(self) -> bool:
        if self.iteration == self._iterations:
            return True
        return self.iteration % self._pause_every == 0 and self._pauses.allows(self.train_seconds)

    def _evaluate(self) -> loops.Evaluation:
        keys = [random.fold_in(random.fold_in(key, _EVALUATION), self.iteration) for key in self._keys]
        with self._pauses.timed():
            return self._runner.evaluate(self.policy, keys, self.is_stopping)

    def _restore(self) -> None:
        """Makes the state to begin with: that of the newest complete checkpoint if there is one."""
        states = [self._runner.init(key) for key in self._keys]
        try:
            restored = self._storage.restore(states, self._read_told)
        except ValueError:
            self._check_workers()
            raise
        if restored:
            self.iteration, states, told = restored
            finite.check_states(states, self._seeds, f"in the checkpoint at {self.env_steps:,} steps")
            self._timing, self._due = told[0]
        elif self.config.init_from:
            states = [self._taken_over(copy, state) for copy, state in enumerate(states)]
        self._best = self._storage.best()
        self._state = struct.stack(states) if len(states) > 1 else states[0]

    def _check_workers(self) -> None:
        """Raises ValueError where a compiled environment is in the state of a run, and was not before, or was."""
        begun = read_json(self.folder() / FILE)
        was_apart, is_apart = begun.get("num_workers", 1) != 1 and not begun.get("sync"), not self._goes_on
        if isinstance(self.env, Env) and self.config.copies == 1 and was_apart != is_apart:
            expected = "more than 1, without sync," if was_apart else "1, or sync,"
            raise ValueError(
                f"num_workers is {self.config.num_workers}, expected {expected} as in {self.config.output_dir} so far: "
                f"{self.env.spec.name} is compiled, and {'no part' if was_apart else 'part'} of its checkpoints"
            )

    def _taken_over(self, copy: int, state: Any) -> Nest:
        """A state at the beginning, of which the agent has learned what that of another run has."""
        source = self.config.init_from
        agent, iterations = loading.take_over(stores.local(source or ""), copy, self.config.copies, state.agent)
        self.notes.append(f"begins with what {source} had learned after {iterations:,} updates")
        policies = struct.stack([agent.policy] * lag) if (lag := self.agent.schedule.actor_lag) else ()
        has_lag = hasattr(state, "policies")
        return state._replace(agent=agent, policies=policies) if has_lag else state._replace(agent=agent)

    def _compile(self) -> loops.Running:
        if self._compiled is None:
            self.start()
            if self._state is None:  # where the run was finished before
                self._restore()
            self._compiled, self._state = self._runner.compile(self._state), None
        return self._compiled

    def _save(self, beside: bool = False) -> None:
        """Saves the state; `beside` the training, where memory holds it twice."""
        self._storage.settle()
        if self._storage.saved == self.iteration and not self._storage.lost():
            return
        told = {"progress": self._timing._asdict(), "due": self._due and self._due.to_json()}
        states = self._states()
        if beside and memory.holds(states):
            self._storage.save_beside(self.iteration, tf.nest.map_structure(np.array, states), told)
        else:
            self._storage.save(self.iteration, states, told)

    def _read_told(self, saved: checkpoint.Checkpoint) -> tuple[Timing, loops.Chunk | None]:
        """What `_save` told a checkpoint."""
        if not 0 < saved.iteration <= self._iterations:
            raise ValueError(f"iteration is {saved.iteration}, expected 1 to {self._iterations}")
        due = saved.metadata["due"]
        return Timing.from_json(saved.metadata["progress"]), due and loops.Chunk.from_json(due)

    def _check_summary(self, summary: dict[str, Any], copy: int) -> None:
        check_summary(summary, seed=self.config.seed + copy, env_steps=self.total_steps)

    def _states(self) -> list[Nest]:
        """The state of each copy, as NumPy arrays."""
        state = tf.nest.map_structure(lambda leaf: leaf.numpy(), self._compile().read())
        return [self._of(state, copy) for copy in range(self.config.copies)]

    def _of(self, nest: Nest, copy: int) -> Nest:
        return tf.nest.map_structure(lambda leaf: leaf[copy], nest) if self.config.copies > 1 else nest

    def _summarize(self) -> None:
        """Writes what the run has come to, unless it was told to stop while its last evaluation was played."""
        if self.config.eval_episodes and not self._evaluation:  # it was killed between its last checkpoint and here
            self._evaluation = self._evaluate()
        self._failures()
        digests = [checkpoint.digest(state) for state in self._states()]
        summaries = summarize(self, self._evaluation, self._timing, self._first_step_seconds, digests)
        self._storage.summarize(summaries)
        self.summaries = summaries
