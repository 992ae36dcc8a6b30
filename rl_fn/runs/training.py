"""One training run in an output folder: what `rl-fn train` does, from its options to `summary.json`.

output_dir/run_0/         one folder per copy
    config.json           every hyper-parameter, the seed, versions, the command line
    events.out.tfevents.* TensorBoard
    checkpoints/          the newest three
    videos/               with `record_video`
    summary.json          at the end
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import psutil
import tensorflow as tf

from rl_fn import envs, loops, random, sets, struct
from rl_fn.envs import registry
from rl_fn.media import films
from rl_fn.runs import checkpoint, logging, run_files
from rl_fn.runs.runners import Runner, compiled_runner, host_runner
from rl_fn.struct import Nest

EVALUATIONS = 20  # during a run, evenly spaced
POINTS = 200  # at least so many points on a TensorBoard curve
_EVALUATION, _VIDEO = 1, 2  # folded into the seed's key
# What `env_kwargs` may not have -> where it belongs
_NOT_KWARGS = {
    "name": "use --env",
    "num_envs": "it is a hyper-parameter, use --hparam_override",
    "render_mode": "use --render or --record_video",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a run, as the command line has them."""

    hparams: str
    output_dir: Path
    env: str | None = None
    hparam_override: str = ""
    train_steps: int | None = None
    eval_episodes: int = 100
    copies: int = 1
    seed: int = 0
    checkpoint_seconds: float = 20.0
    env_kwargs: str = ""
    env_backend: str | None = None
    env_timeout: float | None = None
    record_video: bool = False
    video_episodes: int = 1  # at each evaluation
    render: bool = False


class Plan(NamedTuple):
    """A run whose options have all been found to be possible."""

    options: Options
    agent_name: str
    hparams: Any
    env: envs.Env | envs.HostEnv
    agent: Any
    runner: Runner
    configs: list[dict[str, Any]]  # one per copy, as config.json holds it
    recorder: films.Recorder | None  # of the first copy

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one rollout."""
        return self.hparams.num_envs * self.hparams.rollout_length

    def folder(self, copy: int) -> Path:
        """Where a copy's files go."""
        return self.options.output_dir / f"run_{copy}"


class Progress(NamedTuple):
    """What is known of a run beside its state; kept in each checkpoint."""

    train_seconds: float = 0.0  # compiled calls, compilation included
    running_seconds: float = 0.0  # of these, without compilation
    running_iterations: int = 0  # done in `running_seconds`


class Begin(NamedTuple):
    """Where a run begins, or goes on."""

    state: Nest  # with a leading copy axis where there are several copies
    iteration: int
    progress: Progress


def plan(options: Options) -> Plan:
    """Checks the options and makes what the run needs; writes nothing.

    Raises:
      ValueError: for anything that cannot be, in one sentence.
    """
    named = sets.find(options.hparams)
    if (env_name := options.env or named.env) is None:
        raise ValueError(f"set {options.hparams!r} fits any discrete environment; name one with --env")
    for name, value in (("eval_episodes", options.eval_episodes), ("copies", options.copies)):
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")
    if not 0 <= options.checkpoint_seconds <= 3600:
        raise ValueError(f"checkpoint_seconds is {options.checkpoint_seconds:g}, expected 0 to 3600")
    if not 0 <= options.seed <= 2**64 - options.copies:
        raise ValueError(f"seed is {options.seed}, expected 0 to 2**64 - copies")
    steps = {} if options.train_steps is None else {"train_steps": options.train_steps}
    values = sets.make(named, options.hparam_override, **steps)
    # The set's arguments belong to the set's environment.
    env_kwargs = {**(named.env_kwargs if env_name == named.env else {}), **sets.parse_overrides(options.env_kwargs)}

    for name, instead in _NOT_KWARGS.items():
        if name in env_kwargs:
            raise ValueError(f"env_kwargs cannot have {name}: {instead}")

    def make_env(num_envs: int, **more: Any) -> Any:
        given = {"backend": options.env_backend, "timeout": options.env_timeout}
        given = {name: value for name, value in given.items() if value is not None}
        return envs.make(env_name, num_envs, **{**env_kwargs, **given, **more})

    def make_judged(num_envs: int) -> Any:
        return make_env(num_envs, **registry.for_evaluation(env_name))

    env = make_env(values.num_envs)
    agent = sets.agent_module(named.agent).make(env.spec, values)
    configs = [
        {
            "hparams_set": options.hparams,
            "agent": named.agent,
            "env": env.spec.name,
            "env_kwargs": env_kwargs,
            "env_backend": options.env_backend,
            "seed": options.seed + copy,
            "copy": copy,
            "copies": options.copies,
            "eval_episodes": options.eval_episodes,
            "hparams": dataclasses.asdict(values),
            "versions": run_files.versions(),
            "command": sys.argv,
        }
        for copy in range(options.copies)
    ]
    if isinstance(env, envs.Env):
        runner = compiled_runner(agent, env, values, options.copies, options.eval_episodes)
    else:
        if options.copies > 1:
            raise ValueError(f"copies is {options.copies}, expected 1: {env.spec.name} is stepped on the host")
        runner = host_runner(agent, env, make_judged, values, options.eval_episodes)
    recorder = None
    if options.record_video or options.render:
        videos = options.output_dir / "run_0" / "videos" if options.record_video else None
        shown = films.single(env_name, env, **env_kwargs)
        recorder = films.Recorder(agent, shown, folder=videos, window=options.render, episodes=options.video_episodes)
    return Plan(options, named.agent, values, env, agent, runner, json.loads(json.dumps(configs)), recorder)


def prepare_folders(plan: Plan) -> None:
    """Makes the output folders, or checks that they hold this very run.

    Raises:
      ValueError: if a folder holds a run of other settings.
      OSError: if a folder cannot be written.
    """
    for copy, config in enumerate(plan.configs):
        folder = plan.folder(copy)
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"folder {folder} cannot be written")
        path = folder / "config.json"
        begun = any(other != path for other in folder.iterdir())  # nothing, where a run failed before its first step
        if path.exists() and begun:
            run_files.check_same_run(path, config)
        else:
            run_files.write_json(path, config)
    if (extra := plan.folder(len(plan.configs))).exists():
        raise ValueError(f"{extra} exists: the folder holds a run of more than {len(plan.configs)} copies")


def restore_or_start(plan: Plan) -> Begin:
    """Makes the state to begin with: that of the newest complete checkpoint if there is one.

    Raises:
      ValueError: if the newest checkpoint is damaged or belongs to another agent.
    """
    copies = range(plan.options.copies)
    fresh = [plan.runner.init(random.key(config["seed"])) for config in plan.configs]
    complete = set.intersection(*[set(checkpoint.list_iterations(plan.folder(i) / "checkpoints")) for i in copies])
    if not complete:
        return Begin(struct.stack(fresh) if len(fresh) > 1 else fresh[0], 0, Progress())
    newest = max(complete)
    loaded = [checkpoint.load(checkpoint.path_of(plan.folder(i) / "checkpoints", newest)) for i in copies]
    states = [checkpoint.restore(one, like) for one, like in zip(loaded, fresh, strict=True)]
    run_files.say(
        f"going on from the checkpoint at {newest * plan.steps_per_iteration:,} steps in {plan.options.output_dir}"
    )
    if plan.runner.on_host:
        run_files.say(f"{plan.env.spec.name} is no part of the checkpoint: its environments begin new episodes")
    state = struct.stack(states) if len(states) > 1 else states[0]
    return Begin(state, newest, Progress(**loaded[0].metadata["progress"]))


def run(plan: Plan, begin: Begin) -> list[dict[str, Any]]:
    """Trains to the end and writes `summary.json`; does nothing where that has been done.

    Returns:
      The summary of each copy.

    Raises:
      KeyboardInterrupt: after an interrupt or a termination signal, when the state has been saved.
    """
    with closing(plan.runner):
        return _run(plan, begin)


def _run(plan: Plan, begin: Begin) -> list[dict[str, Any]]:
    iterations = plan.hparams.num_iterations
    copies = plan.options.copies
    if finished := _finished(plan):
        run_files.say(f"{plan.options.output_dir} holds this run, finished; nothing to do")
        return finished
    state, start, progress = begin
    compiled = plan.runner.compile(state)
    del state, begin
    evaluate = _evaluation(plan, compiled)
    boards = [logging.TensorBoard(plan.folder(copy)) for copy in range(copies)]
    if not start:
        for board, config in zip(boards, plan.configs, strict=True):
            board.text("config", run_files.markdown(config))
    first_step_seconds = None
    pause_every = math.ceil(iterations / EVALUATIONS)
    saved_at, returns = time.monotonic(), np.full([copies, 1], np.nan)
    line = logging.ProgressLine(iterations * plan.steps_per_iteration, start * plan.steps_per_iteration)
    with line, _signals() as received:
        for chunk in plan.runner.train(
            compiled, iterations, start=start, max_chunk=math.ceil(iterations / POINTS), pause_every=pause_every
        ):
            first_step_seconds = first_step_seconds or time.time() - psutil.Process().create_time()
            progress = _advance(progress, chunk)
            env_steps = chunk.iteration * plan.steps_per_iteration
            speed = plan.steps_per_iteration * copies * chunk.iterations / chunk.seconds
            _log_chunk(boards, chunk, env_steps, float("nan") if chunk.compiled else speed / copies)
            pausing = chunk.iteration % pause_every == 0 or chunk.iteration == iterations
            if pausing:
                returns, lengths = evaluate(chunk.iteration)
                _log_evaluation(boards, returns, lengths, env_steps)
                _record(plan, compiled, chunk.iteration)
            line.update(env_steps, speed, _mean(chunk.episodes.episode_return), _mean(returns))
            if pausing:
                line.note()
            stopping = bool(received) and chunk.iteration < iterations
            if (
                stopping
                or chunk.iteration == iterations
                or time.monotonic() - saved_at >= plan.options.checkpoint_seconds
            ):
                _save(plan, compiled, chunk.iteration, progress)
                saved_at = time.monotonic()
            if stopping:
                run_files.say(f"stopped after {env_steps:,} steps; the same command goes on from there")
                raise KeyboardInterrupt
    for board in boards:
        board.close()
    if start == iterations:  # killed between the last checkpoint and the summary
        returns, _ = evaluate(iterations)
    return _summarize(plan, compiled, progress, returns, first_step_seconds)


def _save(plan: Plan, compiled: loops.Compiled, iteration: int, progress: Progress) -> None:
    state = tf.nest.map_structure(lambda leaf: leaf.numpy(), compiled.read())
    folders = [plan.folder(copy) / "checkpoints" for copy in range(plan.options.copies)]
    for copy, folder in enumerate(folders):
        checkpoint.save(folder, iteration, _copy_of(plan, state, copy), {"progress": progress._asdict()})
    # Only now do all copies have this one, so only now may an older one go.
    for folder in folders:
        checkpoint.keep_newest(folder)


def _copy_of(plan: Plan, state: Nest, copy: int) -> Nest:
    return tf.nest.map_structure(lambda leaf: leaf[copy], state) if plan.options.copies > 1 else state


def _evaluation(plan: Plan, compiled: loops.Compiled) -> Any:
    """A function from the iteration to returns and lengths, both `[copies, eval_episodes]`."""
    keys = [random.fold_in(random.key(config["seed"]), _EVALUATION) for config in plan.configs]

    def evaluate(iteration: int) -> tuple[np.ndarray, np.ndarray]:
        policy = compiled.read(lambda state: state.agent.policy)
        return plan.runner.evaluate(policy, [random.fold_in(key, iteration) for key in keys])

    return evaluate


def _record(plan: Plan, compiled: loops.Compiled, iteration: int) -> None:
    """Records or shows the first copy, if that was asked for."""
    if plan.recorder:
        key = random.fold_in(random.fold_in(random.key(plan.configs[0]["seed"]), _VIDEO), iteration)
        policy = _copy_of(plan, compiled.read(lambda state: state.agent.policy), 0)
        plan.recorder(policy, key, iteration * plan.steps_per_iteration)


def _advance(progress: Progress, chunk: loops.Chunk) -> Progress:
    running = not chunk.compiled
    return Progress(
        train_seconds=progress.train_seconds + chunk.seconds,
        running_seconds=progress.running_seconds + running * chunk.seconds,
        running_iterations=progress.running_iterations + running * chunk.iterations,
    )


def _summarize(
    plan: Plan,
    compiled: loops.Compiled,
    progress: Progress,
    returns: np.ndarray,
    first_step_seconds: float | None,
) -> list[dict[str, Any]]:
    iterations = plan.hparams.num_iterations
    speed = plan.steps_per_iteration * progress.running_iterations / max(progress.running_seconds, 1e-9)
    state = compiled.read()
    summaries = []
    for copy, config in enumerate(plan.configs):
        summary = {
            "agent": plan.agent_name,
            "env": plan.env.spec.name,
            "hparams_set": plan.options.hparams,
            "seed": config["seed"],
            "env_steps": iterations * plan.steps_per_iteration,
            "updates": iterations,
            "eval_return_mean": float(returns[copy].mean()),
            "eval_return_std": float(returns[copy].std()),
            "eval_episodes": plan.options.eval_episodes,
            "env_steps_per_second": speed,
            "env_steps_per_second_all_copies": speed * plan.options.copies,
            "first_step_seconds": first_step_seconds,
            "train_seconds": progress.train_seconds,
            "state_digest": checkpoint.digest(_copy_of(plan, state, copy)),
        }
        run_files.write_json(plan.folder(copy) / "summary.json", summary)
        summaries.append(summary)
    return summaries


def _finished(plan: Plan) -> list[dict[str, Any]] | None:
    paths = [plan.folder(copy) / "summary.json" for copy in range(plan.options.copies)]
    return [json.loads(path.read_text()) for path in paths] if all(path.exists() for path in paths) else None


def _log_chunk(boards: list[logging.TensorBoard], chunk: loops.Chunk, env_steps: int, speed: float) -> None:
    for copy, board in enumerate(boards):
        values = {f"agent/{name}": np.atleast_1d(value)[copy] for name, value in chunk.metrics.items()}
        for name, value in zip(("count", "return", "length"), chunk.episodes, strict=True):
            values[f"train/episode_{name}"] = np.atleast_1d(value)[copy]
        board.scalars({**values, "train/env_steps_per_second": speed}, env_steps)


def _log_evaluation(
    boards: list[logging.TensorBoard], returns: np.ndarray, lengths: np.ndarray, env_steps: int
) -> None:
    for board, mine, length in zip(boards, returns, lengths, strict=True):
        board.scalars(
            {"eval/return_mean": mine.mean(), "eval/return_std": mine.std(), "eval/length_mean": length.mean()},
            env_steps,
        )
        board.flush()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects interrupts and terminations, so that they take effect between chunks; a second one at once."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _mean(values: Any) -> float:
    """The mean of what is not NaN, NaN where nothing is left."""
    values = np.asarray(values, np.float64)
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else math.nan
