"""`rl-fn dream`."""

from __future__ import annotations

from typing import Annotated

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import EXIT_INTERRUPTED, refusals
from rl_fn.commands.flags import Checkpoint, Imports, RunFolder, flag
from rl_fn.runs import stores
from rl_fn.sets import modules


def dream(
    run: RunFolder,
    *,
    checkpoint: Checkpoint = "newest",
    length: Annotated[int, flag("Steps to show at most.", "N")] = 200,
    temperature: Annotated[float, flag("Of the dream: above 1 it is less certain.", "X")] = 1.0,
    seed: Annotated[int, flag("The same seed gives the same pictures.", "N")] = 0,
    imports: Imports = (),
) -> None:
    """Film what a run of world models sees and dreams, to RUN/run_0/videos."""
    import_tensorflow(compilation_cache=True)
    from rl_fn.runs import dreaming
    from rl_fn.runs.loading import copy_folders

    with refusals(run):
        modules.import_named(modules.names(imports))
        stores.refuse_to_write(run, "dream")
        videos = copy_folders(run)[0] / "videos"
        try:
            imagined = dreaming.imagine(run, checkpoint=checkpoint, length=length, temperature=temperature, seed=seed)
            for path in dreaming.write(imagined, videos):
                print(path)
        except KeyboardInterrupt:
            raise SystemExit(EXIT_INTERRUPTED) from None
