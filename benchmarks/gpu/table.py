"""The figures of `benchmarks/gpu/run.py` as a table for docs/performance.md."""

from __future__ import annotations

import statistics
from typing import Any

from report import table

_HEAD = (
    *("case", "products", "rl_fn, steps/s", "rejax, steps/s", "ratio", "compile s", "rejax's", "memory MB", "rejax's"),
    *("of the bandwidth", "of the matrix rate"),
)


def markdown(results: dict[str, Any]) -> str:
    """All rows, with what they were measured on."""
    rows = [_cells(row) for row in results["rows"].values()]
    rates = ", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in results["rates"]["matrix"].items())
    copy = f"{results['rates']['copy'] / 1e9:.0f} GB/s"
    on = f"{results['device']}; JAX {results['jax']}; a copy at {copy}; products: {rates}"
    failures = [
        f"- {row['case']}, {row['precision']}: {row['failure']}"
        for row in results["rows"].values()
        if row.get("failure")
    ]
    return "\n".join([table(list(_HEAD), rows), "", on, *([""] * bool(failures)), *failures, ""])


def _cells(row: dict[str, Any]) -> list[str]:
    speeds, compiled, memory = row.get("speeds", {}), row.get("compile_seconds", {}), row.get("memory", {})
    speed = lambda side: f"{statistics.median(speeds[side]):,.0f}" if side in speeds else "-"
    seconds = lambda side: f"{compiled[side]:.1f}" if side in compiled else "-"
    megabytes = lambda side: f"{memory[side] / 1e6:,.0f}" if side in memory else "-"
    share = lambda name: f"{100 * row[name]:.2g}%" if row.get(name) else "-"
    ratio = "-"
    if "rejax" in speeds and "rl_fn" in speeds:
        ratios = [ours / theirs for ours, theirs in zip(speeds["rl_fn"], speeds["rejax"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return [
        *(row["case"], row["precision"], speed("rl_fn"), speed("rejax"), ratio),
        *(seconds("rl_fn"), seconds("rejax"), megabytes("rl_fn"), megabytes("rejax")),
        *(share("bandwidth_share"), share("matrix_share")),
    ]
