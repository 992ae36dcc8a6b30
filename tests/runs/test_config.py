"""The settings of a run: checked when they are put together, and the same in a file."""

import dataclasses
import json
import re
import sys

import pytest

from rl_fn.agents import alphazero, dreamer, ppo
from rl_fn.runs import Run, RunConfig

TINY = "rollout_length=16,hidden_sizes=(16,),num_epochs=1"


def config(**settings):
    return RunConfig(**{"hparams": "ppo_cartpole", "output_dir": "runs/x", **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hparams": "ppo_cartpol"}, "unknown hyper-parameter set 'ppo_cartpol'; the nearest is 'ppo_cartpole'"),
        ({"hparams": "ppo"}, "set 'ppo' names no environment; name one with --env"),
        ({"hparams": ""}, "hparams is '', expected a text"),
        ({"hparam_override": "learning_rat=1"}, "no hyper-parameter 'learning_rat'; the nearest is 'learning_rate'"),
        ({"hparam_override": {"num_envs": "many"}}, "num_envs is 'many', expected an integer"),
        ({"hparam_override": "gamma=2"}, "gamma is 2, expected a number at least 0"),
        ({"hparam_override": "gamma"}, "cannot read override 'gamma', expected name=value"),
        ({"hparam_override": 3}, "hparam_override is 3, expected values by name"),
        ({"output_dir": ""}, "output_dir is '', expected a folder"),
        ({"env": ""}, "env is '', expected a text"),
        ({"output_dir": "~nobody_of_that_name/x"}, "and the home folder that it names is not known"),
        ({"env_backend": "threads"}, "env_backend is 'threads', expected one of sync, thread, process"),
        ({"env_kwargs": "num_envs=3"}, "env_kwargs cannot have num_envs: it is a hyper-parameter, use --hparam_over"),
        ({"env_kwargs": {"name": 3}}, "env_kwargs cannot have name: use --env"),
        ({"env_kwargs": "render_mode=human"}, "env_kwargs cannot have render_mode: use --render or --record_video"),
        ({"train_steps": 0}, "train_steps is 0, expected an integer from 1 to 4,611,686,018,427,387,904"),
        ({"train_steps": 1.5}, "train_steps is 1.5, expected an integer from 1 to"),
        ({"eval_episodes": -1}, "eval_episodes is -1, expected an integer from 0 to 1,000,000"),
        ({"copies": 1_000_000}, "copies is 1000000, expected an integer from 1 to 10,000"),
        ({"train_steps": 10**50}, "expected an integer from 1 to"),
        ({"train_steps": 2**62}, "rollouts of 512 steps, expected at most 2,147,483,647 rollouts"),
        ({"hparam_override": "rollout_length=1e18"}, "rollout_length is 1000000000000000000, expected an integer"),
        ({"hparam_override": "num_envs=1e10"}, "num_envs is 10000000000, expected an integer at least 1, at most 2.1"),
        ({"hparam_override": "learning_rate=1e309"}, "learning_rate is 1e309, expected integers of at most 64 bits"),
        ({"hparam_override": {"learning_rate": 1e39}}, "learning_rate is 1e+39, expected a number greater than 0, at"),
        ({"hparam_override": "self=1"}, "PPOHParams has no hyper-parameter 'self'"),
        ({"hparams": "dqn_cartpole", "hparam_override": "batch_size=1e30"}, "batch_size is 1e+30, expected an integer"),
        ({"hparams": "dqn_cartpole", "hparam_override": "batch_size=1e6"}, "expected at most replay_capacity = 20000"),
        ({"copies": 0}, "copies is 0, expected an integer from 1 to 10,000"),
        ({"copies": True}, "copies is True, expected an integer from 1 to"),
        ({"seed": -1}, "seed is -1, expected an integer from 0 to"),
        ({"seed": 2**64 - 1, "copies": 2}, "seed is 18446744073709551615, expected at most 2**64 - copies"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds is -1, expected a number from 0 to 3,600"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds is nan, expected a number from 0 to 3,600"),
        ({"record_video": 1}, "record_video is 1, expected true or false"),
        ({"video_episodes": 0}, "video_episodes is 0, expected an integer from 1 to"),
        ({"imports": [3]}, "imports is [3], expected names of modules"),
        ({"imports": "no_module_of_that_name"}, "module 'no_module_of_that_name' cannot be imported (No module"),
        ({"agent": "ddpgg", "env": "CartPole-v1"}, "unknown agent 'ddpgg': expected one of "),
        ({"agent": "base", "env": "CartPole-v1"}, "rl_fn.agents.base makes no agent: it has no function make"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        config(**settings)
    assert "\n" not in str(error.value)


def test_agents_for_one_player_need_an_opponent():
    resolved = config(hparams="ppo", env="TicTacToe-v0").resolved()
    spec, hparams = resolved.make_env(1).spec, resolved.make_hparams()
    message = "ppo learns for one player, and both sides of TicTacToe-v0 are played by the same policy: expected"
    with pytest.raises(ValueError, match=message):
        resolved.make_agent(spec, hparams)
    with pytest.raises(ValueError, match=message):
        ppo.make(spec, hparams)  # as in a script
    with pytest.raises(ValueError, match="dreamer learns for one player"):
        dreamer.make(spec, dreamer.DreamerHParams())
    alphazero.make(spec, alphazero.AlphaZeroHParams())
    against = dataclasses.replace(resolved, env_kwargs={"opponent": "random"})
    against.make_agent(against.make_env(1).spec, hparams)


def test_values_may_be_a_text_or_given_by_name():
    text = config(hparam_override="gamma=0.9,hidden_sizes=(16,)", imports="json, re")
    assert text == config(hparam_override={"gamma": 0.9, "hidden_sizes": [16]}, imports=["json", "re"])


def test_resolved_settings_tell_everything():
    given = config(hparams="ppo_recurrent_memory_chain", hparam_override="gamma=0.9", train_steps=1_000)
    resolved = given.resolved()
    assert (resolved.agent, resolved.env, resolved.train_steps) == ("ppo", "MemoryChain-bsuite", 1_000)
    assert resolved.env_kwargs == {"memory_length": 10}
    values = resolved.hparam_override
    assert (values["gamma"], values["memory"], values["gae_lambda"]) == (0.9, "gru", 0.95)
    assert resolved.resolved() == resolved
    assert resolved.make_hparams() == given.make_hparams()
    # The set's arguments belong to the set's environment.
    assert config(hparams="ppo_recurrent_memory_chain", env="CartPole-v1").resolved().env_kwargs == {}


def test_a_file_holds_the_same(tmp_path):
    resolved = config(hparam_override="hidden_sizes=(16,)", output_dir=tmp_path).resolved()
    path = tmp_path / "any.json"
    path.write_text(json.dumps({**resolved.to_json(), "versions": {}, "copy": 0, "command": []}))
    assert RunConfig.from_json(path) == resolved


def test_a_run_is_made_again_from_its_own_file(tmp_path):
    first = Run.from_config(
        config(hparam_override=TINY, train_steps=640, eval_episodes=2, copies=2, output_dir=tmp_path / "first", seed=5)
    )
    list(first)
    for folder in (tmp_path / "first", tmp_path / "first" / "run_1"):
        read = RunConfig.read(folder)
        assert read == first.config
    (tmp_path / "first").rename(tmp_path / "moved")
    read = RunConfig.read(tmp_path / "moved")
    assert read.output_dir == tmp_path / "moved"
    assert list(Run.from_config(read)) == []  # it is finished
    second = Run.from_config(dataclasses.replace(read, output_dir=tmp_path / "second"))
    list(second)
    assert [summary["state_digest"] for summary in second.summaries] == [
        summary["state_digest"] for summary in first.summaries
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read: Expecting"),
        ("[]", "cannot be read: it does not hold values by name"),
        ("[" * 100_000, "cannot be read: "),
        ("\ufffd\udcff", "cannot be read: "),
        ({"output_dir": "x"}, "does not say hparams"),
        ({"hparams": "ppo", "output_dir": "x", "enw": "y"}, "has 'enw'; the nearest setting is 'env'"),
        ({"hparams": 3, "output_dir": "x"}, "cannot be used: hparams is 3, expected a text"),
        ({"hparams": "dqn", "output_dir": "x", "env_kwargs": []}, "cannot be used: env_kwargs is [], expected val"),
    ],
)
def test_damaged_files_are_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "config.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        RunConfig.from_json(path)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match="holds no run: there is no"):
        RunConfig.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "settings",
    [
        {"imports": ["this"]},
        {"agent": "this"},
        {"env": "this:Nope-v0"},
        {"env": "gymnasium:this:Nope-v0"},
        {"env": "gym:this:Nope-v0"},
    ],
)
def test_a_file_alone_imports_nothing(tmp_path, settings):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"hparams": "ppo_cartpole", "output_dir": "x", **settings}))
    with pytest.raises(ValueError, match="names the module 'this', which is imported only if you name it, too"):
        RunConfig.from_json(path)
    assert "this" not in sys.modules
