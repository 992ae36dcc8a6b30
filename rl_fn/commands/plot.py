"""`rl-fn plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals, refuse
from rl_fn.commands.flags import RunFolders, flag


def plot(
    runs: RunFolders,
    *,
    kind: Annotated[
        Literal["curves", "profiles", "intervals"],
        flag("Learning curves; shares of runs above each score; or medians and means of the scores."),
    ] = "curves",
    output: Annotated[Path, flag("The picture: .png, .pdf or .svg; without a suffix .png and .pdf.", "FILE")] = Path(
        "curves"
    ),
    tag: Annotated[str, flag("The curve, a column of metrics.csv.", "NAME")] = "eval/return_mean",
    labels: Annotated[str, flag("One for each run; those of one label are seeds of one curve.", "NAME,...")] = "",
    bounds: Annotated[str, flag("Scores that count as 0 and 1, for profiles and intervals.", "ENV=LOW:HIGH,...")] = "",
    csv: Annotated[Path | None, flag("Write the numbers, too.", "FILE")] = None,
) -> None:
    """Draw runs: interquartile means over seeds with bootstrap intervals. Needs pip install "rl-fn[plot]"."""
    import_tensorflow(compilation_cache=False)
    from rl_fn.media import curves, plots

    try:
        with refusals():
            read = curves.read(runs, tag, [label.strip() for label in labels.split(",")] if labels else [])
            if kind == "curves":
                drawn = plots.draw_curves(read, tag)
            elif kind == "profiles":
                drawn = plots.draw_profiles(read, _bounds(bounds))
            else:
                drawn = plots.draw_intervals(read, _bounds(bounds))
            paths = drawn.save(output)
            if csv is not None:
                drawn.write_csv(csv)
                paths.append(csv)
    except ModuleNotFoundError as error:
        refuse(f'plot needs {error.name}, which is not installed: pip install "rl-fn[plot]"')
    for path in paths:
        print(path)


def _bounds(text: str) -> dict[str, tuple[float, float]]:
    bounds = {}
    for part in filter(None, text.split(",")):
        name, _, numbers = part.rpartition("=")
        try:
            low, high = map(float, numbers.split(":"))
        except ValueError:
            raise ValueError(f"bounds are {part!r}, expected ENV=LOW:HIGH") from None
        if not low < high:
            raise ValueError(f"bounds are {part!r}, expected a lower number first")
        bounds[name.strip()] = low, high
    return bounds
