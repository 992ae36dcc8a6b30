"""`rl-fn search`."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands import signals
from rl_fn.commands.exits import EXIT_FAILURE, EXIT_INTERRUPTED, refusals, refuse, say
from rl_fn.commands.flags import flag, with_flags_of
from rl_fn.search.config import POPULATION, SearchConfig

if TYPE_CHECKING:
    from rl_fn.search.evolution import Evolution
    from rl_fn.search.study import Study


@with_flags_of(SearchConfig)
def search(
    *,
    flags: dict[str, Any],
    pictures: Annotated[bool, flag("Draw the study when it is finished.")] = True,
    compilation_cache: Annotated[bool, flag("Keep compiled programs in the user's cache folder.")] = True,
) -> None:
    """Search for hyper-parameters: trials side by side in one program. Needs pip install "rl-fn[search]"."""
    with refusals():
        for name in ("hparams", "output_dir"):
            if name not in flags:
                refuse(f"search needs --{name}")
        import_tensorflow(compilation_cache)
        config = SearchConfig(**flags)
    if config.method == POPULATION:
        _evolve(config, pictures)
    else:
        _study(config, pictures)


def _study(config: SearchConfig, pictures: bool) -> None:
    from rl_fn.search.study import Study

    with refusals(f"output_dir {config.output_dir}"):
        study = Study(config)
    try:
        with closing(study):
            _searched(study, pictures)
    finally:
        for note in study.notes:  # of the end
            say(note)


def _searched(study: Study, pictures: bool) -> None:
    from rl_fn.search import best, space

    config = study.config
    for line in _told(study):
        say(line)
    stopping, begin = threading.Event(), len(study.finished())
    has_begun = lambda: len(study.finished()) > begin
    with signals.stopping(stopping.set, has_begun):
        for progress in study.run(stopping.is_set):
            for note in progress.notes:
                say(note)
            words = f"{progress.finished} of {progress.trials} trials"
            if progress.best:
                values = space.told(study.space, progress.best.values)
                words += f", best {progress.best.value:.6g} by trial {progress.best.number} ({values})"
            say(f"{words}, about {_duration(progress.seconds_left)} left")
        if stopping.is_set():
            _interrupted(f"{len(study.finished())} of {study.trials} trials")
        if left := study.at_work():
            say(f"other processes are at {left} trials; the last to end, or the same command, judges the best")
            return
        with study.shelf.judging() as mine:
            if not mine:
                say("another process judges the best")
                return
            if config.finalists:
                say(f"the best {min(config.finalists, study.trials)} are trained again with fresh seeds")
            finals = best.judge(study, stopping.is_set)
        if stopping.is_set():
            _interrupted("all trials, and the best are not judged yet")
    if not finals:
        refuse("no trial came to its end", EXIT_FAILURE)
    for final in finals:
        values = space.told(study.space, final.trial.values)
        print(f"trial {final.trial.number}: {final.trial.value:.6g}, again {final.score:.6g} ({values})")
    with refusals(f"output_dir {config.output_dir}"):
        path = best.write(study, finals[0])
        if pictures:
            _draw(study)
    print(path)
    say(f"written to {path}; next: rl-fn train --hparams {path}")


def _evolve(config: SearchConfig, pictures: bool) -> None:
    from rl_fn.search.evolution import Evolution

    with refusals(f"output_dir {config.output_dir}"):
        evolution = Evolution(config)
        try:
            with closing(evolution):
                _evolved(evolution, pictures)
        finally:
            _tell_notes(evolution.notes)


def _evolved(evolution: Evolution, pictures: bool) -> None:
    config, stopping = evolution.config, threading.Event()
    say(f"a population of {config.trials} changes {', '.join(map(str, evolution.space))}")
    with signals.stopping(stopping.set, has_begun=lambda: evolution.generation > 0):
        for rows in evolution.run(stopping.is_set):
            _tell_notes(evolution.notes)
            left = evolution.seconds * (config.evaluations - evolution.generation)
            words = f"generation {evolution.generation} of {config.evaluations}"
            told = f"{words}, best {max(row.fitness for row in rows):.6g}, {len({row.parent for row in rows})} parents"
            # The first compiles, which says nothing of the others.
            say(told if evolution.generation == 1 else f"{told}, about {_duration(left)} left")
        if stopping.is_set():
            _interrupted(f"{evolution.generation} of {config.evaluations} generations")
        member, score = evolution.judge()
    path = evolution.write(member, score)
    if pictures:
        _draw_lineage(evolution)
    print(f"member {member}: {score:.6g}")
    print(path)


def _tell_notes(notes: list[str]) -> None:
    while notes:
        say(notes.pop(0))


def _told(study: Study) -> list[str]:
    """What is searched, before it begins."""
    config, plan = study.config, study.plan
    static = [one.name for one in study.space if one.is_static]
    seeds = f"{config.seeds} seeds" if config.seeds > 1 else "1 seed"
    lines = [
        f"searches {', '.join(map(str, study.space))}",
        f"{study.trials} trials of {seeds} of {plan.run_config.train_steps:,} steps in {plan.spec.name} by "
        f"{config.method}; pruner {config.pruner}, objective {config.objective}",
    ]
    who = f", in each of {config.num_workers} workers" if config.num_workers > 1 else ""
    if plan.env:
        lines.append(f"{plan.batch} trials side by side, with all their seeds, are copies in one compiled program{who}")
    else:
        lines.append(
            f"{plan.spec.name} is stepped on the host, so trials and their seeds are trained one after the other{who}; "
            "copies in one program need a compiled environment"
        )
    if static:
        each = "the same for a whole batch" if plan.batch > 1 else "which is kept for when it comes again"
        lines.append(f"each value of {', '.join(static)} makes a program of its own, {each}")
    if done := len(study.finished()):
        lines.append(f"goes on from {done} trials in {config.output_dir}")
    return [*lines, "how long it takes is known after the first batch"]


def _draw(study: Study) -> None:
    from rl_fn.search import pictures

    folder = study.config.output_dir / pictures.FOLDER
    written, notes = pictures.draw(study.shelf.study, folder)
    for note in notes:
        say(note)
    if written:
        say(f"{len(written)} pictures in {folder}")


def _draw_lineage(evolution: Evolution) -> None:
    from rl_fn.search import pictures

    path = evolution.config.output_dir / pictures.FOLDER / "lineage.png"
    try:
        say(f"drawn: {pictures.draw_lineage(evolution.rows, evolution.space, path)}")
    except ModuleNotFoundError as error:
        say(f'no picture of the lineage, which needs {error.name}: pip install "rl-fn[plot]"')


def _interrupted(done: str) -> None:
    say(f"stopped after {done}; the same command goes on from there")
    raise SystemExit(EXIT_INTERRUPTED)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
