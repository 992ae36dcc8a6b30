"""Data sets from their recording to a run that learns from them."""

import numpy as np
import pytest

from rl_fn import envs
from rl_fn.commands import main
from rl_fn.runs import Run, RunConfig, datasets, load

SMALL = "hidden_sizes=(8,),batch_size=8,gradient_steps=5"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    overrides = "hidden_sizes=(8,),learning_starts=32,replay_capacity=200,gradient_steps=1,batch_size=8"
    config = RunConfig(
        hparams="dqn_cartpole", output_dir=folder, hparam_override=overrides, train_steps=200, eval_episodes=0
    )
    list(Run.from_config(config))
    return folder


@pytest.fixture(scope="module")
def recorded(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cartpole"
    mean = datasets.record(teacher, folder, steps=1_234)
    return folder, mean


def config(folder, dataset, **settings):
    settings = {"train_steps": 60, "eval_episodes": 4, **settings}
    return RunConfig(hparams="iql_cartpole", output_dir=folder, dataset=str(dataset), hparam_override=SMALL, **settings)


def test_what_is_recorded_is_what_happened(recorded):
    folder, mean = recorded
    data = datasets.read(str(folder), envs.make("CartPole-v1").spec)
    assert len(data.reward) == 1_240  # whole steps of ten environments
    assert data.action.dtype == np.int32
    np.testing.assert_array_equal(data.reward, 1)
    follows = ~data.is_last[:-1]
    # A program may compute the two apart, and round otherwise.
    np.testing.assert_allclose(data.next_observation[:-1][follows], data.observation[1:][follows], rtol=1e-5, atol=1e-7)
    ends = np.flatnonzero(data.is_last)
    assert data.is_last[123::124].all()  # where each of the ten streams ends
    lengths = np.diff([-1, *ends])
    whole = [length for length, end in zip(lengths, ends, strict=True) if not data.truncated[end]]
    np.testing.assert_allclose(np.mean(whole), mean, rtol=1e-6)


def test_a_run_learns_from_it_and_goes_on_with_the_same_bits(recorded, tmp_path):
    whole = Run.from_config(config(tmp_path / "whole", recorded[0]))
    reports = list(whole)
    assert reports[-1].env_steps == 60
    assert np.isnan(reports[-1].episodes.count) or reports[-1].episodes.count == 0
    part = Run.from_config(config(tmp_path / "part", recorded[0], checkpoint_seconds=0.0))
    for report in part:
        if report.env_steps >= 30:
            break
    again = Run.from_config(config(tmp_path / "part", recorded[0]))
    list(again)
    assert again.summary["state_digest"] == whole.summary["state_digest"]
    learned = load(tmp_path / "whole")
    assert learned.policy.act(np.zeros(4, np.float32)) in (0, 1)
    assert RunConfig.read(tmp_path / "whole").hparam_override["replay_capacity"] == 1_240


def test_another_data_set_is_another_run(recorded, teacher, tmp_path):
    list(Run.from_config(config(tmp_path / "run", recorded[0], train_steps=5)))
    datasets.record(teacher, tmp_path / "other", steps=1_240, seed=1)
    with pytest.raises(ValueError, match=r"holds another run: dataset was .*cartpole and is now .*other"):
        Run.from_config(config(tmp_path / "run", tmp_path / "other", train_steps=5))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hparams", "iql_cartpole"], "iql learns from a data set: name one with --dataset"),
        (["--hparams", "iql_cartpole", "--dataset", "nowhere"], "dataset nowhere cannot be read"),
        (["--hparams", "dqn_cartpole", "--dataset", "nowhere"], "and dqn learns from environments: expected none"),
    ],
)
def test_a_mistake_is_one_sentence(flags, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", *flags, "--output_dir", "run"])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_data_set_of_another_environment_is_refused(recorded, tmp_path):
    with pytest.raises(ValueError, match=r"dataset .* cannot be read: .* leading axes"):
        Run.from_config(config(tmp_path, recorded[0], env="Catch-bsuite"))


def test_a_recording_takes_a_new_folder(recorded, teacher):
    with pytest.raises(ValueError, match="exists, expected a new folder"):
        datasets.record(teacher, recorded[0])


def test_environments_on_the_host_are_recorded_and_judged_in(teacher, tmp_path):
    env = envs.make("gymnasium:CartPole-v1", 3)
    agent = load(teacher).agent
    data = datasets._play_host(agent, env, load(teacher).policy.params, 30, np.array([0, 7], np.uint32))
    assert data.reward.shape == (10, 3)
    datasets.write(tmp_path / "data", data, env.spec)
    settings = config(tmp_path / "run", tmp_path / "data", env="gymnasium:CartPole-v1", train_steps=10)
    list(Run.from_config(settings))
    assert (tmp_path / "run" / "run_0" / "summary.json").exists()


def test_each_actor_on_the_host_is_recorded_with_its_own_epsilon(tmp_path):
    overrides = "num_envs=2,hidden_sizes=(8,),epsilon_schedule=per_actor,epsilon_initial=1.0,epsilon_final=0.0"
    settings = {"hparam_override": overrides, "env": "gymnasium:CartPole-v1", "train_steps": 16, "eval_episodes": 0}
    list(Run.from_config(RunConfig(hparams="dqn_cartpole", output_dir=tmp_path / "run", **settings)))
    datasets.record(tmp_path / "run", tmp_path / "data", steps=200)
    learned = load(tmp_path / "run")
    data = datasets.read(str(tmp_path / "data"), learned.env.spec)
    learned.env.close()
    explored = np.reshape(learned.policy.act(data.observation) != data.action, [2, 100])
    assert explored[0].mean() > 0.2
    assert not explored[1].any()
