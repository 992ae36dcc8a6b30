"""The documentation's Python blocks run as printed, and its table of environments is right."""

import re
from pathlib import Path

import pytest
from gymnasium import spaces

from rl_fn import envs
from rl_fn.envs import compiled

DOCS = Path(__file__).parent.parent / "docs"
# They train for long, or need more than the core: tests/services/test_site.py runs them.
ELSEWHERE = ("first_run.md", "migrating.md", "reproducibility.md", "tracking.md")


def blocks(path):
    """The Python blocks of a page."""
    found = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [pytest.param(block, id=f"{path.name}-{index}") for index, block in enumerate(found)]


@pytest.mark.parametrize(
    "block", [block for path in sorted(DOCS.glob("**/*.md")) if path.name not in ELSEWHERE for block in blocks(path)]
)
def test_block_runs(block):
    exec(compile(block, "<documentation>", "exec"), {"__name__": "documentation"})


def test_the_table_of_compiled_environments_is_right():
    text = (DOCS / "environments.md").read_text().partition("## The compiled environments")[2].partition("\n## ")[0]
    described = set()
    for names, observation, action, length in re.findall(r"^\| (`.+?) \| (`.+?`) \| (.+?) \| (.+?) \|", text, re.M):
        first, *versions = re.findall(r"`(.+?)`", names)
        choices = re.findall(r"\d+", action.partition(" in ")[0])
        for index, name in enumerate([first, *(first[: -len(version)] + version for version in versions)]):
            spec = envs.make(name).spec
            kind = "bool" if spec.observation_space.dtype == bool else ""
            assert observation == f"`{kind}{list(spec.observation_space.shape)}`", name
            if isinstance(spec.action_space, spaces.Discrete):
                assert int(choices[min(index, len(choices) - 1)]) == spec.action_space.n, name
            else:
                assert action.startswith(f"`{list(spec.action_space.shape)}` in {spec.action_space.low[0]:g} to "), name
            if spec.max_episode_steps:
                assert length.removeprefix("at most ") == str(spec.max_episode_steps), name
            described.add(name)
    assert described == {name for members in compiled.ENVIRONMENTS.values() for name in members}
