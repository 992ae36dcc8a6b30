"""Writes the section of docs/search.md on what was measured, from the files in benchmarks/results/ that are there.

They are those of the other programs called search. What has no file yet has no table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl_fn.media import statistics
from rl_fn.runs.config import read_json

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "search.md"
HEADING = "## What was measured"
PARTS = (0.25, 0.5, 1.0)  # of a study, in the table of its course


def speed(figures: dict[str, Any]) -> Iterator[str]:
    """Trials per hour."""
    told, machine = figures["settings"], figures["machine"]
    alone = f"{told['separate']} {'was' if told['separate'] == 1 else 'were'}"
    yield (
        f"`{told['hparams']}`, {told['trials']} trials of {told['seeds']} seeds of {told['steps']:,} steps, "
        f"{told['batch']} side by side, on {machine['cores']} cores ({machine['cpu']}). Of the trials in separate "
        f"processes {alone} trained, from which follows what all would take."
    )
    yield ""
    yield "| trials | per hour |"
    yield "|---|---|"
    yield f"| in one program | {figures['search_trials_per_hour']:,.0f} |"
    yield f"| in separate processes | {figures['separate_trials_per_hour']:,.0f} |"
    yield f"| ratio | {figures['ratio']:.1f} |"
    if "zoo_ratio" in figures:
        yield f"| in the search of rl-baselines3-zoo | {figures['zoo_trials_per_hour']:,.1f} |"
        yield f"| ratio | {figures['zoo_ratio']:.1f} |"
        yield ""
        yield (
            f"Of rl-baselines3-zoo, {told['zoo']} trials of one seed were trained, each counted {told['seeds']} times. "
            "It draws how often it\nlearns, so what its trials take varies much from study to study."
        )


def best(figures: dict[str, Any]) -> Iterator[str]:
    """The sets that searches have found, beside the shipped ones."""
    yield (
        "Sets found from shipped ones, both trained again with fresh seeds. The probability that a run of the set\n"
        "found is better than one of the shipped set, with its 95% bootstrap interval, is 0.5 where they are alike.\n"
        "What was found for `ppo_acrobot`, `ppo_mountaincar` and `ppo_pendulum` has been shipped since, rounded."
    )
    yield ""
    yield "| set | search | shipped, median | found, median | probability of improvement |"
    yield "|---|---|---:|---:|---|"
    for name, one in figures.items():
        told, returns, (low, high) = one["settings"], one["returns"], one["interval"]
        search = f"{told['trials']} trials of {told['seeds']} seeds in {one['search_seconds'] / 60:.0f} minutes"
        medians = " | ".join(f"{np.median(returns[of]):.1f}" for of in ("shipped", "found"))
        yield f"| `{name}` | {search} | {medians} | {one['probability']:.2f} ({low:.2f} to {high:.2f}) |"


def population(figures: dict[str, Any]) -> Iterator[str]:
    """A population beside fixed settings."""
    told, fixed = figures["settings"], figures["random"]
    yield (
        f"A population of {told['members']} on `{told['hparams']}`, of {told['steps']:,} steps each in "
        f"{told['generations']} generations, that changes\n`{told['space']}`, came to {figures['pbt']:.4g}. Of as many "
        f"fixed settings drawn at random, trained as long, the best came to\n{fixed[0]:.4g} and the median to "
        f"{np.median(fixed):.4g}. The lineage:"
    )
    yield ""
    yield "![From whom each member of each generation goes on, and its settings](search/lineage.png)"


def curves(figures: dict[str, Any]) -> Iterator[str]:
    """The best so far, at some trials."""
    told, found = figures["settings"], figures["best_so_far"]
    changed = f" with `{told['hparam_override']}`" * bool(told["hparam_override"])
    at = sorted({max(1, round(part * told["trials"])) for part in PARTS})
    yield (
        f"The best of `{told['hparams']}`{changed} at {told['steps']:,} steps so far, over {told['studies']} studies "
        "of each\nmethod: interquartile mean, and its 95% bootstrap interval in brackets. "
        "All methods begin with the same random draws."
    )
    yield ""
    yield f"| method | after {' | '.join(map(str, at))} trials |"
    yield "|---" * (1 + len(at)) + "|"
    for method, values in found.items():
        cells = []
        for count in at:
            scores = [np.array(values)[:, count - 1]]
            low, high = statistics.interval(statistics.iqm, scores)
            cells.append(f"{statistics.of(statistics.iqm, scores):.4g} ({low:.4g} to {high:.4g})")
        yield f"| `{method}` | {' | '.join(cells)} |"
    yield ""
    yield "![The best so far by the number of trials](search/best_so_far.png)"


def kills(figures: dict[str, Any]) -> Iterator[str]:
    """What a study that was killed has lost."""
    told = figures["settings"]
    wrong = "; ".join(figures["wrong"]) or "no finished trial was lost, changed or there twice"
    yield (
        f"A study of {told['trials']} trials that got SIGKILL {told['kills']} times, at moments drawn at random, held "
        f"{figures['trials']} finished trials in the end: {wrong}."
    )


def main() -> None:
    """Writes the section."""
    parts = {"": speed, "_best": best, "_curves": curves, "_population": population, "_kills": kills}
    files = [(write, RESULTS / f"search{name}.json") for name, write in parts.items()]
    found = [(write, path) for write, path in files if path.exists()]
    sections = ["\n".join(write(read_json(path))) for write, path in found]
    before = PAGE.read_text().partition(HEADING)[0].rstrip()
    after = [HEADING, *sections] if sections else []
    PAGE.write_text("\n\n".join([before, *after]) + "\n")


if __name__ == "__main__":
    main()
