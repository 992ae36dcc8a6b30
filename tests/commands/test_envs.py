"""`rl-fn envs`: the names of environments, and what they need."""

import io

import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from rl_fn import commands
from rl_fn.commands import listing


def listed(capsys, *flags):
    commands.main(["envs", *flags])
    return capsys.readouterr().out


def test_environments_are_listed_by_kind(capsys):
    out = listed(capsys)
    for text in ("compiled:", "gymnasium:", "gym:", "atari:", "procgen:", "envpool:", "CartPole-v1", "coinrun"):
        assert text in out
    assert "coinrun" not in listed(capsys, "--kind", "gym")
    assert "CartPole-v1" not in listed(capsys, "--match", "COINR")
    for flags, message in [
        (["--kind", "gmy"], "unknown kind 'gmy'; the nearest is 'gym'"),
        (["--match", "nothing of that name"], "no environment has 'nothing of that name' in its name"),
    ]:
        with pytest.raises(SystemExit):
            commands.main(["envs", *flags])
        assert message in capsys.readouterr().err


def test_spaces_are_shown_on_demand():
    console = Console(width=200, record=True, quiet=False, file=io.StringIO())
    listing.show("compiled", "cartpole", with_spaces=True, console=console)
    assert "float32[4]" in (out := console.export_text())
    assert "2 choices" in out
    nested = spaces.Dict({"place": spaces.Discrete(3), "both": spaces.Tuple([spaces.Box(0, 1, [2], np.float32)])})
    assert listing.describe(nested) == "{both: (float32[2]), place: 3 choices}"
