"""The README's examples run as printed."""

import re
from pathlib import Path

import numpy as np
import pytest

from rl_fn import sets
from rl_fn.sets import modules

README = (Path(__file__).parents[1] / "README.md").read_text()
RESULTS = (Path(__file__).parents[1] / "docs" / "results.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_examples_run_as_printed(index, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(EXAMPLES[index], f"README example {index}", "exec"), names)
    if index == 0:
        np.testing.assert_allclose(names["error"], [1 + 0.99 * 1.5 - 1], rtol=1e-6)
    elif index == 1:
        assert names["run"].summary["eval_return_mean"] > 200
    else:
        assert np.isfinite((names["chunk"].metrics if index == 2 else names["metrics"])["loss"])  # they learn


def test_there_are_four_examples_and_the_first_has_four_lines():
    assert len(EXAMPLES) == 4
    assert len(EXAMPLES[0].strip().splitlines()) == 4


def test_the_commands_name_sets_that_exist():
    named = re.findall(r"--hparams ([\w-]+)\b(?!\.toml)", README)
    assert named
    for name in named:
        if not name.startswith("mine"):
            sets.find(name)


def test_every_set_with_an_environment_has_a_row_of_results():
    rows = re.findall(r"^\| `(\w+)` \| ", RESULTS, re.MULTILINE)
    assert set(rows) == {name for name, content in sets.SETS.items() if content.env and modules.is_ours(content.agent)}
