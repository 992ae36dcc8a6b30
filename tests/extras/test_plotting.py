import shutil
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from rl_fn.commands import main
from rl_fn.media import curves


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    override = "rollout_length=16,hidden_sizes=(16,)"
    flags = ["--train_steps", "4000", "--eval_episodes", "5", "--copies", "2"]
    main(["train", "--hparams", "ppo_cartpole", "--output_dir", str(folder), "--hparam_override", override, *flags])
    return folder


def test_curves_hold_every_seed(run):
    curve = curves.read_curve(run)
    assert curve.label == "ppo_cartpole on CartPole-v1"
    assert curve.values.shape == (2, 16)
    assert curve.env_steps[-1] == 4032
    assert np.all(np.diff(curve.env_steps) > 0)


def test_other_folders_beside_the_copies_are_ignored(run):
    shutil.copytree(run / "run_0", run / "run_0_backup")
    assert curves.read_curve(run).values.shape == (2, 16)


def test_the_command_draws_a_picture(run, tmp_path):
    path = tmp_path / "curves.png"
    command = [sys.executable, "-m", "rl_fn", "plot", "--runs", str(run), "--output", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == (f"{path}\n", "")
    picture = matplotlib.image.imread(path)
    assert picture.shape[:2] == (600, 1050)
    assert picture[..., :3].std() > 0.05


def test_mistakes_get_one_sentence(run, tmp_path, capsys):
    for flags, message in [
        (["--runs", str(tmp_path)], "holds no run"),
        (["--runs", str(run), "--tag", "eval/score"], "has no scalar 'eval/score'"),
    ]:
        with pytest.raises(SystemExit) as exit_info:
            main(["plot", *flags])
        assert exit_info.value.code == 2
        assert message in capsys.readouterr().err
