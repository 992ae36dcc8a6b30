"""Every agent has a page in docs/agents that names only what exists, and a line in their table that is right."""

import functools
import re
from pathlib import Path

import pytest
from gymnasium import spaces

import rl_fn
from rl_fn import agents, envs, sets

PAGES = Path(__file__).parents[1] / "docs" / "agents"
AGENTS = [name for name in agents.__all__ if hasattr(getattr(agents, name), "make")]
INDEX = (PAGES / "index.md").read_text()
PAPER = re.compile(r"\]\((https://[^)]+)\)")


@functools.cache
def specs():
    """Of environments of all kinds that agents act in."""
    names = ("CartPole-v1", "Pendulum-v1", "CartPolePixels-v1", "PendulumPixels-v1", "TicTacToe-v0")
    found = [envs.make(name).spec for name in names]
    return [*found, found[0]._replace(action_space=spaces.MultiDiscrete([2, 3]))]


def can_be_made(agent, spec, **values):
    try:
        sets.agent_module(agent).make(spec, sets.hparams_struct(agent)(**values))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("agent", AGENTS)
def test_page_has_the_headings_and_names_only_what_exists(agent):
    text = (PAGES / f"{agent}.md").read_text()
    assert re.findall(r"^(#+ .+)", text, re.MULTILINE)[1:] == ["## Good for", "## Equations", "## Details"]
    assert text.startswith("# ")
    for name in re.findall(r"`rl\.([\w.]+)`", text):
        functools.reduce(getattr, name.split("."), rl_fn)


def test_the_table_has_every_agent_once():
    assert sorted(re.findall(r"^\| \[.+?\]\((\w+)\.md\)", INDEX, re.MULTILINE)) == AGENTS


@pytest.mark.parametrize("agent", AGENTS)
def test_the_table_says_what_the_agent_can_do_and_where_it_is_from(agent):
    (line,) = re.findall(rf"^\| \[.+?\]\({agent}\.md\) \| (.*) \|$", INDEX, re.MULTILINE)
    learns_from, actions, memory, paper = map(str.strip, line.split("|"))
    hparams = sets.hparams_struct(agent)()
    offline = hparams.schedule.is_offline
    assert learns_from == ("a data set" if offline else "replay" if hasattr(hparams, "replay_capacity") else "rollouts")
    able = [spec for spec in specs() if can_be_made(agent, spec)]
    kinds = {type(spec.action_space).__name__ for spec in able}
    assert actions.split(", ") == [kind for kind in ("Discrete", "MultiDiscrete", "Box") if kind in kinds]
    if getattr(hparams, "memory", None) == "none":
        assert memory == ("option" if can_be_made(agent, able[0], memory="gru") else "")
    else:
        assert memory == ("always" if agent in ("r2d2", "dreamer", "world_models") else "")
    (link,) = PAPER.findall(paper)
    first = (PAGES / f"{agent}.md").read_text().split("\n\n")[1]
    assert link in PAPER.findall(first)
