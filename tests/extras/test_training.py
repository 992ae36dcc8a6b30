"""Whole runs on environments of other libraries: trained, stopped in the middle, resumed, and played to a film."""

import contextlib
import json
import math
import os
import re
import signal
import threading

import imageio.v3 as iio
import numpy as np
import pytest

from rl_fn import commands, envs, sets
from rl_fn.media import curves
from rl_fn.runs import checkpoint

STEPS = 2_000
PPO = "num_envs=4,rollout_length=100,num_epochs=1"
REPLAY = "num_envs=4,rollout_length=50,replay_capacity=400,learning_starts=100,gradient_steps=2,batch_size=8"
SMALL, PIXELS = "hidden_sizes=(16,)", "torso=nature,hidden_sizes=(16,)"

# environment -> the set, overrides, arguments of the environment, and the size of its pictures
RUNS = {
    "gym:CartPole-v1": ("dqn", f"{REPLAY},{SMALL}", "", (400, 600)),
    "gymnasium:LunarLander-v3": ("ppo", f"{PPO},{SMALL}", "max_episode_steps=100", (400, 600)),
    "gymnasium:Pendulum-v1": ("sac", f"{REPLAY},{SMALL}", "max_episode_steps=100", (500, 500)),
    "ALE/Pong-v5": ("dqn", f"{REPLAY},{PIXELS}", "max_frames=400", (210, 160)),
    "procgen:coinrun": ("ppo", f"{PPO},{PIXELS}", "num_levels=10,max_episode_steps=100", (64, 64)),
    "gymnasium:tests.extras.rooms:Rooms-v0": ("ppo", f"{PPO},{SMALL}", "", (16, 144)),
}


def train(folder, env, hparams, override, env_kwargs="", steps=STEPS):
    flags = {
        "hparams": hparams,
        "output_dir": folder,
        "env": env,
        "env_kwargs": env_kwargs,
        "hparam_override": override,
        "train_steps": steps,
        "eval_episodes": 1,
        "checkpoint_seconds": 0,
    }
    commands.main(
        ["train", *[text for name, value in flags.items() if value != "" for text in (f"--{name}", str(value))]]
    )


@contextlib.contextmanager
def terminated_at_a_checkpoint(folder):
    """Sends this process a termination as soon as there is a checkpoint; one that comes too late does nothing."""
    ended = threading.Event()

    def wait():
        while not ended.wait(0.001):
            if checkpoint.list_iterations(folder):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    previous = signal.signal(signal.SIGTERM, lambda number, frame: None)
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGTERM, previous)


@pytest.mark.parametrize("env", RUNS)
def test_a_run_is_stopped_resumed_and_filmed(env, tmp_path, capsys):
    hparams, override, env_kwargs, size = RUNS[env]
    checkpoints = tmp_path / "run_0" / "checkpoints"
    with terminated_at_a_checkpoint(checkpoints), pytest.raises(SystemExit) as exit_info:
        train(tmp_path, env, hparams, override, env_kwargs)
    told = capsys.readouterr().err
    assert exit_info.value.code == commands.EXIT_INTERRUPTED
    stopped = int(re.search(r"stopped after ([\d,]+) steps; the same command goes on", told)[1].replace(",", ""))
    assert 0 < stopped < STEPS
    half = checkpoint.load(checkpoint.path_of(checkpoints, checkpoint.list_iterations(checkpoints)[-1]))

    train(tmp_path, env, hparams, override, env_kwargs)
    told = capsys.readouterr().err
    assert f"going on from the checkpoint at {stopped:,} steps" in told
    assert f"{env} is no part of the checkpoint: its environments begin new episodes" in told
    summary = json.loads((tmp_path / "run_0" / "summary.json").read_text())
    assert (summary["env"], summary["env_steps"]) == (env, STEPS)
    assert math.isfinite(summary["eval_return_mean"])
    whole = checkpoint.load(checkpoint.path_of(checkpoints, checkpoint.list_iterations(checkpoints)[-1]))
    assert_it_learned(half, whole)
    (curve,) = curves.read([tmp_path])
    assert curve.env_steps[0] <= stopped < curve.env_steps[-1] == STEPS
    assert np.isfinite(curve.values).all()

    commands.main(["play", str(tmp_path / "run_0"), "--episodes", "1", "--record_video"])
    (film,) = (tmp_path / "run_0" / "videos").glob(f"step_{STEPS:08d}_return_*.mp4")
    pictures = iio.imread(film, plugin="FFMPEG")
    assert pictures.shape[1:] == (*size, 3)
    assert len(pictures) == 1 or np.any(pictures[0] != pictures[-1])
    assert f"return {film.stem.rpartition('_')[2]}" in capsys.readouterr().out


def assert_it_learned(before, after):
    """Checks that the run went on learning: all parameters are numbers, and they moved."""
    names = [name for name in after.leaves if "params" in name]
    assert names
    for name in names:
        assert np.isfinite(after.leaves[name]).all(), name
    assert any(np.any(before.leaves[name] != after.leaves[name]) for name in names)


def test_mujoco_trains_without_a_display(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it writes a log of warnings where it is started
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)
    train(tmp_path, "gymnasium:HalfCheetah-v5", "sac", f"{REPLAY},{SMALL}", "max_episode_steps=100", steps=600)
    summary = json.loads((tmp_path / "run_0" / "summary.json").read_text())
    assert (summary["env"], summary["env_steps"]) == ("gymnasium:HalfCheetah-v5", 600)
    assert math.isfinite(summary["eval_return_mean"])


def test_ddpg_sees_small_grey_stacks_of_carracing():
    named = sets.SETS["ddpg_carracing"]
    env = envs.make(named.env, **named.env_kwargs)
    assert (env.spec.observation_space.shape, env.spec.max_episode_steps) == ((64, 64, 4), 250)
    first = env.reset(0)
    outcome = env.step(np.array([[0.0, 1.0, 0.0]], np.float32))
    np.testing.assert_array_equal(outcome.observation[..., :3], first[..., 1:])  # the oldest is gone
    assert np.any(outcome.observation[..., 3] != first[..., 3])
    env.close()
