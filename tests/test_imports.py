"""No module imports itself by way of others, and each floor of the house knows only those below it.

Imports are read from the source: also those inside of functions, and texts that name a module, such as the entries of
a table; all but those for types only.
"""

import ast
from pathlib import Path

import rl_fn

ROOT = Path(__file__).parents[1]

# From the bottom up; what is on one floor may know its neighbours.
FLOORS = (
    (
        *("struct", "random", "scan", "signature", "xla", "scalars", "shapes", "shards", "shuffle", "spaces", "naming"),
        *("arguments", "lazy", "other_names", "keyed", "pages"),
    ),
    ("transforms", "updates", "normalization", "intrinsic", "returns", "planning"),
    ("losses", "policies", "optimizers", "replay"),
    ("networks", "envs"),
    ("learning",),
    ("agents", "sets"),
    ("loops",),
    ("runs", "media", "systems"),
    ("search",),
    ("commands",),
    ("__main__",),
)


def modules(folder, prefix=""):
    """The files of all modules below a folder, by the names under which they import each other."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = [*prefix.split("."), *path.relative_to(ROOT / folder).with_suffix("").parts]
        found[".".join(part for part in parts if part not in ("", "__init__"))] = path
    return found


def imports(path, known):
    """Which of the known modules a file imports."""
    tree, for_types = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for_types.update(part for statement in node.body for part in ast.walk(statement))
    found = set()
    for node in set(ast.walk(tree)) - for_types:
        match node:
            case ast.Import():
                found.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found.add(whole if whole in known else node.module)
            case ast.Constant(value=str(text)) if "." in text:
                found.add(text.partition(":")[0])
    return found & set(known)


def known_to_editors(package):
    """What a package imports for type checkers alone, because it is loaded when it is first used."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return sorted(alias.name for node in block.body for alias in node.names)


def graph(known):
    return {name: sorted(imports(path, known) - {name}) for name, path in known.items()}


def circles(imported):
    """Each circle once: the modules from which one comes back to themselves."""
    found, done = [], set()

    def visit(name, way):
        if name in way:
            found.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for other in imported[name]:
                visit(other, [*way, name])
            done.add(name)

    for name in imported:
        visit(name, [])
    return found


def place(name):
    """The room of the house that a module is in, such as `losses` for `rl_fn._src.losses.value`."""
    parts = [part for part in name.split(".")[1:] if part != "_src"]
    return parts[0] if parts else None


RL_FN = graph(modules("rl_fn", "rl_fn"))


def test_circles_are_found():
    imported = {"a": ["b"], "b": ["c", "d"], "c": ["b"], "d": []}
    assert circles(imported) == ["b -> c -> b"]
    assert "rl_fn.envs.base" in RL_FN["rl_fn.envs.registry"]  # inside of a function
    assert "rl_fn.envs.host.envpool" in RL_FN["rl_fn.envs.registry"]  # a text
    assert "rl_fn.envs.host.base" not in RL_FN["rl_fn.envs.host.procgen"]  # for types only


def test_there_is_no_circle_in_the_package():
    assert circles(RL_FN) == []


def test_there_is_no_circle_in_the_benchmarks():
    imported = graph(modules("benchmarks"))
    assert "turns" in imported["agents"]
    assert circles(imported) == []


def test_each_floor_knows_only_itself_and_those_below():
    floors = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    assert {place(name) for name in RL_FN} - {None} <= set(floors), "a room without a floor"
    pairs = [(name, other) for name in RL_FN for other in RL_FN[name] if place(name) and place(other)]
    assert [pair for pair in pairs if floors[place(pair[1])] > floors[place(pair[0])]] == []


def test_editors_know_all_that_is_loaded_when_it_is_first_used():
    assert known_to_editors("rl_fn") == sorted(set(rl_fn.__all__) - {"__version__"})
    files = {path.stem for path in (ROOT / "rl_fn" / "agents").glob("*.py")} - {"__init__"}
    assert set(known_to_editors("rl_fn/agents")) == set(rl_fn.agents.__all__) == files
    for package in (rl_fn.runs, rl_fn.envs, rl_fn.search):
        folder = package.__name__.replace(".", "/")
        assert set(known_to_editors(folder)) >= set(package._HOMES)
