"""`rl-fn list` and `rl-fn show`, and what the help of training says of a set."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from rl_fn import sets
from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import refusals
from rl_fn.commands.flags import Imports, flag
from rl_fn.sets import modules


def list_sets(*, imports: Imports = ()) -> None:
    """List the sets of hyper-parameters by agent, with their environments."""
    with refusals():
        if imports:
            import_tensorflow(compilation_cache=False)
        modules.import_named(modules.names(imports))
    names = sorted(sets.SETS, key=lambda name: sets.SETS[name].agent)
    width, agents = max(map(len, names)), max(len(named.agent) for named in sets.SETS.values())
    envs = max(len(named.env or "") for named in sets.SETS.values())
    for name in names:
        named = sets.SETS[name]
        print(f"{name:<{width}}  {named.agent:<{agents}}  {named.env or '(any)':<{envs}}  {named.doc}")


def show(
    *,
    hparams: Annotated[str, flag("A set of hyper-parameters: a name, NAME.toml, or A-B.", "SET", positional=True)],
    imports: Imports = (),
) -> None:
    """Show a set of hyper-parameters: value, range and meaning of each. * marks what is not the agent's default."""
    with refusals():
        text = described(hparams, imports)
    print(text)


def described(hparams: str, imports: tuple[str, ...] = ()) -> str:
    """A set in a table, one line a hyper-parameter.

    Raises:
      ValueError: if there is no such set.
    """
    if not imports:
        sets.find(hparams)  # a mistake is answered at once
    import_tensorflow(compilation_cache=False)
    modules.import_named(modules.names(imports))
    named = sets.find(hparams)
    from rl_fn.agents import hparams as structs

    values: Any = sets.make(named)
    struct: Any = type(values)
    allowed = structs.described(struct)
    rows = []
    for item in dataclasses.fields(values):
        known = allowed[item.name]
        value = getattr(values, item.name)
        mark = "*" if value != item.default else " "
        rows.append((f"{mark} {item.name}", str(value), str(known), known.doc))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    arguments = "".join(f", {name}={value}" for name, value in named.env_kwargs.items())
    heading = f"{hparams}: {named.agent} on {named.env or 'any environment'}{arguments}. {named.doc}"
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in rows]
    return "\n".join([heading, *[f"{line}  {row[3]}" for line, row in zip(lines, rows, strict=True)]])
