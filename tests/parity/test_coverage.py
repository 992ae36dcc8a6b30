"""docs/losses.md accounts for every public name of rlax, and names nothing that does not exist."""

import functools
import importlib
import re
from pathlib import Path

import pytest
import rlax

DOCUMENT = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()
TABLE = DOCUMENT.split("| rlax | rl_fn |")[1].split("\n## ")[0]
NAMES = sorted(set(re.findall(r"`(rl_fn\.[\w.]+)`", DOCUMENT)))


def test_every_public_name_of_rlax_is_listed_with_a_name_or_a_reason():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", TABLE, re.MULTILINE))
    assert set(rows) == {name for name in dir(rlax) if not name.startswith("_")}
    for name, place in rows.items():
        assert "`rl_fn." in place or re.match(r"none: \S", place), name


@pytest.mark.parametrize("name", NAMES)
def test_every_name_given_exists(name):
    root, *parts = name.split(".")
    functools.reduce(getattr, parts, importlib.import_module(root))
