"""The documentation's Python blocks run as printed, and its table of environments is right."""

import re
from pathlib import Path

import pytest
from gymnasium import spaces

from rl_fn import envs
from rl_fn.envs import compiled

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    pytest.param(block, id=f"{path.name}-{index}")
    for path in sorted(DOCS.glob("**/*.md"))
    for index, block in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
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
