"""The README's examples run as printed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rl_fn import sets
from rl_fn.sets import modules

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
MEASURED = json.loads((ROOT / "benchmarks" / "results" / "learning.json").read_text())
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


def test_the_table_of_agents_tells_what_was_measured():
    told = re.findall(r"^\| \[.+ \| (.+ \| .+) \| `rl-fn train --hparams (\S+) ", README, re.MULTILINE)
    assert len(told) > 15
    for text, name in told:
        low, median, high = np.quantile(MEASURED[name]["returns"], [0, 0.5, 1])
        digits = 1 if max(abs(low), abs(high)) > 2 else 2
        score = f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
        assert text == f"{MEASURED[name]['steps']:,} | {score}"


def test_every_set_with_an_environment_has_a_row_of_results():
    rows = re.findall(r"^\| `(\w+)` \| ", RESULTS, re.MULTILINE)
    assert set(rows) == {name for name, content in sets.SETS.items() if content.env and modules.is_ours(content.agent)}
