"""`rl-fn plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals, refuse
from rl_fn.commands.flags import flag


def plot(
    *,
    runs: Annotated[tuple[Path, ...], flag("The output folders of runs; one curve each.", "RUN...", positional=True)],
    output: Annotated[Path, flag("The picture to write.", "FILE.png")] = Path("curves.png"),
    tag: Annotated[str, flag("The TensorBoard scalar.", "NAME")] = "eval/return_mean",
) -> None:
    """Draw learning curves: median, range and each seed. Needs matplotlib: pip install "rl-fn[plot]"."""
    import_tensorflow(compilation_cache=False)  # which TensorBoard reads with, and not quietly
    from rl_fn.media import curves

    try:
        with refusals():
            curves.plot([curves.read_curve(folder, tag) for folder in runs], output, ylabel=tag)
    except ModuleNotFoundError as error:
        refuse(f'plot needs {error.name}, which is not installed: pip install "rl-fn[plot]"')
    print(output)
