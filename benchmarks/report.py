"""The figures of this folder's benchmarks as text, as a page of the documentation, and as a chart."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cases import CASES

NAMES = {"rl_fn": "rl_fn", "rejax": "rejax", "sb3": "Stable-Baselines3", "sbx": "SBX", "dreamerv3": "DreamerV3"}
SINCE = {"from_start": "from the start of the process", "after_imports": "after the imports"}

STEPPING_TARGET, HOST_TARGET = 1.5, 0.85  # speed over that of gymnax, and of EnvPool's own loop

SIDES = ("ours", "theirs")

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
FIGURES = """
![Speed of rl_fn relative to other libraries](performance.png)

## Speed

{speed}

## Time to the first update

{cold}

## Peak memory

{memory}

## The machine's limits

{limits}

{parts}

## Settings

{settings}

## What could not be made equal

{unequal}

## Measured with

{versions}

"""


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def ratio_text(row: dict[str, Any]) -> str:
    """Median and range of the ratios."""
    low, high = row["range"]
    return f"{row['median']:.2f} ({low:.2f} to {high:.2f})"


def verdict(row: dict[str, Any]) -> str:
    """The target, and whether it is reached."""
    return f"{row['target']:g}, {'reached' if row['median'] >= row['target'] else 'missed'}"


def settings_text(case: dict[str, Any]) -> str:
    """What all sides share, in a line."""
    copies = f"{case['copies']} copies, " if case["copies"] > 1 else ""
    return copies + ", ".join(f"{name} {value}" for name, value in case["settings"].items())


def return_text(case: dict[str, Any], side: str) -> str:
    """The evaluation of a side."""
    return f"{case['returns'][side]:.1f}{'' if case['learned'][side] else ' (did not learn)'}"


def case_text(name: str, case: dict[str, Any]) -> str:
    """The figures of one case, to be printed."""
    lines = [f"\n{name}: {case['algorithm']} on {case['env']}", f"  equal: {settings_text(case)}"]
    digits = ",.0f" if case["unit"] == "steps/s" else ".2f"
    for row in case["rows"]:
        ours, theirs = (format(statistics.median(row[side]), digits) for side in SIDES)
        since = f", {SINCE[row['since']]}" if "since" in row else ""
        lines.append(f"  rl_fn {ours} {case['unit']}, {NAMES[row['rival']]} {theirs} {case['unit']}{since}")
        lines.append(f"    ratios {row['ratios']}: {ratio_text(row)}; target {verdict(row)}")
    if "returns" in case:
        returns = ", ".join(f"{NAMES[side]} {return_text(case, side)}" for side in case["returns"])
        lines.append(f"  return after {case['train_steps']:,} steps: {returns}")
        times = ", ".join(
            f"{NAMES[side]} {time['from_start']:.1f} s ({time['after_imports']:.1f} s after the imports)"
            for side, time in case["first_update"].items()
        )
        lines.append(f"  first update: {times}")
        lines += [f"  chosen by speed: {NAMES[side]}: {what}" for side, what in case["chosen"].items()]
    lines += [f"  not equal: {NAMES[side]}: {what}" for side, what in case["unequal"].items() if side in rivals(case)]
    return "\n".join(lines)


def rivals(case: dict[str, Any]) -> list[str]:
    """Those compared with in a case."""
    return [row["rival"] for row in case["rows"]]


def limits_text(limits: dict[str, Any]) -> str:
    """The limits, in sentences."""
    rate, copy = limits["matrix_gflop_per_s"], limits["copy_gb_per_s"]
    return (
        f"{limits['what']}: {limits['matrix_gflop']:.2f} GFLOP in matrix products and {limits['gigabytes']:.2f} GB "
        f"read and written take {1e3 * limits['seconds']:.0f} ms. At this machine's rates, {rate:.0f} GFLOP/s in a "
        f"large matrix product and {copy:.1f} GB/s in a copy, the products alone would take "
        f"{1e3 * limits['matrix_gflop'] / rate:.0f} ms and the traffic {1e3 * limits['gigabytes'] / copy:.0f} ms: the "
        f"update reaches {100 * limits['matrix_share']:.0f}% of the limit that matrix products set. With the products' "
        f"own shapes the limit is {limits['shapes_gflop_per_s']:.0f} GFLOP/s, of which it reaches "
        f"{100 * limits['shapes_share']:.0f}%."
    )


def warm_rows(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Case by case, the comparisons of speed."""
    for name, case in results.items():
        for row in case.get("rows", []):
            if case["unit"] == "steps/s":
                yield name, case, row


def speed_table(results: dict[str, Any]) -> str:
    """The comparisons of speed."""
    rows = []
    for name, case, row in warm_rows(results):
        ours, theirs = (f"{statistics.median(row[side]):,.0f}" for side in SIDES)
        cells = [name, NAMES[row["rival"]], ours, theirs, ratio_text(row), str(case["pairs"]), verdict(row)]
        returns = f"{return_text(case, 'rl_fn')}, {return_text(case, row['rival'])}"
        rows.append([*cells, f"{case['train_steps']:,}", returns])
    head = ["case", "against", "rl_fn, steps/s", "theirs", "ratio", "rounds", "target", "steps", "returns"]
    return table(head, rows)


def cold_table(results: dict[str, Any]) -> str:
    """The times to the first update: in rounds where that is the case, once where a case began with it."""
    rows = []
    for name, case in results.items():
        for row in case.get("rows", []):
            if case["unit"] == "s":
                ours, theirs = (f"{statistics.median(row[side]):.1f}" for side in SIDES)
                cells = [name, NAMES[row["rival"]], SINCE[row["since"]], ours, theirs, ratio_text(row), verdict(row)]
                rows.append(cells)
        for rival in case.get("first_update", {}):
            if rival != "rl_fn":
                for since, text in SINCE.items():
                    ours, theirs = case["first_update"]["rl_fn"][since], case["first_update"][rival][since]
                    ratio = f"{theirs / ours:.2f} (once)"
                    rows.append([name, NAMES[rival], text, f"{ours:.1f}", f"{theirs:.1f}", ratio, ""])
    return table(["case", "against", "counted", "rl_fn, s", "theirs, s", "theirs / ours", "target"], rows)


def memory_table(results: dict[str, Any]) -> str:
    """The peaks of the processes that trained, and what of them came after the imports."""
    rows = []
    for name, case in results.items():
        for rival in rivals(case) if "memory" in case else ():
            ours, theirs = case["memory"]["rl_fn"], case["memory"][rival]
            pairs = [(ours[kind], theirs[kind]) for kind in ("whole", "above_imports")]
            rows.append([name, NAMES[rival], *(f"{value:,.0f}" for pair in pairs for value in pair)])
    head = ["case", "against", "rl_fn, MB", "theirs, MB", "rl_fn, above the imports", "theirs, above the imports"]
    return table(head, rows)


def versions_text(results: dict[str, Any]) -> str:
    """Machines and packages."""
    lines, machines = set(), dict[str, list[str]]()
    for name, case in results.items():
        machines.setdefault(machine_text(case), []).append(name)
        for side, versions in case.get("versions", {}).items():
            lines.add(f"- {NAMES[side]}'s side: " + ", ".join(f"{name} {value}" for name, value in versions.items()))
        for side, what in case.get("chosen", {}).items():
            chosen = ", ".join(f"{value} {key}" for key, value in what.items())
            lines.add(f"- {NAMES[side]} in {name}, chosen by speed: {chosen}")
    lines |= {f"- {machine}: {', '.join(names)}" for machine, names in machines.items()}
    return "\n".join(sorted(lines))


def envs_text(results: dict[str, Any]) -> str:
    """What `envs.py` measured."""
    rows = [
        [
            *(row["environment"], f"{row['num_envs']:,}"),
            *(f"{row[f'{side}_steps_per_s']:,}" for side in ("rl_fn", "gymnax")),
            f"{row['ratio']:.2f}",
        ]
        for row in results["rows"]
    ]
    missed = sum(row["ratio"] < STEPPING_TARGET for row in results["rows"])
    return (
        "## Environments alone\n\nCompiled environments stepped with random actions, in turns with gymnax's "
        f"({machine_text(results)}); a ratio of {STEPPING_TARGET:g} is wanted, which {missed} of {len(rows)} miss.\n\n"
        + table(["environment", "number", "rl_fn, steps/s", "gymnax, steps/s", "ratio"], rows)
    )


def replay_text(results: dict[str, Any]) -> str:
    """What `replay.py` measured."""
    lines = [*results["throughput"], *results["host"]]
    rows = [
        [line["what"], line["peer"], f"{line['ours_us']:.1f}", f"{line['peer_us']:.1f}", f"{line['ratio']:.2f}"]
        for line in lines
    ]
    missed = sum(line["ratio"] > 1 for line in lines)
    return (
        "## Replay alone\n\nBatches of 256 of 500,000 transitions, in turns with flashbax's buffer of items, which is "
        "given the same, and its flat buffer, which keeps each observation once and returns pairs "
        f"({machine_text(results)}). Time per operation in a compiled loop, and with one call per step from Python "
        f"(host); at most 1 times theirs is wanted, which {missed} of {len(rows)} miss.\n\n"
        + table(["operation", "against", "rl_fn, us", "theirs, us", "ours / theirs"], rows)
    )


def host_text(results: dict[str, Any]) -> str:
    """What `host.py` measured."""
    ours, theirs = (results["steps_per_s"][side] for side in ("rl_fn", "envpool"))
    return (
        "## EnvPool's own loop\n\nEight games of Pong by EnvPool, acted in at random, without learning "
        f"({machine_text(results)}): {ours:,} steps/s, where EnvPool's own loop makes {theirs:,}; the ratio is "
        f"{results['ratio']:.2f}, of {HOST_TARGET:g} wanted."
    )


def growth_text(results: dict[str, Any]) -> str:
    """What `growth.py` measured."""
    parts = ["## As the work grows\n\nOne thing grows from a case above; memory is what came after the imports."]
    head = ["steps/s", "ms an iteration", "first update after the imports, s", "memory, MB"]
    for sweep in results.values():
        rows = [
            [
                *(f"{point['value']:,}", f"{point['steps_per_s']:,}", f"{point['iteration_ms']:,.2f}"),
                *(f"{point['first_update_s']:.1f}", f"{point['megabytes']:,}"),
            ]
            for point in sweep["points"]
        ]
        parts.append(f"{sweep['case']}, {machine_text(sweep)}:\n\n{table([sweep['what'], *head], rows)}")
    return "\n\n".join(parts)


def products_text(results: dict[str, Any], speeds: dict[str, Any]) -> str:
    """What `products.py` measured, beside what the comparison with rejax asks for."""
    rows = []
    for name, figures in results.items():
        row = next(row for row in speeds[name]["rows"] if row["rival"] == "rejax")
        ours, theirs = (1e3 * CASES[name].steps_per_iteration / statistics.median(row[side]) for side in SIDES)
        wanted = theirs / row["target"]
        times = [figures["products_ms"], ours, theirs, wanted]
        rest = wanted / figures["products_ms"]
        cells = [f"{figures['gflop']:.4g}", *(f"{milliseconds:.3g}" for milliseconds in times), f"{rest:.2f}"]
        rows.append([name, *cells])
    head = ["case", "GFLOP", "products alone, ms", "iteration, ms", "rejax's, ms", "wanted, ms", "wanted / products"]
    machines = {machine_text(figures) for figures in results.values()}
    return (
        "## What products leave\n\nThe matrix products of an iteration (rollout and update) were counted by shape in "
        f"the optimised program, and each shape timed alone in a compiled loop ({', '.join(sorted(machines))}). Wanted "
        "is rejax's iteration over the target. Where the last column is near 1 or below, the target asks for an "
        "iteration in which there is no time for anything but products: rollouts, random numbers, shuffles, "
        "activations, losses and optimisers would have to be free. That is no strict bound: XLA may run two small "
        "products side by side, as in TD3.\n\n" + table(head, rows)
    )


def machine_text(results: dict[str, Any]) -> str:
    """What something was measured on."""
    return "{cpu}, {cores} cores, Python {python}".format(**results["machine"])


PARTS = {"envs": envs_text, "replay": replay_text, "host": host_text, "growth": growth_text}


def parts_text(results: dict[str, Any], folder: Path) -> str:
    """What was measured of parts alone, as sections."""
    texts = {"products": lambda products: products_text(products, results), **PARTS}
    paths = {folder / f"{name}.json": text for name, text in texts.items()}
    return "\n\n".join(text(json.loads(path.read_text())) for path, text in paths.items() if path.exists())


def figures_text(results: dict[str, Any], folder: Path) -> str:
    """All figures, as sections of a page.

    Args:
      results: of `agents.py`.
      folder: with those of the other benchmarks.
    """
    cases = {name: case for name, case in results.items() if name != "limits"}
    unequal = {
        f"- {name}, {NAMES[side]}: {what}"
        for name, case in cases.items()
        for side, what in case["unequal"].items()
        if side in rivals(case)
    }
    return FIGURES.format(
        speed=speed_table(cases),
        cold=cold_table(cases),
        memory=memory_table(cases),
        limits=limits_text(results["limits"]) if "limits" in results else "Not measured yet.",
        parts=parts_text(cases, folder),
        settings="\n".join(f"- {name}: {settings_text(case)}" for name, case in cases.items()),
        unequal="\n".join(sorted(unequal)),
        versions=versions_text(results),
    )


def write(results_path: Path, page: Path) -> None:
    """Puts the figures into the page, between its two marks, and draws performance.png beside it.

    Raises:
      SystemExit: if there are no figures yet, the page has no marks, or matplotlib is missing.
    """
    results = json.loads(results_path.read_text()) if results_path.exists() else {}
    if not any(True for _ in warm_rows(results)):
        raise SystemExit(f"{results_path} holds no speeds; `make bench` measures them")
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{page} lacks one of its marks: {BEGIN.strip()} and {END.strip()}")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    draw(results, page.with_suffix(".png"))
    page.write_text(before + BEGIN + figures_text(results, results_path.parent) + END + after)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draws the ratios as bars, with their ranges and targets.

    Raises:
      SystemExit: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise SystemExit('the chart needs matplotlib: pip install "rl-fn[plot]"') from error

    rows = [(f"{name}\nagainst {NAMES[row['rival']]}", row) for name, _, row in warm_rows(results)][::-1]
    figure = Figure(figsize=(8, 1 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (_, row) in enumerate(rows):
        low, high = row["range"]
        error = [[row["median"] - low], [high - row["median"]]]
        axes.barh(place, row["median"], color="C0", xerr=error, ecolor="0.3", capsize=3)
        axes.plot([row["target"]] * 2, [place - 0.4, place + 0.4], color="C1", linewidth=2)
        # At the right end, where no bar and no target reaches.
        axes.annotate(f"{row['median']:.2f}", (1, place), xycoords=axes.get_yaxis_transform(), ha="right", va="center")
    axes.axvline(1, color="0.3", linewidth=1)
    axes.plot([], [], color="C1", linewidth=2, label="target")
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.set_xscale("log")
    ticks = (0.5, 1, 2, 3, 5, 10, 20, 50)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(0.4, 1.8 * max(max(row["target"], *row["range"]) for _, row in rows))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("speed of rl_fn / speed of the other")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
