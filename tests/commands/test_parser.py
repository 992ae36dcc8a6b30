"""Command lines: how flags may be spelled, and what is said of those that cannot be read."""

import re
from pathlib import Path
from typing import Annotated

import pytest

from rl_fn import commands
from rl_fn.commands import helping, parser
from rl_fn.commands.flags import Imports, flag


def paint(
    *,
    runs: Annotated[tuple[Path, ...], flag("What to paint.", "RUN...", positional=True)],
    colour: Annotated[str, flag("Of the paint.", "NAME")] = "red",
    coat_count: Annotated[int, flag("How often.", "N", group="work")] = 1,
    dry: Annotated[bool, flag("Whether to wait.")] = False,
    speed: Annotated[float | None, flag("In metres per second.", "X")] = None,
    imports: Imports = (),
) -> None:
    """Paint runs. Slowly."""


def read(*words):
    return parser.read({"paint": paint}, ["paint", *words]).arguments


def test_flags_may_be_spelled_with_dashes_and_with_an_equals_sign():
    expected = {"coat_count": 3, "speed": -2.5, "runs": (Path("a"), Path("b")), "imports": ("x", "y")}
    given = read("a", "--coat-count=3", "b", "--speed", "-2.5", "--import", "x", "--import=y")
    assert {name: given[name] for name in expected} == expected
    assert given["colour"] == "red"
    assert read("a", "--coat_count", "1e3")["coat_count"] == 1_000
    assert read("--", "--a")["runs"] == (Path("--a"),)


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--dry"], True), (["--no_dry"], False), (["--no-dry"], False)]
    + [(["--dry", word], True) for word in ("True", "true", "1", "yes", "on")]
    + [([f"--dry={word}"], False) for word in ("False", "false", "0", "no", "off")],
)
def test_a_boolean_may_be_spelled_in_every_way(words, value):
    assert read("a", *words)["dry"] is value
    assert read(*words, "a")["runs"] == (Path("a"),)  # what follows and is no boolean is left alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--colr", "x"], "unknown flag '--colr'; the nearest is --colour"),
        (["a", "-c"], "unknown flag '-c'; there are: --runs, "),
        (["a", "--colour", "x", "--colour=y"], "--colour is given twice"),
        (["a", "--dry", "--no_dry"], "--dry is given twice"),
        (["a", "--colour"], "--colour needs a value: --colour NAME"),
        (["a", "--colour", "--dry"], "--colour needs a value: --colour NAME"),
        (["a", "--coat_count", "three"], "coat_count is 'three', expected an integer"),
        (["a", "--coat_count", "9" * 5_000], "expected an integer"),
        (["a", "--speed", "nan"], "speed is 'nan', expected a number"),
        (["a", "--dry=maybe"], "dry is 'maybe', expected True or False"),
        ([""], "runs is '', expected a file or folder"),
        ([], "paint needs RUN...: what to paint."),
    ],
)
def test_what_cannot_be_read_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        read(*words)


def test_commands_are_answered_with_the_nearest(capsys):
    for word, message in [
        ("trian", "the nearest is 'train'"),
        ("qqq", "there are: train, "),
        ("--sed", "unknown flag"),
    ]:
        with pytest.raises(SystemExit) as ended:
            commands.main([word])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
    commands.main(["--version"])
    assert re.match(r"rl-fn 0\.\d+\.\d+, TensorFlow 2\.\d+\.\S+, Python 3\.\d+\.\d+$", capsys.readouterr().out)


def test_flags_that_are_hyper_parameters_or_of_other_programs_are_answered_with_what_is_meant(capsys):
    for word, message in [
        ("--learning_rate", "it is a hyper-parameter: --hparam_override learning_rate=VALUE"),
        ("--num-envs", "it is a hyper-parameter: --hparam_override num_envs=VALUE"),
        ("--clip-coef", "it is a hyper-parameter: --hparam_override clip_epsilon=VALUE"),
        ("--algo", "here it is --hparams"),
        ("--env-id", "here it is --env"),
        ("--total_timesteps", "here it is --train_steps"),
        ("--sed", "the nearest is --seed"),
    ]:
        with pytest.raises(SystemExit) as ended:
            commands.main(["train", word, "1"])
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"rl-fn: error: unknown flag '{word}'; {message}\n"


def test_help_has_one_line_a_flag_under_headings():
    lines = helping.of_command("paint", paint).splitlines()
    assert lines[0] == "usage: rl-fn paint RUN... [flags]"
    assert "  --coat_count N  How often. (default: 1)" in lines[lines.index("work:") :]
    assert sum("--speed" in line for line in lines) == 1


def test_the_help_of_all_commands_fits_on_a_wide_terminal(capsys):
    from rl_fn.commands.table import COMMANDS

    commands.main([])
    for name in COMMANDS:
        commands.main([name, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 140
