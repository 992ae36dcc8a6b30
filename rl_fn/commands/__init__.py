"""The command line. TensorFlow is imported only when a command needs it, so that help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import tyro

import rl_fn
from rl_fn import sets as named_sets
from rl_fn._src.xla.startup import import_tensorflow

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

_SETS = " ".join(f"{name}: {named.doc}" for name, named in named_sets.SETS.items())


def _flag(text: str, metavar: str | None = None) -> object:
    return tyro.conf.arg(help=text, metavar=metavar)


def train(
    *,
    hparams: Annotated[str, _flag(f"The set of hyper-parameters. {_SETS}", "NAME")],
    output_dir: Annotated[Path, _flag("Everything the run writes goes here.", "DIR")],
    sys: Annotated[Literal["local"], _flag("Where to run.")] = "local",
    env: Annotated[str | None, _flag("The environment, where it is not that of the set.", "NAME")] = None,
    env_kwargs: Annotated[str, _flag('What the environment is made with, such as "size=10".', "NAME=VALUE,...")] = "",
    env_backend: Annotated[
        Literal["sync", "thread", "process"] | None,
        _flag("Where environments of other libraries are stepped: in turn, in threads, or in processes."),
    ] = None,
    env_timeout: Annotated[float | None, _flag("Seconds in which such an environment must answer.", "N")] = None,
    hparam_override: Annotated[str, _flag('Such as "learning_rate=1e-3,num_envs=16".', "NAME=VALUE,...")] = "",
    train_steps: Annotated[int | None, _flag("Environment steps, where not those of the set.", "N")] = None,
    eval_episodes: Annotated[int, _flag("Whole episodes per evaluation.", "N")] = 100,
    copies: Annotated[int, _flag("Train the seeds seed, seed + 1, ... side by side in one program.", "N")] = 1,
    seed: Annotated[int, _flag("The same seed and settings give the same bits.", "N")] = 0,
    checkpoint_seconds: Annotated[float, _flag("Save the state at least so often; 0 for every chance.", "N")] = 20.0,
    record_video: Annotated[bool, _flag("Record films at each evaluation, to run_0/videos.")] = False,
    video_episodes: Annotated[int, _flag("Episodes to record or show at each evaluation.", "N")] = 1,
    render: Annotated[bool, _flag("Show episodes at each evaluation, in a window.")] = False,
    compilation_cache: Annotated[bool, _flag("Keep compiled programs in the user's cache folder.")] = True,
) -> None:
    """Train an agent. Started again on the same output folder, a run goes on from its newest checkpoint."""
    del sys  # there is one place to run so far
    try:
        named_sets.find(hparams)
    except ValueError as error:
        _refuse(str(error))
    import_tensorflow(compilation_cache)
    from rl_fn.runs import training

    options = training.Options(
        hparams=hparams,
        output_dir=output_dir,
        env=env,
        env_kwargs=env_kwargs,
        env_backend=env_backend,
        env_timeout=env_timeout,
        hparam_override=hparam_override,
        train_steps=train_steps,
        eval_episodes=eval_episodes,
        copies=copies,
        seed=seed,
        checkpoint_seconds=checkpoint_seconds,
        record_video=record_video,
        video_episodes=video_episodes,
        render=render,
    )
    try:
        plan = training.plan(options)
        training.prepare_folders(plan)
        state = training.restore_or_start(plan)
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"output_dir {output_dir} cannot be used: {error.strerror or error}")
    try:
        summaries = training.run(plan, state)
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    for summary in summaries:
        print(
            f"seed {summary['seed']}: evaluation return {summary['eval_return_mean']:.1f} "
            f"+- {summary['eval_return_std']:.1f} over {summary['eval_episodes']} episodes, "
            f"{summary['env_steps']:,} steps at {summary['env_steps_per_second']:,.0f} steps/s"
        )


def play(
    *,
    run: Annotated[Path, _flag("The folder of one copy of a run.", "DIR/run_0")],
    episodes: Annotated[int, _flag("How many to play.", "N")] = 3,
    record_video: Annotated[bool, _flag("Record films, to DIR/run_0/videos.")] = False,
    render: Annotated[bool, _flag("Show them in a window.")] = False,
    seed: Annotated[int, _flag("The same seed gives the same episodes.", "N")] = 0,
) -> None:
    """Play episodes with a run's newest checkpoint, without exploration."""
    if not (run / "config.json").is_file():
        _refuse(f"{run} holds no run: there is no config.json in it")
    import_tensorflow(compilation_cache=True)
    from rl_fn.runs import playing

    try:
        for index, episode_return in enumerate(playing.play(run, episodes, record_video, render, seed)):
            print(f"episode {index}: return {episode_return:.1f}", flush=True)
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{run} cannot be used: {error.strerror or error}")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    if record_video:
        print(run / "videos")


def envs(
    *,
    kind: Annotated[
        str | None, _flag("Only compiled, registered, gymnasium, gym, atari, procgen or envpool.", "KIND")
    ] = None,
    match: Annotated[str, _flag("Only names that contain this.", "TEXT")] = "",
    spaces: Annotated[bool, _flag("Make each and show its spaces.")] = False,
) -> None:
    """List the environments: their names by kind, and what each kind needs."""
    from rl_fn.commands import listing

    if spaces:
        import_tensorflow(compilation_cache=False)
    try:
        listing.show(kind, match, spaces)
    except ValueError as error:
        _refuse(str(error))


def plot(
    *,
    runs: Annotated[tuple[Path, ...], _flag("The output folders of runs; one curve each.", "DIR [DIR ...]")],
    output: Annotated[Path, _flag("The picture to write.", "FILE.png")] = Path("curves.png"),
    tag: Annotated[str, _flag("The TensorBoard scalar.", "NAME")] = "eval/return_mean",
) -> None:
    """Draw learning curves: median, range and each seed. Needs matplotlib: pip install "rl-fn[plot]"."""
    import_tensorflow(compilation_cache=False)  # which TensorBoard reads with, and not quietly
    from rl_fn.media import curves

    try:
        curves.plot([curves.read_curve(folder, tag) for folder in runs], output, ylabel=tag)
    except ModuleNotFoundError as error:
        _refuse(f'plot needs {error.name}, which is not installed: pip install "rl-fn[plot]"')
    except (ValueError, OSError) as error:
        _refuse(str(error))
    print(output)


def version() -> None:
    """Print the version."""
    print(f"rl-fn {rl_fn.__version__}")


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; `args` are those of the process unless given."""
    tyro.extras.subcommand_cli_from_dict(
        {"train": train, "play": play, "envs": envs, "plot": plot, "version": version},
        prog="rl-fn",
        description="Reinforcement learning as pure functions in TensorFlow.",
        args=args,
        use_underscores=True,
    )


def _refuse(sentence: str) -> NoReturn:
    print(f"rl-fn: error: {sentence}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)
