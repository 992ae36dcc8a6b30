"""`rl-fn train`."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Annotated, Any

from rl_fn import sets
from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands import elsewhere, signals
from rl_fn.commands.exits import EXIT_INTERRUPTED, refusals, refuse, say
from rl_fn.commands.flags import flag, with_flags_of
from rl_fn.runs import RunConfig, stores
from rl_fn.runs.config import modules_of
from rl_fn.runs.files import read_json
from rl_fn.sets import modules

_WHERE, _TEST = "where it runs", "testing what was learned"
MOST_EPISODES = 10**6
_NOT_TESTED = {"record_video": "evaluate {} --record_video", "render": "play {} --render"}
RUNS = Path("runs")  # where folders are made that nobody named


@with_flags_of(RunConfig)
def train(
    *,
    flags: dict[str, Any],
    config: Annotated[
        Path | None, flag("Train as the config.json of another run says; flags that are given win.", "FILE")
    ] = None,
    training: Annotated[
        bool, flag("False: freeze what the run in the folder has learned, and test it.", group=_TEST)
    ] = True,
    test_only: Annotated[bool, flag("The same as --training False.", group=_TEST)] = False,
    test_episodes: Annotated[int, flag("Whole episodes of such a test.", "N", group=_TEST)] = 100,
    profile: Annotated[bool, flag("Profile 50 iterations for TensorBoard, once all is compiled.")] = False,
    accelerator: Annotated[
        str | None, flag("Of another system: H100:1, or a slice of TPUs such as v5litepod-8.", "NAME:N", group=_WHERE)
    ] = None,
    spot: Annotated[
        bool | None,
        flag("Of a cloud: a machine that may be taken away, for less; else where the cloud sells such.", group=_WHERE),
    ] = None,
    extras: Annotated[
        str, flag("Of rl-fn, to be installed there, such as atari,video.", "NAME,...", group=_WHERE)
    ] = "",
    dry_run: Annotated[
        bool, flag("Show what another system would be asked for; needs no account.", group=_WHERE)
    ] = False,
    quiet: Annotated[bool, flag("Show no progress.")] = False,
    compilation_cache: Annotated[bool, flag("Keep compiled programs in the user's cache folder.")] = True,
) -> None:
    """Train an agent. Started again on the same output folder, a run goes on from its newest checkpoint."""
    told = {name: value for name, value in {**locals(), **flags}.items() if name != "flags"}
    elsewhere_only = {"accelerator": accelerator, "spot": spot, "extras": extras, "dry_run": dry_run}
    is_test = test_only or not training
    if flags.get("sys", "local") == "local":
        for name, value in elsewhere_only.items():
            if value:
                refuse(f"{name} is about another system: name one, such as --sys gcp")
        for name in ("ray_address", "max_policy_lag"):
            if name in flags and config is None and flags.get("num_workers", 1) == 1:
                refuse(f"{name} is about workers: say how many, such as --num_workers 2")
    elif is_test:
        refuse("a test happens on this machine, also of a run on an object store: leave out --sys")
    if is_test:
        _test(flags, test_episodes, compilation_cache)
        return
    with refusals():
        if config is None and "hparams" not in flags:
            refuse("train needs --hparams NAME, the set of hyper-parameters; rl-fn list shows what there is")
        if config is None and not flags.get("imports"):
            sets.find(flags["hparams"])  # a mistake is answered at once, where no module has to be imported before
        import_tensorflow(compilation_cache, _devices(flags, config), look=False)
        settings = _settings(flags, config)
        if settings.sys != "local":
            elsewhere.start(train, told, settings)  # once it is clear that it would train there
            return
        from rl_fn.runs import Run, threads
        from rl_fn.runs.reporters import Profile, Progress

        if settings.is_named:
            is_alone = settings.copies == settings.devices == settings.num_workers == 1
            threads.settle(settings.make_hparams(), is_alone)
        run = Run.from_config(settings)
    if not quiet:
        run.reporters.append(Progress())
    if profile:
        run.reporters.append(Profile())
    with run:
        with refusals(f"output_dir {settings.output_dir}"):
            run.start()
        said = _say_new(run.notes, 0)
        if "output_dir" not in flags:
            say(f"output_dir is {settings.output_dir}")
        start = run.iteration
        with signals.stopping(run.stop, has_begun=lambda: run.iteration > start):
            for _ in run:
                said = _say_new(run.notes, said)
        _say_new(run.notes, said)
    if run.summaries is None:
        say(f"stopped after {run.env_steps:,} steps; the same command goes on from there")
        raise SystemExit(EXIT_INTERRUPTED)
    for summary in run.summaries:
        print(_last_words(summary))
    if run.iteration > start and not quiet:
        folder, named = settings.output_dir, modules_of(vars(run.config))
        packages = [name for name in named if not any(name.startswith(f"{other}.") for other in named)]
        imports = "".join(f" --import {name}" for name in packages)
        plot = f"rl-fn plot {folder}, tensorboard --logdir {folder}"
        say(f"written to {folder}; next: rl-fn evaluate {folder}{imports}, {plot}")


def _say_new(notes: list[str], said: int) -> int:
    """Says what has been noted since; returns how many notes have been said."""
    for note in notes[said:]:
        say(note)
    return len(notes)


def _test(flags: dict[str, Any], episodes: int, compilation_cache: bool) -> None:
    """Plays whole episodes with the newest checkpoint of each copy, without exploration; nothing is written."""
    folder = Path()
    with refusals(flags.get("output_dir")):
        folder = stores.local(flags.get("output_dir") or "")
    copies = sorted(folder.glob("run_*")) if "output_dir" in flags else []
    if not copies:
        refuse("a test needs --output_dir DIR, the folder of a run that has been trained")
    for name, instead in _NOT_TESTED.items():
        if flags.get(name):
            refuse(f"{name} is not for a test, which writes and shows nothing: use rl-fn {instead.format(folder)}")
    if not 1 <= episodes <= MOST_EPISODES:
        refuse(f"test_episodes is {episodes}, expected an integer from 1 to {MOST_EPISODES:,}")
    import_tensorflow(compilation_cache)
    from rl_fn.runs import evaluate

    with refusals(folder):
        modules.import_named(modules.names(flags.get("imports", ())))
        kwargs = sets.parse_overrides(flags.get("env_kwargs", ""))
        seed = flags.get("seed", 0)
        for judged in evaluate(folder, env=flags.get("env"), env_kwargs=kwargs, episodes=episodes, seed=seed):
            for note in judged.loaded.notes:
                say(note)
            returns = judged.evaluation.returns
            told = f"test return {returns.mean():.1f} +- {returns.std():.1f} over {episodes} episodes"
            print(f"run_{judged.copy}: {told}, after {judged.loaded.env_steps:,} steps", flush=True)


def _settings(flags: dict[str, Any], config: Path | None) -> RunConfig:
    """The settings of the run: those of the flags, over those of a file."""
    if config is None:
        return RunConfig(**{"output_dir": _dated(flags["hparams"]), **flags})
    modules.import_named(modules.names(flags.get("imports", ())))
    theirs, given = RunConfig.from_json(config).in_env(flags.get("env")), dict(flags)
    for name in ("hparam_override", "env_kwargs"):
        if name in given:
            given[name] = {**getattr(theirs, name), **sets.parse_overrides(given[name])}
    if given.get("hparams", theirs.hparams) != theirs.hparams:
        raise ValueError(
            f"hparams is {given['hparams']!r}, and {config} holds all of {theirs.hparams!r}: give one of both"
        )
    return dataclasses.replace(theirs, **{"output_dir": _dated(str(theirs.hparams)), **given})


def _devices(flags: dict[str, Any], config: Path | None) -> int:
    """On how many devices a run is to be, for which TensorFlow has to be told before it starts; 1 for nonsense."""
    told = flags.get("devices") or (config and read_json(config).get("devices"))
    return told if isinstance(told, int) and 1 <= told <= 1024 else 1


def _dated(hparams: str) -> Path:
    """A folder that is named by the time, for a run that nobody gave one."""
    return RUNS / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}_{Path(hparams).stem}"


def _last_words(summary: dict[str, Any]) -> str:
    evaluation = "no evaluation"
    if summary["eval_episodes"]:
        evaluation = (
            f"evaluation return {summary['eval_return_mean']:.1f} +- {summary['eval_return_std']:.1f} "
            f"over {summary['eval_episodes']} episodes"
        )
        if cut := summary["eval_episodes_unfinished"]:
            evaluation += f", {cut} of them cut off before their end"
    steps = f"{summary['env_steps']:,} steps at {summary['env_steps_per_second']:,.0f} steps/s"
    return f"seed {summary['seed']}: {evaluation}, {steps}"
