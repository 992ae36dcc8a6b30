"""The environments there are, by kind, and what each kind needs: what `rl-fn envs` shows. No TensorFlow is needed."""

from __future__ import annotations

import ctypes.util
import importlib.util
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
from gymnasium import spaces
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rl_fn import envs
from rl_fn._src.naming import nearest
from rl_fn.envs import registry
from rl_fn.envs.host import atari, procgen
from rl_fn.envs.host.names import FAMILIES, family_of, import_gym

SHOWN = 60  # names of a kind that are listed unasked


class Kind(NamedTuple):
    """Environments of one origin."""

    prefix: str  # that `rl_fn.envs.make` wants before the name
    needs: str
    missing: str  # what of that is not installed, empty if nothing
    families: dict[str, list[str]]  # names by family
    observation: str = ""  # the spaces, where all have the same
    action: str = ""


def show(kind: str | None = None, match: str = "", with_spaces: bool = False, console: Console | None = None) -> None:
    """Prints the environments.

    Args:
      kind: only these, a key of KINDS.
      match: only names that contain this, in whatever case.
      with_spaces: make each environment and show its spaces.
      console: where to print.

    Raises:
      ValueError: for an unknown kind, or where nothing is left to show.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; the nearest is {nearest(kind, KINDS)!r}")
    console = console or Console()
    found = False
    for name in [kind] if kind else KINDS:
        described = _matching(KINDS[name](), match)
        count = sum(map(len, described.families.values()))
        if match and not count:
            continue
        found = True
        state = f"[yellow]not installed: {escape(described.missing)}[/]" if described.missing else "[green]ready[/]"
        called = f", called {described.prefix}NAME" if described.prefix else ""
        noun = "environment" if count == 1 else "environments"
        console.print(f"\n[bold]{name}[/]: {count} {noun}{called}, needs {described.needs}: {state}", highlight=False)
        if count:
            everything = bool(kind or match) or count <= SHOWN
            console.print(_detailed(described) if with_spaces else _table(described, name, everything))
    if not found:
        raise ValueError(f"no environment has {match!r} in its name")


def describe(space: gymnasium.Space) -> str:
    """A space in a few letters, such as `uint8[84, 84, 4]` or `3 choices`."""
    match space:
        case spaces.Box():
            return f"{space.dtype}{list(space.shape)}"
        case spaces.Discrete():
            return f"{space.n} choices"
        case spaces.Dict():
            return "{" + ", ".join(f"{name}: {describe(part)}" for name, part in space.spaces.items()) + "}"
        case spaces.Tuple():
            return "(" + ", ".join(describe(part) for part in space.spaces) + ")"
    return str(space)


def _matching(kind: Kind, match: str) -> Kind:
    families = {
        family: [name for name in names if match.lower() in f"{kind.prefix}{name}".lower()]
        for family, names in kind.families.items()
    }
    return kind._replace(families={family: names for family, names in families.items() if names})


def _table(kind: Kind, name: str, everything: bool) -> Table:
    table = Table("family", "names", show_edge=False)
    if kind.observation:
        table.add_column("observation")
        table.add_column("action")
    for family, names in kind.families.items():
        listed = ", ".join(names if everything else names[:3])
        if not everything and len(names) > 3:
            listed += f" and {len(names) - 3} more (--kind {name})"
        table.add_row(family, listed, *([kind.observation, kind.action] if kind.observation else []))
    return table


def _detailed(kind: Kind) -> Table:
    table = Table("name", "observation", "action", show_edge=False)
    for names in kind.families.values():
        for name in names:
            try:
                env: Any = envs.make(f"{kind.prefix}{name}")
                cells = [escape(describe(env.spec.observation_space)), escape(describe(env.spec.action_space))]
                if hasattr(env, "close"):
                    env.close()
            except ValueError as error:
                cells = [f"[yellow]{escape(str(error))}[/]", ""]
            table.add_row(f"{kind.prefix}{name}", *cells)
    return table


def _registered(needs: str, *kinds: registry.Kind) -> Kind:
    families: dict[str, list[str]] = {}
    for name, entry in registry.ENTRIES.items():
        if entry.kind in kinds:
            families.setdefault(entry.family, []).append(name)
    return Kind("", needs, "", families)


def _gymnasium() -> Kind:
    families = _of_registry(gymnasium.registry.values())
    needs, missing = _with_extras(families, "gymnasium")
    return Kind("gymnasium:", needs, missing, families)


def _gym() -> Kind:
    families = _of_registry(import_gym().envs.registry.values())
    needs, missing = _with_extras(families, "gym")
    return Kind("gym:", needs, missing, families)


def _of_registry(specs: Any) -> dict[str, list[str]]:
    """Names by family, as the modules of the entry points tell it; Atari has a kind of its own."""
    families: dict[str, list[str]] = {}
    for spec in specs:
        if (family := family_of(spec)) is not None:
            families.setdefault(family, []).append(spec.id)
    return families


def _with_extras(families: dict[str, list[str]], package: str) -> tuple[str, str]:
    needing = [family for family in families if family in FAMILIES]
    missing = sorted({FAMILIES[family][0] for family in needing if not _installed(FAMILIES[family][1])})
    needs = f"nothing, but extras of {package} for {', '.join(needing)}" if needing else "nothing"
    return needs, f'pip install "{package}[{",".join(missing)}]"' if missing else ""


def _atari() -> Kind:
    installed = _installed("ale_py")
    families = {"ALE": [f"ALE/{game}-v5" for game in atari.games()]} if installed else {}
    missing = "" if installed else 'pip install "rl-fn[atari]"'
    return Kind("", "ale-py", missing, families, "uint8[84, 84, 4]", "3 to 18 choices")


def _procgen() -> Kind:
    missing = "" if _installed("envpool") else 'pip install "rl-fn[envpool]"'
    if sys.platform.startswith("linux") and not ctypes.util.find_library("Qt5Gui"):
        missing = ", and ".join(filter(None, [missing, "apt-get install libqt5core5a libqt5gui5"]))
    families: dict[str, list[str]] = {}
    for game, distributions in procgen.GAMES.items():
        families.setdefault(", ".join(distributions), []).append(game)
    return Kind("procgen:", "EnvPool and Qt 5", missing, families, "uint8[64, 64, 3]", "15 choices")


def _envpool() -> Kind:
    if not _installed("envpool"):
        return Kind("envpool:", "EnvPool", 'pip install "rl-fn[envpool]"', {})
    from envpool.registration import registry as pools

    families: dict[str, list[str]] = {}
    for name, (module, *_) in pools.specs.items():
        families.setdefault(module.removeprefix("envpool."), []).append(name)
    return Kind("envpool:", "EnvPool", "", families)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


KINDS: dict[str, Callable[[], Kind]] = {
    "compiled": lambda: _registered("nothing", "compiled"),
    "registered": lambda: _registered("what each imports", "host", "vector"),
    "gymnasium": _gymnasium,
    "gym": _gym,
    "atari": _atari,
    "procgen": _procgen,
    "envpool": _envpool,
}
