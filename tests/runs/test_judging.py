"""What a run has learned, judged afterwards: by checkpoint, in a variant, sampled, in numbers and as JSON."""

import contextlib
import json
import shutil

import numpy as np
import pytest

from rl_fn import commands, envs, loops, random, runs
from rl_fn.commands.evaluate import _number
from rl_fn.media import curves
from rl_fn.runs import judging


@pytest.fixture
def cli(capsys):
    def command(*words):
        with contextlib.suppress(SystemExit):
            commands.main([str(word) for word in words])
        return capsys.readouterr()

    return command


def test_every_copy_is_judged_as_it_is_alone(trained):
    both = list(judging.evaluate(trained, episodes=5))
    (second,) = judging.evaluate(trained / "run_1", episodes=5)
    assert [(one.copy, one.seed, one.loaded.env_steps) for one in both] == [(0, 0, 640), (1, 1, 640)]
    np.testing.assert_array_equal(both[1].evaluation.returns, second.evaluation.returns)
    assert any(both[0].evaluation.returns != both[1].evaluation.returns)
    loaded = runs.load(trained)
    play = loops.evaluate(loaded.agent, envs.make("CartPole-v1"), 5)
    expected = play(loaded.policy.params, random.fold_in(random.key(0), 0))
    np.testing.assert_array_equal(both[0].evaluation.returns, expected.returns)


def test_mistakes_are_told_before_anything_is_iterated_over(trained, tmp_path):
    with pytest.raises(ValueError, match=r"holds no run: there is no config.json in it$"):
        judging.evaluate(tmp_path)
    shutil.copytree(trained, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"holds no run: .*; there are runs in it: mine$"):
        judging.evaluate(tmp_path)


def test_an_agent_of_a_script_is_judged_in_the_environment_that_is_given(trained):
    loaded = runs.load(trained)
    given = judging.evaluate(trained, agent=loaded.agent, env=loaded.env, episodes=3)
    for one, named in zip(given, judging.evaluate(trained, episodes=3), strict=True):
        np.testing.assert_array_equal(one.evaluation.returns, named.evaluation.returns)


def test_the_command_writes_what_it_says(trained, tmp_path, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # narrower than the table, which loses no digit
    output = tmp_path / "returns.json"
    said = cli("evaluate", trained, "--episodes", "6", "--seed", "3", "--output", output)
    content = json.loads(output.read_text())
    assert (content["env"], content["checkpoint"], content["deterministic"]) == ("CartPole-v1", "newest", True)
    assert [(one["copy"], one["seed"], one["env_steps"]) for one in content["copies"]] == [(0, 0, 640), (1, 1, 640)]
    for one in content["copies"]:
        assert len(one["returns"]) == len(one["lengths"]) == 6
        assert one["returns"] == one["lengths"]  # of CartPole
        assert one["mean"] == pytest.approx(np.mean(one["returns"]))
        assert one["deviation"] == pytest.approx(np.std(one["returns"]))
        assert one["interquartile_mean"] == pytest.approx(np.mean(sorted(one["returns"])[1:5]))
        assert one["interval"][0] <= one["interquartile_mean"] <= one["interval"][1]
        assert f"{one['mean']:.1f}" in said.out
        assert "{:.1f} to {:.1f}".format(*one["interval"]) in said.out
    means = [one["mean"] for one in content["copies"]]
    assert content["over_copies"]["mean"] == pytest.approx(np.mean(means))
    assert content["over_copies"]["interval"] == [min(means), max(means)]


def test_checkpoints_are_named_newest_best_or_by_their_steps(trained):
    newest, best = runs.load(trained), runs.load(trained, checkpoint="best")
    (curve,) = curves.read([trained / "run_0"])
    assert (newest.env_steps, best.env_steps) == (640, curve.env_steps[curve.values[0].argmax()])
    older = runs.load(trained, checkpoint=512)
    assert older.env_steps == runs.load(trained, checkpoint="512").env_steps == 512
    kernels = [loaded.policy.params.params["policy"]["head"]["kernel"] for loaded in (newest, older)]
    assert np.any(kernels[0] != kernels[1])
    with pytest.raises(ValueError, match=r"has no checkpoint at 100 steps: there are those at .*512, 576, 640 steps"):
        runs.load(trained, checkpoint=100)
    with pytest.raises(ValueError, match="checkpoint is 'last', expected newest, best, or a number"):
        runs.load(trained, checkpoint="last")


def test_without_a_best_checkpoint_it_is_said_which_there_are(trained, tmp_path):
    shutil.copytree(trained / "run_0", tmp_path / "run_0")
    shutil.rmtree(tmp_path / "run_0" / "checkpoints" / "best")
    with pytest.raises(ValueError, match="has kept no best checkpoint: there are those at 512, 576, 640 steps"):
        runs.load(tmp_path, checkpoint="best")


def test_a_variant_of_the_environment_is_judged_in(trained):
    (judged,) = judging.evaluate(trained / "run_0", env="gymnasium:CartPole-v0", episodes=3)
    assert judged.loaded.env.spec.name == "gymnasium:CartPole-v0"
    assert judged.evaluation.returns.shape == (3,)
    (judged,) = judging.evaluate(trained / "run_0", env="CartPoleNoVel-v1", episodes=3)
    assert judged.loaded.env.spec.name == "CartPoleNoVel-v1"


def test_how_an_environment_was_stepped_is_not_asked_of_another(tmp_path):
    config = runs.RunConfig("ppo", tmp_path, env="gymnasium:CartPole-v1", env_backend="thread", env_timeout=5.0)
    env = judging._variant(config, "CartPole-v1", {}, envs.make("CartPole-v1"))
    assert env.spec.name == "CartPole-v1"


def test_sampled_actions_are_others(trained):
    (greedy,) = judging.evaluate(trained / "run_0", episodes=20)
    (sampled,) = judging.evaluate(trained / "run_0", episodes=20, deterministic=False)
    assert np.any(sampled.evaluation.returns != greedy.evaluation.returns)


def test_mistakes_get_one_sentence(trained, tmp_path, cli):
    for words, sentence in [
        ([tmp_path], "holds no run"),
        ([trained, "--episodes", "0"], "episodes is 0, expected at least 1"),
        ([trained, "--env", "Acrobot-v1"], "Acrobot-v1 has the observation space Box"),
        ([trained, "--env", "CartPol-v1"], "unknown environment 'CartPol-v1'"),
        ([trained, "--env_kwargs", "length=3"], "CartPole-v1 is a compiled environment and takes other arguments"),
        ([trained, "--episodes", "2", "--output", tmp_path / "no" / "a.json"], "cannot be used"),
    ]:
        assert sentence in cli("evaluate", *words).err


def test_a_film_that_cannot_be_is_refused_before_anything_is_played(trained, cli, monkeypatch):
    monkeypatch.setattr(judging.loops, "evaluate", lambda *args: lambda *played: pytest.fail("it was played"))
    said = cli("evaluate", trained, "--record_video", "--video_episodes", "0").err
    assert "video_episodes is 0, expected at least 1" in said


def test_large_returns_are_written_without_decimals():
    assert [_number(value) for value in (-12.345, 9_999.0, 978_643.21)] == ["-12.3", "9999.0", "978,643"]
