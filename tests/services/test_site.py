"""The documentation as a site: it builds without a warning, and the blocks that take long run as printed."""

import importlib.util
import json
import logging
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rl_fn
from rl_fn import sets
from rl_fn.sets import modules
from tests.test_docs import DOCS, ELSEWHERE, blocks

ROOT = Path(__file__).parents[2]
AGENTS = {named.agent for named in sets.SETS.values()}


@pytest.mark.parametrize("block", [block for name in ELSEWHERE for block in blocks(DOCS / name)])
def test_block_runs(block):
    exec(compile(block, "<documentation>", "exec"), {"__name__": "documentation"})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does: a broken link or a missing docstring is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class Ids(HTMLParser):
    """Collects the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found |= {value for name, value in attributes if name == "id"}


def test_every_public_name_is_on_the_page_of_its_module(site):
    for name in set(rl_fn.__all__) - {"__version__"}:
        anchors = Ids((site / "api" / f"{name}.html").read_text()).found
        public = getattr(rl_fn, name)
        functions = [one for one in getattr(public, "__all__", []) if callable(getattr(public, one, None))]
        missing = {one for one in functions if not {f"rl_fn.{name}.{one}"} & anchors}
        assert not missing, f"rl_fn.{name}: {sorted(missing)}"
    agents = Ids((site / "api" / "agents.html").read_text()).found
    assert {f"rl_fn.agents.{name}.make" for name in AGENTS if modules.is_ours(name)} <= agents


def test_pages_of_agents_have_formulas_links_hyper_parameters_and_scores(site):
    text = (site / "agents" / "dqn.html").read_text()
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in text
    assert "$" not in text.partition('id="equations"')[2].partition('id="details"')[0]
    assert 'href="../api/losses.html#rl_fn.losses.double_q_learning"' in text
    assert re.search(r"<code>double_q</code></td>\s*<td><code>True</code></td>", text)
    row = json.loads((ROOT / "benchmarks" / "results" / "learning.json").read_text())["dqn_cartpole"]
    assert row["command"] in text
    assert 'src="../results/CartPole_v1.png"' in text
    assert "not measured" in text  # such as dqn_pong
    pages = {path.name for path in (site / "agents").iterdir()}
    assert {f"{name}.html" for name in AGENTS if modules.is_ours(name)} <= pages


def test_files_of_the_project_that_pages_link_to_are_pages(site):
    assert 'href="project/rl_fn/agents/a2c.py.html"' in (site / "own_algorithm.html").read_text()
    assert "A2CHParams" in (site / "project" / "rl_fn" / "agents" / "a2c.py.html").read_text()


def test_what_has_no_docstring_is_warned_of(tmp_path, monkeypatch, caplog):
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "site" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    (tmp_path / "rl_fn").mkdir()
    (tmp_path / "rl_fn" / "__init__.py").write_text('__all__ = ["losses", "returns"]')
    (tmp_path / "rl_fn" / "losses.py").write_text('def told():\n    """Is."""\n\n\ndef untold(): ...\n')
    (tmp_path / "rl_fn" / "returns.py").write_text('class Told:\n    """Is."""\n\n    def untold(self): ...\n')
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    with caplog.at_level(logging.WARNING):
        hooks.on_pre_build(None)
    assert caplog.messages == [
        "rl_fn.losses.untold has no docstring",
        "rl_fn.returns.Told.untold has no docstring",
    ]


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
