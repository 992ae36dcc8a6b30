"""Curves of runs: which belong together, and what is compared."""

import json
import shutil

import numpy as np
import pytest

from rl_fn import commands
from rl_fn.media import curves
from tests.media.written import run


def test_copies_are_the_seeds_of_a_curve(tmp_path):
    (curve,) = curves.read([run(tmp_path, [[1.0, 2.0], [3.0, 5.0]])])
    assert (curve.label, curve.env) == ("ppo", "CartPole-v1")
    np.testing.assert_array_equal(curve.env_steps, [100, 200])
    np.testing.assert_array_equal(curve.values, [[1.0, 2.0], [3.0, 5.0]])
    (alone,) = curves.read([tmp_path / "run_1"])
    np.testing.assert_array_equal(alone.values, [[3.0, 5.0]])
    (loss,) = curves.read([tmp_path], tag="train/loss")
    np.testing.assert_array_equal(loss.env_steps, [50, 100, 200])
    np.testing.assert_array_equal(loss.values, [[2.5, 1.5, 1.5], [2.5, 1.5, 1.5]])


def test_a_run_that_was_trained_is_read(trained):
    (curve,) = curves.read([trained])
    assert (curve.label, curve.values.shape[0], curve.env_steps[-1]) == ("ppo_cartpole", 2, 640)


def test_runs_of_one_set_in_one_environment_are_seeds_of_one_curve(tmp_path):
    folders = [run(tmp_path / str(seed), [[1.0 * seed, 2.0]], seed=seed) for seed in range(3)]
    other = run(tmp_path / "dqn", [[4.0, 5.0]], hparams="dqn")
    elsewhere = run(tmp_path / "catch", [[0.0, 1.0]], env="Catch-bsuite")
    found = curves.read([*folders, other, elsewhere])
    names = [(curve.label, curve.env, len(curve.values)) for curve in found]
    assert names == [("ppo", "CartPole-v1", 3), ("dqn", "CartPole-v1", 1), ("ppo", "Catch-bsuite", 1)]
    with pytest.raises(ValueError, match="ppo in CartPole-v1 has the seed 1 twice"):
        curves.read([*folders, folders[1]])


def test_runs_of_one_set_that_differ_are_told_apart(tmp_path):
    first = run(tmp_path / "first", [[1.0, 2.0]], learning_rate=0.1)
    second = run(tmp_path / "second", [[1.0, 2.0]], learning_rate=0.2)
    assert [curve.label for curve in curves.read([first, second])] == [
        "ppo, learning_rate=0.1",
        "ppo, learning_rate=0.2",
    ]
    assert [curve.label for curve in curves.read([first, second], labels=["slow", "fast"])] == ["slow", "fast"]


@pytest.mark.parametrize(
    ("setting", "value", "other"),
    [("precision", "float32", "bfloat16"), ("dataset", "small", "large"), ("init_from", None, "runs/first/run_0")],
)
def test_runs_of_one_set_that_differ_in_a_setting_are_told_apart(setting, value, other, tmp_path):
    folders = [run(tmp_path / str(seed), [[1.0, 2.0]], seed=seed) for seed in range(2)]
    for folder, given in zip(folders, (value, other), strict=True):
        path = folder / "run_0" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {setting: given}))
    labels = [curve.label for curve in curves.read(folders)]
    assert labels == [f"ppo, {setting}={json.dumps(value)}", f"ppo, {setting}={json.dumps(other)}"]


def test_seeds_that_were_measured_at_other_steps_are_met_in_between(tmp_path):
    first = run(tmp_path / "first", [[1.0, 2.0, 3.0]])
    second = run(tmp_path / "second", [[0.0, 4.0]], seed=1)
    metrics = second / "run_0" / "metrics.csv"
    metrics.write_text("env_steps,eval/return_mean\n100,0.0\n300,4.0\n")
    (curve,) = curves.read([first, second])
    np.testing.assert_array_equal(curve.env_steps, [100, 200, 300])
    np.testing.assert_array_equal(curve.values, [[1.0, 2.0, 3.0], [0.0, 2.0, 4.0]])


def test_scores_are_normalised_by_what_there_is_or_by_what_is_told():
    steps = np.array([100, 200])
    curve = lambda label, env, *last: curves.Curve(label, env, steps, np.array([[-10.0, one] for one in last]))
    drawn = [curve("a", "x", 0.0, 5.0), curve("b", "x", 10.0), curve("a", "y", 1.0), curve("b", "y", 1.0)]
    found = curves.normalized(drawn, {})
    np.testing.assert_allclose(np.concatenate(found["a"]), [0.5, 0.75, 1.0])
    np.testing.assert_allclose(np.concatenate(found["b"]), [1.0, 1.0])  # as good as can be, although all are alike
    found = curves.normalized(drawn, {"y": (-1.0, 3.0)})
    np.testing.assert_allclose(np.concatenate(found["a"]), [0.5, 0.75, 0.5])
    with pytest.raises(ValueError, match="bounds name z, expected one of x, y"):
        curves.normalized(drawn, {"z": (0.0, 1.0)})
    with pytest.raises(ValueError, match="b has no run in y, expected one in each environment"):
        curves.last(drawn[:3])


def test_what_differs_between_two_runs_is_told_with_both_curves(tmp_path, capsys):
    first = run(tmp_path / "slow", [[1.0, 20.0], [2.0, 30.0]], learning_rate=0.1)
    second = run(tmp_path / "fast", [[5.0, 40.0], [6.0, 25.0]], learning_rate=0.2)
    commands.main(["compare", str(first), str(second)])
    said = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if "│" in line]
    assert ["learning_rate", "0.1", "0.2"] in rows
    assert not any(row[0] in ("gamma", "env", "output_dir", "seed") for row in rows)
    assert ["200", "25.0 (20.0 to 30.0)", "32.5 (25.0 to 40.0)"] in rows
    assert "A seed of fast is better than one of slow at the end with probability 0.75" in said


def test_runs_in_other_environments_are_compared_in_their_settings_only(tmp_path, capsys):
    first, second = run(tmp_path / "a", [[1.0]]), run(tmp_path / "b", [[1.0]], env="Catch-bsuite")
    commands.main(["compare", str(first), str(second)])
    said = capsys.readouterr()
    assert "Catch-bsuite" in said.out
    assert "probability" not in said.out
    assert "their returns are not compared" in said.err


def test_mistakes_get_one_sentence(tmp_path):
    folder = run(tmp_path / "run", [[1.0, 2.0]])
    with pytest.raises(ValueError, match="holds no run"):
        curves.read([tmp_path / "nothing"])
    with pytest.raises(ValueError, match=r"has no curve 'eval/score'; there are: train/loss, eval/return_mean"):
        curves.read([folder], tag="eval/score")
    with pytest.raises(ValueError, match="2 labels were given for 1 runs, expected one for each"):
        curves.read([folder], labels=["a", "b"])
    shutil.move(folder / "run_0" / "metrics.csv", tmp_path)
    with pytest.raises(ValueError, match=r"has no curves: there is no metrics.csv in it"):
        curves.read([folder])
