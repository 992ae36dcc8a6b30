"""All compiled environments are written alike, so that whoever knows one knows all."""

import ast
import importlib
from pathlib import Path

import pytest

from rl_fn.envs import compiled

FOLDER = Path(compiled.__file__).parent
BODIES = {path.relative_to(FOLDER).as_posix(): ast.parse(path.read_text()).body for path in FOLDER.rglob("*.py")}
PARTS = ("State", "make", "start", "dynamics", "observe", "render")


@pytest.mark.parametrize("name", sorted(BODIES))
def test_the_parts_of_a_task_are_at_module_level_under_their_names_and_in_their_order(name):
    parts = {node.name: node for node in BODIES[name] if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if "begin" in parts:  # of four rooms, where `start` is an argument
        parts = {"start" if part == "begin" else part: node for part, node in parts.items()}
    assert [part for part in parts if part in PARTS] == [part for part in PARTS if part in parts]
    assert ("dynamics" in parts) == ("start" in parts)
    inner = [node.name for node in ast.walk(parts.get("make", ast.Pass())) if isinstance(node, ast.FunctionDef)]
    assert inner in ([], ["make"])


def test_every_entry_names_a_function_that_is_there():
    for members in compiled.ENVIRONMENTS.values():
        for reference, _ in members.values():
            module, _, function = reference.partition(":")
            assert callable(getattr(importlib.import_module(module), function))
