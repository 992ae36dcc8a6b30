"""Runs in host environments: killed and resumed, and what is refused."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl_fn.runs import training

ROOT = Path(__file__).parents[1]


def test_killed_and_resumed(tmp_path, capsys):
    options = training.Options(
        hparams="dqn",
        output_dir=tmp_path / "run",
        env="gymnasium:FrozenLake-v1",
        env_kwargs="map_name=8x8,max_episode_steps=20",
        hparam_override="num_envs=2,rollout_length=16,hidden_sizes=(16,),learning_starts=64,replay_capacity=1000",
        train_steps=3_200,
        eval_episodes=2,
        checkpoint_seconds=0.0,
    )
    command = [sys.executable, "-m", "rl_fn", "train"]
    for name, value in dataclasses.asdict(options).items():
        command += [f"--{name}", str(value)] if value is not None and value is not False else []
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        stderr=subprocess.DEVNULL,
    )
    while not list((tmp_path / "run" / "run_0" / "checkpoints").glob("iteration_*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    plan = training.plan(options)
    training.prepare_folders(plan)
    begin = training.restore_or_start(plan)
    assert 0 < begin.iteration < 100
    (summary,) = training.run(plan, begin)
    told = capsys.readouterr().err
    assert told.count("gymnasium:FrozenLake-v1 is no part of the checkpoint: its environments begin new episodes") == 1
    assert (summary["env_steps"], summary["updates"]) == (3_200, 100)
    assert plan.configs[0]["env_kwargs"] == {"map_name": "8x8", "max_episode_steps": 20}
    other = training.plan(dataclasses.replace(options, env_kwargs="map_name=4x4,max_episode_steps=20"))
    with pytest.raises(ValueError, match="env_kwargs map_name was 8x8 and is now 4x4; choose another --output_dir"):
        training.prepare_folders(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"env": "gymnasium:CartPole-v1", "copies": 2}, "copies is 2, expected 1: gymnasium:CartPole-v1 is stepped on"),
        ({"env_backend": "thread"}, "CartPole-v1 is a compiled environment and takes other arguments: .*'backend'"),
        (
            {"env_kwargs": "num_envs=3"},
            "env_kwargs cannot have num_envs: it is a hyper-parameter, use --hparam_override",
        ),
        ({"env_kwargs": "name=3"}, "env_kwargs cannot have name: use --env"),
        ({"env_kwargs": "render_mode=human"}, "env_kwargs cannot have render_mode: use --render or --record_video"),
        ({"env_kwargs": "compiled=3"}, "CartPole-v1 is a compiled environment and takes other arguments: .*'compiled'"),
        ({"env": "gymnasium:CartPole-v1", "env_kwargs": "source=3"}, "takes other arguments: .*'source'"),
        ({"env": "gymnasium:CartPole-v1", "env_kwargs": "timeout=x"}, "timeout is x, expected a number of seconds"),
        ({"env": "gymnasium:CartPole-v1", "env_kwargs": "max_restarts=x"}, "max_restarts is x, expected an integer"),
        ({"env": ":"}, "unknown environment ':': '' is neither one of the prefixes"),
        ({"env": ".x:Walk-v0"}, "unknown environment '.x:Walk-v0': '.x' is neither one of the prefixes"),
        (
            {"env": "MinAtar/Breakout-v2"},
            "unknown environment 'MinAtar/Breakout-v2'; the nearest is 'MinAtar/Breakout-",
        ),
        ({"env_kwargs": "size=3"}, "CartPole-v1 is a compiled environment and takes other arguments: .*'size'"),
        ({"env_kwargs": "size"}, "cannot read override 'size', expected name=value"),
        ({"hparam_override": "actor_lag=-1"}, "actor_lag is -1, expected an integer at least 0"),
        ({"env": "gymnasium:CartPole-v1", "env_timeout": 0.0}, "timeout is 0.0, expected a number of seconds"),
        ({"env": "gymnasium:CartPol-v1"}, "the nearest is 'CartPole-v1'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        training.plan(training.Options(hparams="ppo_cartpole", output_dir=tmp_path, **options))
