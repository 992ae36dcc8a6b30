"""Runs on the host: what belongs to the environment's name and arguments."""

import dataclasses
import shutil

import numpy as np
import pytest

from rl_fn.runs import Run, RunConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return RunConfig(
        hparams="dqn",
        output_dir=tmp_path_factory.mktemp("host") / "whole",
        env="gymnasium:FrozenLake-v1",
        env_kwargs="map_name=8x8,max_episode_steps=20",
        hparam_override="num_envs=2,rollout_length=16,hidden_sizes=(16,),learning_starts=64,replay_capacity=1000",
        train_steps=1_600,
        eval_episodes=2,
        checkpoint_seconds=0.0,
    )


def test_killed_and_resumed(config):
    part = config.output_dir.with_name("part")
    whole = Run.from_config(config)
    for report in whole:
        if not part.exists() and report.env_steps >= 800:
            shutil.copytree(config.output_dir, part)  # as a process that was killed here leaves it
        if report.evaluation:
            assert np.all(report.evaluation.lengths <= 20)  # judged in environments made with the same arguments
    assert (whole.summary["env_steps"], whole.summary["updates"]) == (1_600, 50)
    run = Run.from_config(dataclasses.replace(config, output_dir=part))
    run.start()
    assert 0 < run.iteration < 50
    assert run.notes[1] == "gymnasium:FrozenLake-v1 is no part of the checkpoint: its environments begin new episodes"
    list(run)
    assert (run.summary["env_steps"], run.summary["updates"]) == (1_600, 50)
    assert run.config.env_kwargs == {"map_name": "8x8", "max_episode_steps": 20}
    other = dataclasses.replace(config, output_dir=part, env_kwargs="map_name=4x4,max_episode_steps=20")
    with pytest.raises(ValueError, match="env_kwargs map_name was 8x8 and is now 4x4; choose another --output_dir"):
        Run.from_config(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env": "gymnasium:CartPole-v1", "copies": 2}, "copies is 2, expected 1: gymnasium:CartPole-v1 is stepped on"),
        ({"env_backend": "thread"}, "CartPole-v1 is a compiled environment and takes other arguments: .*'backend'"),
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
        ({"hparam_override": "actor_lag=-1"}, "actor_lag is -1, expected an integer at least 0"),
        ({"env": "gymnasium:CartPole-v1", "env_timeout": 0.0}, "env_timeout is 0.0, expected a number greater than 0"),
        ({"env": "gymnasium:CartPol-v1"}, "the nearest is 'CartPole-v1'"),
    ],
)
def test_environments_that_cannot_be_made_are_refused(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Run.from_config(RunConfig(hparams="ppo_cartpole", output_dir=tmp_path / "new", **settings))
    assert not (tmp_path / "new").exists()
