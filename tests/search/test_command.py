"""`rl-fn search`: what it needs, and populations from the command line."""

import csv
import sys

import pytest

from rl_fn import commands, sets
from rl_fn.search import Evolution, SearchConfig
from tests.search import tunes

SETTINGS = {"method": "pbt", "space": "decay,offset", "trials": 5, "evaluations": 4, "eval_episodes": 2}


def evolution(folder, **settings):
    return Evolution(SearchConfig("tunes", folder, **{**SETTINGS, **settings}))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "search needs --hparams"),
        (["--hparams", "tunes"], "search needs --output_dir"),
        (["--hparams", "tune"], "unknown hyper-parameter set 'tune'; the nearest is 'tunes'"),
        (["--hparams", "bc_cartpole", "--trials", "2"], "hparams bc_cartpole learns from a data set"),
        (["--hparams", "tunes", "--trials", "0"], "trials is 0, expected"),
        (
            ["--hparams", "ppo", "--env", "TicTacToe-v0", "--method", "pbt", "--space", "learning_rate"],
            "ppo learns for one player",
        ),
        (["--hparams", "tunes", "--method", "bayes"], "unknown method 'bayes'"),
        (["--hparams", "tunes", "--method", "pbt", "--space", "digits"], "digits makes a program for each value"),
        (["--hparams", "tunes", "--method", "pbt", "--pruner", "halving"], "pruner is 'halving', which is for studies"),
        (["--hparams", "tunes", "--method", "pbt", "--seeds", "5"], "seeds is 5, which is for studies"),
        (["--hparams", "tunes", "--method", "pbt", "--space", "skil"], "the nearest is 'skill'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(words, said, tmp_path, capsys):
    folder = ["--output_dir", str(tmp_path / "new")] if len(words) > 2 or "tune" in words else []
    with pytest.raises(SystemExit) as ended:
        commands.main(["search", *words, *folder])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("rl-fn: error: ")
    assert said in line
    assert not (tmp_path / "new").exists()


def test_a_store_is_no_place_for_a_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        commands.main(["search", "--hparams", "tunes", "--output_dir", "s3://bucket/search"])
    assert "output_dir is 's3://bucket/search', expected a file or folder of this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit) as ended:
        commands.main(["search", "--hparams", "tunes", "--output_dir", str(tmp_path), "--space", "skill"])
    assert ended.value.code == 2
    assert 'needs optuna, which is not installed: pip install "rl-fn[search]"' in capsys.readouterr().err


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    """The folder of a population that was trained without a break."""
    folder = tmp_path_factory.mktemp("evolved")
    words = [f"--{name}={value}" for name, value in SETTINGS.items()]
    commands.main(["search", "--hparams", "tunes", "--output_dir", str(folder), "--no_pictures", *words])
    return folder


def test_a_population_writes_its_lineage_and_a_set(evolved):
    rows = list(csv.DictReader((evolved / "lineage.csv").open()))
    assert [(row["generation"], row["member"]) for row in rows[:6]] == [("1", str(m)) for m in range(5)] + [("2", "0")]
    assert len(rows) == 20
    assert any(row["parent"] != row["member"] for row in rows)
    values = sets.make(sets.find(str(evolved / "best.toml")))
    assert isinstance(values, tunes.TunesHParams)
    assert values.decay in [float(row["decay"]) for row in rows]


def test_a_population_that_was_broken_off_goes_on_to_the_same_bits(evolved, tmp_path):
    for _ in evolution(tmp_path).run(stop=iter([False, False, True]).__next__):
        pass
    second = evolution(tmp_path)
    assert [{row.generation for row in rows} for rows in second.run()] == [{3}, {4}]
    for name in ("lineage.csv", "checkpoints/iteration_000000000004.npz"):
        assert (tmp_path / name).read_bytes() == (evolved / name).read_bytes()
    with pytest.raises(ValueError, match="holds another population: its trials is 5, not 6"):
        next(evolution(tmp_path, trials=6).run())
