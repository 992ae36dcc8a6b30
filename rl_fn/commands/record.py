"""`rl-fn record`."""

from __future__ import annotations

import math
from typing import Annotated

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals, say
from rl_fn.commands.flags import Checkpoint, Imports, RunFolder, flag
from rl_fn.sets import modules


def record(
    run: RunFolder,
    *,
    output: Annotated[str, flag("A new folder, or minari:NAME for one in Minari's format.", "NAME")],
    steps: Annotated[int, flag("Environment steps.", "N")] = 100_000,
    checkpoint: Checkpoint = "newest",
    deterministic: Annotated[bool, flag("Without exploration; else actions are sampled as in training.")] = False,
    seed: Annotated[int, flag("The same seed gives the same steps.", "N")] = 0,
    imports: Imports = (),
) -> None:
    """Record what a run's policy meets as a data set, for agents that learn from one."""
    import_tensorflow(compilation_cache=True)
    from rl_fn.runs import datasets

    with refusals(run):
        modules.import_named(modules.names(imports))
        mean = datasets.record(run, output, steps=steps, checkpoint=checkpoint, deterministic=deterministic, seed=seed)
    ended = "no episode ended" if math.isnan(mean) else f"mean return {mean:.1f} over the episodes that ended"
    say(f"recorded to {output}: {ended}")
