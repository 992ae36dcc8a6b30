"""A compiled environment, a set and an agent of a user's own package, trained, resumed and played."""

import json
import os
import subprocess
import sys

import gymnasium
import pytest

from rl_fn import commands, envs, runs, sets
from rl_fn.runs import checkpoint
from tests.commands.processes import ROOT, summary

OWN = ROOT / "tests" / "own"
TRAIN = ["train", "--import", "my_package", "--hparams", "corridor", "--eval_episodes", "2"]


def forgotten():
    for name in [name for name in sys.modules if name.partition(".")[0] in ("my_package", "my_rooms")]:
        del sys.modules[name]
    sets.modules._named.clear()
    sets.SETS.pop("corridor", None)
    envs.registry._entries.pop("Corridor-v0", None)
    gymnasium.registry.pop("Hall-v0", None)


@pytest.fixture
def here(monkeypatch):
    """The folder of the package, which nobody has imported yet; only the command puts it on the path."""
    monkeypatch.chdir(OWN)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(OWN))])
    forgotten()
    yield
    forgotten()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run by the command as it is installed: a script in another folder, started in that of the package."""
    folder = tmp_path_factory.mktemp("own")
    script = folder / "rl-fn"
    script.write_text("from rl_fn.commands import main\nmain()\n")
    command = [sys.executable, str(script), *TRAIN, "--checkpoint_seconds", "0", "--output_dir", str(folder / "run")]
    done = subprocess.run(
        command, cwd=OWN, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert f"next: rl-fn evaluate {folder / 'run'} --import my_package, rl-fn plot" in done.stderr
    return folder / "run"


def test_it_is_trained(trained):
    content = summary(trained)
    assert (content["agent"], content["hparams"], content["env"]) == ("my_package.linear_q", "corridor", "Corridor-v0")
    assert content["eval_return_mean"] == 1.0  # it finds the end
    config = json.loads((trained / "run_0" / "config.json").read_text())
    assert (config["imports"], config["env_kwargs"]) == (["my_package"], {"length": 4})
    assert config["hparam_override"]["step_size"] == 0.5


@pytest.mark.usefixtures("here")
def test_it_is_resumed(trained, capsys):
    digest = summary(trained)["state_digest"]
    folder = trained / "run_0" / "checkpoints"
    *_, newest = checkpoint.list_iterations(folder)
    checkpoint.path_of(folder, newest).unlink()
    (trained / "run_0" / "summary.json").unlink()
    commands.main([*TRAIN, "--output_dir", str(trained)])
    said = capsys.readouterr().err
    assert "going on from the checkpoint" in said
    assert f"next: rl-fn evaluate {trained} --import my_package, rl-fn plot {trained}, tensorboard" in said
    assert summary(trained)["state_digest"] == digest


@pytest.mark.usefixtures("here")
def test_it_is_played_by_those_who_import_it(trained, capsys):
    play = ["play", str(trained / "run_0"), "--episodes", "2"]
    with pytest.raises(SystemExit):
        commands.main(play)
    assert "names the module 'my_package', which is imported only if you name it, too" in capsys.readouterr().err
    with pytest.raises(ValueError, match="names the module 'my_package'"):
        runs.load(trained)
    assert "my_package" not in sys.modules
    commands.main([*play, "--import", "my_package"])
    assert capsys.readouterr().out == "episode 0: return 1.0\nepisode 1: return 1.0\n"
    assert runs.load(trained).env_steps == 1_280


@pytest.mark.usefixtures("here")
def test_it_is_listed(capsys):
    commands.main(["envs", "--import", "my_package,my_rooms", "--match", "corridor"])
    assert "Corridor-v0" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_environments_of_gymnasium_may_lie_in_the_folder_where_one_is(tmp_path, capsys):
    small = "num_envs=2,rollout_length=4,num_minibatches=1,num_epochs=1,hidden_sizes=(4,)"
    flags = ["--hparams", "ppo", "--hparam_override", small, "--train_steps", "16", "--eval_episodes", "1"]
    commands.main(["train", "--env", "gymnasium:my_rooms:Hall-v0", *flags, "--output_dir", str(tmp_path)])
    assert summary(tmp_path)["env"] == "gymnasium:my_rooms:Hall-v0"
    forgotten()
    with pytest.raises(SystemExit):
        commands.main(["play", str(tmp_path / "run_0")])
    assert "names the module 'my_rooms'" in capsys.readouterr().err
    assert "my_rooms" not in sys.modules
