"""Who else may be told of a run, and of which. No package of theirs is needed."""

from __future__ import annotations

import os
from pathlib import Path

from rl_fn.runs import stores


def check_tracked(track: str, uri: str | None, output_dir: Path) -> None:
    """Checks that somebody can be told; the arguments are those of `reporters.tracked`.

    Raises:
      ValueError: if the URI cannot be, or files would be beside an output folder on a store, where nothing could write
        them.
    """
    if uri is not None and track != "mlflow":
        raise ValueError(f"track_uri is {uri!r}, which belongs to track mlflow, and track is {track}")
    if isinstance(output_dir, stores.Address):
        if track == "mlflow" and not (uri or os.environ.get("MLFLOW_TRACKING_URI")):
            raise ValueError(f"track mlflow needs a track_uri, since a database cannot be beside {output_dir}")
        if track == "wandb" and os.environ.get("WANDB_MODE") != "online":
            raise ValueError(f"track wandb needs WANDB_MODE=online, since its files cannot be beside {output_dir}")
