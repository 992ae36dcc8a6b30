"""The command line. TensorFlow is imported only when a command needs it, so that help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import tyro

import rl_fn
from rl_fn import hparams as named_sets
from rl_fn.startup import import_tensorflow

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
    compilation_cache: Annotated[bool, _flag("Keep compiled programs in the user's cache folder.")] = True,
) -> None:
    """Train an agent. Started again on the same output folder, a run goes on from its newest checkpoint."""
    del sys  # there is one place to run so far
    try:
        named_sets.find(hparams)
    except ValueError as error:
        _refuse(str(error))
    import_tensorflow(compilation_cache)
    from rl_fn import training

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


def plot(
    *,
    runs: Annotated[tuple[Path, ...], _flag("The output folders of runs; one curve each.", "DIR [DIR ...]")],
    output: Annotated[Path, _flag("The picture to write.", "FILE.png")] = Path("curves.png"),
    tag: Annotated[str, _flag("The TensorBoard scalar.", "NAME")] = "eval/return_mean",
) -> None:
    """Draw learning curves: median, range and each seed. Needs matplotlib: pip install "rl-fn[plot]"."""
    from rl_fn import plotting

    try:
        plotting.plot([plotting.read_curve(folder, tag) for folder in runs], output, ylabel=tag)
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
        {"train": train, "plot": plot, "version": version},
        prog="rl-fn",
        description="Reinforcement learning as pure functions in TensorFlow.",
        args=args,
        use_underscores=True,
    )


def _refuse(sentence: str) -> NoReturn:
    print(f"rl-fn: error: {sentence}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)


if __name__ == "__main__":
    main()
