"""`rl-fn train`: what it starts, says and leaves; in this process where another would show no more."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_fn import commands
from rl_fn.commands.train import _settings
from rl_fn.runs import RunConfig, checkpoint
from tests.commands.processes import ROOT, finish, start, summary, train


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("finished")
    code, out, error = finish(start(*train(folder), XDG_CACHE_HOME=cache))
    assert code == 0, error
    return folder, out, error


@pytest.fixture
def run(capsys):
    """Runs the command in this process; the exit code, what it printed, and what it said."""

    def run(*args):
        capsys.readouterr()
        try:
            commands.main(list(map(str, args)))
            code = 0
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def test_a_run_leaves_what_it_promises(finished):
    folder, out, error = finished
    assert "evaluation return" in out
    assert "steps/s" in error
    content = summary(folder)
    keys = (
        "agent env seed env_steps updates eval_return_mean eval_return_std eval_episodes env_steps_per_second "
        "first_step_seconds train_seconds state_digest"
    )
    assert set(keys.split()) <= set(content)
    assert (content["agent"], content["env"], content["seed"]) == ("ppo", "CartPole-v1", 0)
    assert content["env_steps"] == content["updates"] * 4 * 16 >= 4_000
    assert content["eval_episodes"] == 5
    assert len(content["state_digest"]) == 64
    config = json.loads((folder / "run_0" / "config.json").read_text())
    assert config["hparam_override"]["rollout_length"] == 16
    assert config["versions"]["tensorflow"]
    assert "--hparams" in config["command"]
    assert list((folder / "run_0" / "checkpoints").glob("iteration_*.npz"))


def test_tensorboard_has_the_curves(finished):
    events = EventAccumulator(str(finished[0] / "run_0"), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    assert {"rollout/ep_return_mean", "eval/return_mean", "train/policy_loss", "time/steps_per_second"} <= tags
    assert [event.step for event in events.Tensors("eval/return_mean")][-1] == summary(finished[0])["env_steps"]


def test_the_script_is_the_command_and_the_same_seed_gives_the_same_bits(finished, tmp_path, cache):
    script = [sys.executable, "experiments/train.py", *train(tmp_path)[1:]]
    subprocess.run(script, cwd=ROOT, check=True, env={**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT)})
    assert summary(tmp_path)["state_digest"] == summary(finished[0])["state_digest"]


def test_a_finished_run_is_left_alone(finished, run):
    before = (finished[0] / "run_0" / "summary.json").stat().st_mtime_ns
    code, out, error = run(*train(finished[0]))
    assert code == 0
    assert "finished; nothing to do" in error
    assert "evaluation return" in out
    assert (finished[0] / "run_0" / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("flags", [["--training", "False"], ["--test_only"]])
def test_what_was_learned_is_tested_without_training(flags, finished, run):
    def written():
        return {path: path.stat().st_mtime_ns for path in finished[0].rglob("*")}

    before = written()
    code, out, error = run(*train(finished[0]), *flags, "--test_episodes", 7)
    assert code == 0, error
    assert out.startswith("run_0: test return ")
    assert f"over 7 episodes, after {summary(finished[0])['env_steps']:,} steps" in out
    assert written() == before


def test_a_test_is_in_the_environment_that_is_named(finished, run):
    tests = [*train(finished[0]), "--test_only", "--test_episodes", 3]
    code, _, error = run(*tests, "--env", "Acrobot-v1")
    assert code == 2
    assert "Acrobot-v1 has the observation space Box" in error
    code, _, error = run(*tests, "--env_kwargs", "length=3")
    assert code == 2
    assert "CartPole-v1 is a compiled environment and takes other arguments" in error


@pytest.mark.parametrize(("flag", "instead"), [("record_video", "evaluate"), ("render", "play")])
def test_a_test_shows_nothing_and_says_what_does(flag, instead, finished, run):
    code, out, error = run(*train(finished[0]), "--test_only", f"--{flag}")
    assert (code, out) == (2, "")
    assert f"{flag} is not for a test" in error
    assert f"use rl-fn {instead} {finished[0]} --{flag}" in error


def test_the_config_of_a_run_makes_it_again_where_nobody_named_a_folder(finished, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = run("train", "--config", finished[0] / "run_0" / "config.json", "--quiet")
    assert code == 0, error
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_ppo_cartpole")
    assert error == f"rl-fn: output_dir is runs/{folder.name}\n"  # no progress
    assert summary(folder)["state_digest"] == summary(finished[0])["state_digest"]


def test_another_environment_than_that_of_a_file_has_arguments_of_its_own(tmp_path):
    of_file = RunConfig("ppo", tmp_path, env="DeepSea-bsuite", env_kwargs={"size": 5}, env_backend="thread")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(of_file.to_json()))
    assert _settings({"env_kwargs": "randomize_actions=False"}, path).env_kwargs["size"] == 5
    other = _settings({"env": "CartPole-v1"}, path)
    assert (other.env, other.env_kwargs, other.env_backend) == ("CartPole-v1", {}, None)
    assert _settings({"env": "Catch-bsuite", "env_kwargs": "rows=9"}, path).env_kwargs == {"rows": 9}


def test_a_profile_for_tensorboard_is_of_fifty_iterations(tmp_path, run):
    command = train(tmp_path, "--profile", "--quiet", override="num_epochs=1", steps=20_000)
    assert run(*command)[0] == 0
    (profile,) = (tmp_path / "run_0" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert profile.stat().st_size > 1_000


def test_killed_and_resumed_gives_the_same_bits(tmp_path, cache, run):
    assert run(*train(tmp_path / "whole", steps=30_000))[0] == 0
    folder = tmp_path / "killed"
    command = train(folder, steps=30_000)
    checkpoints = folder / "run_0" / "checkpoints"
    for kills in range(2):
        seen = set(checkpoints.glob("iteration_*"))
        process = start(*command, "--checkpoint_seconds", 0, XDG_CACHE_HOME=cache)
        while process.poll() is None and len(set(checkpoints.glob("iteration_*")) - seen) < 1 + kills:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    code, _, error = run(*command)
    assert code == 0, error
    assert "going on from the checkpoint" in error
    assert summary(folder)["state_digest"] == summary(tmp_path / "whole")["state_digest"]


def test_an_interrupt_saves_and_stops_soon_and_the_cache_can_be_switched_off(tmp_path, finished, cache):
    assert list(Path(cache).rglob("*.pb"))
    off = tmp_path / "off"
    command = train(tmp_path / "run", "--no_compilation_cache", "--checkpoint_seconds", 0, steps=100_000_000)
    process = start(*command, XDG_CACHE_HOME=str(off))
    folder = tmp_path / "run" / "run_0" / "checkpoints"
    while max(checkpoint.list_iterations(folder), default=0) < 1_000:  # the first chunks are shorter than a signal
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    newest = checkpoint.list_iterations(folder)[-1]
    process.send_signal(signal.SIGINT)
    code, _, error = finish(process)
    assert newest in checkpoint.list_iterations(folder)[-3:]  # of the three that are kept: at most two chunks more
    assert code == 130
    assert "the same command goes on from there" in error
    assert "Traceback" not in error
    assert not off.exists()


@pytest.mark.slow
def test_a_cache_that_cannot_be_read_is_emptied_and_the_run_starts_again_without_it(finished, cache, tmp_path):
    del finished  # which has filled the cache
    (programs,) = shutil.copytree(cache, tmp_path / "cache").glob("rl_fn/xla/*")
    for beside in programs.glob("*.sha256"):
        beside.unlink()
    for program in programs.glob("*.pb"):  # of the right form, so that only XLA finds it out
        content = program.read_bytes()
        program.write_bytes(content[: len(content) // 2] + bytes(2_000) + content[len(content) // 2 + 2_000 :])
    code, out, error = finish(start(*train(tmp_path / "run"), XDG_CACHE_HOME=str(tmp_path / "cache")))
    assert code == 0, error
    assert error.count("starts again without the cache of compiled programs, which failed") == 1
    assert "evaluation return" in out
    assert not list(programs.glob("*.pb"))


def test_copies_have_folders_of_their_own_and_resume_together(tmp_path, run):
    command = train(tmp_path, "--copies", 3, "--seed", 5)
    assert run(*command)[0] == 0
    digests = set()
    for copy in range(3):
        content = summary(tmp_path, copy)
        assert content["seed"] == 5 + copy
        digests.add(content["state_digest"])
        (tmp_path / f"run_{copy}" / "summary.json").unlink()
    assert len(digests) == 3
    code, _, error = run(*command)
    assert code == 0
    assert "going on from the checkpoint" in error
    assert {summary(tmp_path, copy)["state_digest"] for copy in range(3)} == digests


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--hparams", "ppo_cartpol"], "the nearest is 'ppo_cartpole'"),
        (["--hparams", "ppo"], "name one with --env"),
        (["--hparams", "nowhere/my.toml"], "nowhere/my.toml cannot be read: No such file"),
        (["--hparams", "ppo_cartpole", "--env", "CartPool-v1"], "the nearest is 'CartPole-v1'"),
        (["--hparams", "ppo_cartpole", "--hparam_override", "learning_rat=1"], "the nearest is 'learning_rate'"),
        (
            ["--hparams", "ppo_cartpole", "--hparam_override", "num_envs=many"],
            "num_envs is 'many', expected an integer",
        ),
        (["--hparams", "ppo_cartpole", "--hparam_override", "gamma=2"], "gamma is 2, expected a number at least 0"),
        (["--hparams", "ppo_cartpole", "--train_steps", "0"], "train_steps is 0, expected an integer from 1 to"),
        (["--hparams", "ppo_cartpole", "--copies", "0"], "copies is 0, expected an integer from 1 to 10,000"),
        (["--hparams", "ppo_cartpole", "--checkpoint_seconds", "-1"], "checkpoint_seconds is -1.0, expected a number"),
        (["--hparams", "ppo_cartpole", "--seed", "-1"], "seed is -1, expected an integer from 0 to"),
        (["--hparams", "ppo_cartpole", "--env", ""], "env is '', expected a text"),
        (["--hparams", "ppo_cartpole", "--hparam_override", "rollout_length=1e9"], "GB of memory at least and"),
        (["--hparams", "dqn_cartpole", "--hparam_override", "replay_capacity=1e9"], "GB of memory at least and"),
        (["--hparams", "ppo_cartpole", "--hparam_override", "x=" + "-" * 100_000], "overrides have 100,002 letters"),
        (["--hparams", "ppo_cartpole", "--num_workers", "0"], "num_workers is 0, expected an integer from 1 to 10,000"),
        (["--hparams", "ppo_cartpole", "--num_workers", "3"], "num_workers is 3, expected a divisor of num_envs = 4"),
        (["--hparams", "x" * 100_000], "unknown hyper-parameter set 'xxx"),
        (["--hparams", "ppo_cartpole", "--import", "no_such_module"], "module 'no_such_module' cannot be imported"),
    ],
)
def test_mistakes_get_one_sentence(args, message, tmp_path, run):
    code, _, error = run("train", "--output_dir", tmp_path / "new", *args)
    assert code == 2
    assert message in error
    assert error.startswith("rl-fn: error: ")
    assert error.count("\n") == 1
    assert len(error) < 700
    assert not (tmp_path / "new").exists()


def test_another_runs_folder_is_refused(finished, run):
    code, _, error = run(*train(finished[0], override="gamma=0.9"))
    assert code == 2
    assert "gamma was 0.99 and is now 0.9; choose another --output_dir" in error


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, run):
    (tmp_path / "file").write_text("not a folder")
    code, _, error = run(*train(tmp_path / "file"))
    assert code == 2
    assert f"output_dir {tmp_path / 'file'} cannot be used" in error


def test_a_run_without_a_checkpoint_that_is_whole_is_refused(finished, tmp_path, run):
    shutil.copytree(finished[0], tmp_path / "copy")
    (tmp_path / "copy" / "run_0" / "summary.json").unlink()
    folder = tmp_path / "copy" / "run_0" / "checkpoints"
    for path in list(folder.glob("iteration_*")):  # slow machines write several
        path.write_bytes(path.read_bytes()[:1000])
    code, _, error = run(*train(tmp_path / "copy"))
    assert code == 2
    assert "is damaged" in error
    assert error.count("\n") == 1
