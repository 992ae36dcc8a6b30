"""`rl-fn export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals, say
from rl_fn.commands.flags import Checkpoint, Imports, RunFolder, flag
from rl_fn.runs import stores
from rl_fn.sets import modules


def export(
    run: RunFolder,
    *,
    output: Annotated[
        Path | None, flag("The folder to write to, where it is not export in that of the copy.", "DIR")
    ] = None,
    forms: Annotated[str, flag("Which of them to write.", "NAME,...")] = "saved_model,tflite,stablehlo",
    checkpoint: Checkpoint = "newest",
    platform: Annotated[Literal["CPU", "GPU", "TPU"], flag("Where the training step is to run.")] = "CPU",
    imports: Imports = (),
) -> None:
    """Write what a run has learned as a SavedModel, a TFLite model, and its training step as StableHLO."""
    import_tensorflow(compilation_cache=True)
    from rl_fn.runs.exporting import export as write
    from rl_fn.runs.loading import copy_folders, load

    with refusals(output):
        modules.import_named(modules.names(imports))
        if output is None:
            stores.refuse_to_write(run, "export without --output")
        copy = copy_folders(run)[0]
        folder = output or copy / "export"
        learned = load(copy, checkpoint=checkpoint)
        for note in learned.notes:
            say(note)
        try:
            write(learned, folder, forms=modules.names(forms), platform=platform)
        finally:
            if hasattr(learned.env, "close"):
                learned.env.close()
    for path in sorted(folder.iterdir()):
        size = sum(part.stat().st_size for part in [path, *path.rglob("*")] if part.is_file())
        print(f"{path} ({size / 1e6:.2f} MB)")
