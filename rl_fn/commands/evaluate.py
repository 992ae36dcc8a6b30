"""`rl-fn evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import EXIT_INTERRUPTED, refusals, say
from rl_fn.commands.flags import Checkpoint, Imports, RunFolder, flag
from rl_fn.media import statistics
from rl_fn.runs import stores
from rl_fn.sets import modules, parse_overrides

if TYPE_CHECKING:
    from rl_fn.runs.judging import Judged


def evaluate(
    run: RunFolder,
    *,
    checkpoint: Checkpoint = "newest",
    env: Annotated[
        str | None, flag("Another environment of the same spaces, where it is not the run's.", "NAME")
    ] = None,
    env_kwargs: Annotated[str, flag('What it is made with, such as "size=10".', "NAME=VALUE,...")] = "",
    deterministic: Annotated[bool, flag("Without exploration; else actions are sampled as in training.")] = True,
    episodes: Annotated[int, flag("Whole episodes of each copy.", "N")] = 100,
    seed: Annotated[int, flag("The same seed gives the same episodes.", "N")] = 0,
    output: Annotated[Path | None, flag("Write all returns and lengths here, as JSON.", "FILE")] = None,
    record_video: Annotated[bool, flag("Record a film, to RUN/run_0/videos.")] = False,
    video_episodes: Annotated[int, flag("How many films.", "N")] = 1,
    imports: Imports = (),
) -> None:
    """Judge what a run has learned: returns over whole episodes, of each copy and over the copies."""
    import_tensorflow(compilation_cache=True)
    from rl_fn.runs import judging
    from rl_fn.runs.loading import copy_folders

    with refusals(run):
        if output is not None and not output.parent.is_dir():
            raise ValueError(f"output {output} cannot be used: there is no folder {output.parent}")
        modules.import_named(modules.names(imports))
        if record_video:
            stores.refuse_to_write(run, "--record_video")
        options: dict[str, Any] = {
            "checkpoint": checkpoint,
            "env": env,
            "env_kwargs": parse_overrides(env_kwargs),
            "deterministic": deterministic,
            "episodes": episodes,
            "seed": seed,
        }
        filmed = video_episodes if record_video else None
        try:
            judged = list(judging.evaluate(run, **options, video_episodes=filmed))
            for note in dict.fromkeys(note for one in judged for note in one.loaded.notes):
                say(note)
            if record_video:
                say(f"filmed to {copy_folders(run)[0] / 'videos'}")
        except KeyboardInterrupt:
            raise SystemExit(EXIT_INTERRUPTED) from None
    rows = [_row(one.evaluation.returns) for one in judged]
    over_copies = _row(np.array([row["mean"] for row in rows]))
    console, table = Console(), _table(judged, rows, over_copies)
    # A number without its last digits is another number, so a narrow terminal breaks lines rather than cells.
    console.width = max(console.width, console.measure(table, options=console.options.update(max_width=200)).maximum)
    console.print(table)
    if output is not None:
        content = {"run": str(run), **options, "env": judged[0].loaded.env.spec.name}
        content["copies"] = [_content(one, row) for one, row in zip(judged, rows, strict=True)]
        with refusals(output):
            output.write_text(json.dumps({**content, "over_copies": over_copies}, indent=1) + "\n", "utf-8")
        say(f"wrote {output}")


def _row(values: np.ndarray) -> dict[str, Any]:
    low, high = statistics.interval(statistics.iqm, [values])
    return {
        "mean": float(np.mean(values, dtype=np.float64)),
        "deviation": float(np.std(values, dtype=np.float64)),
        "interquartile_mean": float(statistics.of(statistics.iqm, [values])),
        "interval": [float(low), float(high)],
    }


def _content(judged: Judged, row: dict[str, Any]) -> dict[str, Any]:
    returns, lengths, finished = (part.tolist() for part in judged.evaluation)
    return {
        "copy": judged.copy,
        "seed": judged.seed,
        "env_steps": judged.loaded.env_steps,
        **row,
        "returns": returns,
        "lengths": lengths,
        "finished": finished,
    }


def _table(judged: Sequence[Judged], rows: Sequence[dict[str, Any]], over_copies: dict[str, Any]) -> Table:
    title = f"returns in {judged[0].loaded.env.spec.name}: seeds over their episodes, all over the seeds"
    table = Table(
        title=title,
        show_edge=False,
        caption="IQM: interquartile mean, with its 95% bootstrap interval",
    )
    for column in ("", "steps", "mean", "std", "IQM", "95% interval", "length", "cut"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for one, row in zip(judged, rows, strict=True):
        length, cut = one.evaluation.lengths.mean(), int((~one.evaluation.finished).sum())
        steps = f"{one.loaded.env_steps:,}"
        table.add_row(f"seed {one.seed}", steps, *_cells(row), f"{length:.1f}", str(cut))
    if len(judged) > 1:
        table.add_row("all", "", *_cells(over_copies), "", "")
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    low, high = row["interval"]
    numbers = [row["mean"], row["deviation"], row["interquartile_mean"]]
    return [*map(_number, numbers), f"{_number(low)} to {_number(high)}"]


def _number(value: float) -> str:
    """With a decimal where that says something."""
    return f"{value:.1f}" if abs(value) < 10_000 else f"{value:,.0f}"
