"""The command line, run as users run it: in processes of their own."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]
SMALL = {
    "ppo_cartpole": "rollout_length=16,hidden_sizes=(16,)",
    "dqn_cartpole": "hidden_sizes=(16,),learning_starts=64,gradient_steps=2,replay_capacity=1500",
    "rainbow_cartpole": "hidden_sizes=(16,),stream_sizes=(16,),learning_starts=64,replay_capacity=1500",
    "impala_cartpole": "hidden_sizes=(16,)",
    "sac_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=1500",
    "ppo_recurrent_memory_chain": "memory_units=8,hidden_sizes=(16,),rollout_length=16,sequence_length=8",
}


def start(*args, cwd=ROOT, **env):
    return subprocess.Popen(
        [sys.executable, "-m", "rl_fn", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error


def run(*args, **env):
    return finish(start(*args, **env))


def train(folder, *args, hparams="ppo_cartpole", override="", steps=4_000, **env):
    override = ",".join(filter(None, [SMALL[hparams], override]))
    flags = ["--hparams", hparams, "--output_dir", folder, "--hparam_override", override]
    return ["train", *flags, "--train_steps", steps, "--eval_episodes", 5, *args]


def summary(folder, copy=0):
    return json.loads((folder / f"run_{copy}" / "summary.json").read_text())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("finished")
    code, out, error = run(*train(folder), XDG_CACHE_HOME=cache)
    assert code == 0, error
    return folder, out, error


def test_help_answers_at_once_and_without_tensorflow():
    def processor_seconds(*command):
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = usage.ru_utime + usage.ru_stime
        done = subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime - before, done.stdout

    seconds, out = processor_seconds("-m", "rl_fn", "--help")
    assert "train" in out
    # A share of other work, not a number of seconds, since the same work takes longer on a busy or slower machine.
    assert seconds < processor_seconds("-c", "import tensorflow")[0] / 5
    check = "import sys, rl_fn.commands; assert not {'tensorflow', 'gym', 'matplotlib', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_importing_the_package_loads_no_simulator():
    check = (
        "import sys, rl_fn as rl; rl.losses.q_learning; rl.loops.train_step; rl.envs.make; "
        "assert not {'gym', 'matplotlib', 'ale_py', 'envpool', 'ray', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


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
    assert config["hparams"]["rollout_length"] == 16
    assert config["versions"]["tensorflow"]
    assert "--hparams" in config["command"]
    assert list((folder / "run_0" / "checkpoints").glob("iteration_*.npz"))


def test_tensorboard_has_the_curves(finished):
    events = EventAccumulator(str(finished[0] / "run_0"), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    assert {"train/episode_return", "eval/return_mean", "agent/policy_loss", "train/env_steps_per_second"} <= tags
    assert [event.step for event in events.Tensors("eval/return_mean")][-1] == summary(finished[0])["env_steps"]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(finished, tmp_path, cache):
    assert run(*train(tmp_path / "same"), XDG_CACHE_HOME=cache)[0] == 0
    assert summary(tmp_path / "same")["state_digest"] == summary(finished[0])["state_digest"]
    assert run(*train(tmp_path / "other", "--seed", 1), XDG_CACHE_HOME=cache)[0] == 0
    assert summary(tmp_path / "other")["state_digest"] != summary(finished[0])["state_digest"]


def test_the_script_is_the_command(finished, tmp_path, cache):
    args = [str(arg) for arg in train(tmp_path)[1:]]
    script = [sys.executable, "experiments/train.py", *args]
    subprocess.run(script, cwd=ROOT, check=True, env={**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT)})
    assert summary(tmp_path)["state_digest"] == summary(finished[0])["state_digest"]


def test_a_finished_run_is_left_alone(finished):
    before = (finished[0] / "run_0" / "summary.json").stat().st_mtime_ns
    code, out, error = run(*train(finished[0]))
    assert code == 0
    assert "finished; nothing to do" in error
    assert "evaluation return" in out
    assert (finished[0] / "run_0" / "summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("hparams", SMALL)
def test_killed_and_resumed_gives_the_same_bits(hparams, tmp_path, cache):
    steps, times = (30_000, 3) if hparams == "ppo_cartpole" else (4_000, 1)
    uninterrupted = train(tmp_path / "whole", hparams=hparams, steps=steps)
    assert run(*uninterrupted, XDG_CACHE_HOME=cache)[0] == 0
    folder, kills = tmp_path / "killed", 0
    command = train(folder, hparams=hparams, steps=steps)
    checkpoints = folder / "run_0" / "checkpoints"
    while kills < times:
        seen = set(checkpoints.glob("iteration_*"))
        process = start(*command, "--checkpoint_seconds", 0, XDG_CACHE_HOME=cache)
        while process.poll() is None and len(set(checkpoints.glob("iteration_*")) - seen) < 1 + kills:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
        kills += 1
    code, _, error = run(*command, XDG_CACHE_HOME=cache)
    assert code == 0, error
    assert "going on from the checkpoint" in error
    assert summary(folder)["state_digest"] == summary(tmp_path / "whole")["state_digest"]


def test_an_interrupt_saves_and_stops_soon(tmp_path, cache):
    command = train(tmp_path, steps=100_000_000)
    process = start(*command, "--checkpoint_seconds", 0, XDG_CACHE_HOME=cache)
    checkpoints = tmp_path / "run_0" / "checkpoints"
    while not list(checkpoints.glob("iteration_*")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    code, _, error = finish(process)
    assert time.perf_counter() - begin < 8  # two seconds of training, and leaving Python on a busy machine
    assert code == 130
    assert "the same command goes on from there" in error
    assert "Traceback" not in error


def test_copies_have_folders_of_their_own_and_resume_together(tmp_path, cache):
    command = train(tmp_path, "--copies", 3, "--seed", 5)
    assert run(*command, XDG_CACHE_HOME=cache)[0] == 0
    digests = set()
    for copy in range(3):
        content = summary(tmp_path, copy)
        assert content["seed"] == 5 + copy
        digests.add(content["state_digest"])
        (tmp_path / f"run_{copy}" / "summary.json").unlink()
    assert len(digests) == 3
    code, _, error = run(*command, XDG_CACHE_HOME=cache)
    assert code == 0
    assert "going on from the checkpoint" in error
    assert {summary(tmp_path, copy)["state_digest"] for copy in range(3)} == digests


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--hparams", "ppo_cartpol"], "the nearest is 'ppo_cartpole'"),
        (["--hparams", "ppo"], "name one with --env"),
        (["--hparams", "ppo_cartpole", "--env", "CartPool-v1"], "the nearest is 'CartPole-v1'"),
        (["--hparams", "ppo_cartpole", "--hparam_override", "learning_rat=1"], "the nearest is 'learning_rate'"),
        (
            ["--hparams", "ppo_cartpole", "--hparam_override", "num_envs=many"],
            "num_envs is 'many', expected an integer",
        ),
        (["--hparams", "ppo_cartpole", "--hparam_override", "gamma=2"], "gamma is 2, expected a number at least 0"),
        (["--hparams", "ppo_cartpole", "--train_steps", "0"], "train_steps is 0, expected an integer at least 1"),
        (["--hparams", "ppo_cartpole", "--copies", "0"], "copies is 0, expected at least 1"),
        (["--hparams", "ppo_cartpole", "--checkpoint_seconds", "-1"], "checkpoint_seconds is -1, expected 0 to"),
        (["--hparams", "ppo_cartpole", "--seed", "-1"], "seed is -1, expected 0 to"),
    ],
)
def test_mistakes_get_one_sentence(args, message, tmp_path):
    code, _, error = run("train", "--output_dir", tmp_path / "new", *args)
    assert code == 2
    assert message in error
    assert error.startswith("rl-fn: error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_unknown_flags_and_wrong_types_are_refused(tmp_path):
    for args, message in [(["--seeds", "3"], "--seed"), (["--seed", "three"], "seed")]:
        code, out, error = run("train", "--hparams", "ppo_cartpole", "--output_dir", tmp_path, *args)
        assert code == 2
        assert message in out + error
        assert "Traceback" not in out + error


def test_another_runs_folder_is_refused(finished):
    code, _, error = run(*train(finished[0], override="gamma=0.9"))
    assert code == 2
    assert "gamma was 0.99 and is now 0.9; choose another --output_dir" in error
    assert "Traceback" not in error


def test_the_folder_of_a_run_that_never_began_is_taken(tmp_path, cache):
    (tmp_path / "run_0").mkdir()
    (tmp_path / "run_0" / "config.json").write_text('{"agent": "dqn"}')
    code, _, error = run(*train(tmp_path, steps=256), XDG_CACHE_HOME=cache)
    assert code == 0, error
    assert json.loads((tmp_path / "run_0" / "config.json").read_text())["agent"] == "ppo"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    code, _, error = run(*train(tmp_path / "file"))
    assert code == 2
    assert "cannot be used" in error
    assert "Traceback" not in error


def test_a_damaged_checkpoint_is_refused(tmp_path, cache):
    assert run(*train(tmp_path), XDG_CACHE_HOME=cache)[0] == 0
    (tmp_path / "run_0" / "summary.json").unlink()
    newest = max((tmp_path / "run_0" / "checkpoints").glob("iteration_*"))
    newest.write_bytes(newest.read_bytes()[:1000])
    code, _, error = run(*train(tmp_path))
    assert code == 2
    assert "is damaged" in error
    assert "Traceback" not in error


def test_the_compilation_cache_is_used_and_can_be_switched_off(tmp_path, cache):
    assert list(Path(cache).rglob("*.pb"))
    off = tmp_path / "off"
    assert run(*train(tmp_path / "run", "--no_compilation_cache", steps=64), XDG_CACHE_HOME=str(off))[0] == 0
    assert not off.exists()
