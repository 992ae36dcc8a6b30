"""`rl-fn envs`."""

from __future__ import annotations

from typing import Annotated

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals
from rl_fn.commands.flags import Imports, flag
from rl_fn.sets import modules


def envs(
    *,
    kind: Annotated[
        str | None, flag("Only compiled, registered, gymnasium, gym, atari, procgen or envpool.", "KIND")
    ] = None,
    match: Annotated[str, flag("Only names that contain this.", "TEXT")] = "",
    spaces: Annotated[bool, flag("Make each and show its spaces.")] = False,
    imports: Imports = (),
) -> None:
    """List the environments: their names by kind, and what each kind needs."""
    from rl_fn.commands import listing

    if spaces or imports:
        import_tensorflow(compilation_cache=False)
    with refusals():
        modules.import_named(modules.names(imports))
        listing.show(kind, match, spaces)
