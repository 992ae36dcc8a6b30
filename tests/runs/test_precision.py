"""Runs whose networks multiply matrices in bfloat16."""

import json

import numpy as np
import pytest

from rl_fn import envs, random, runs
from rl_fn.agents.base import in_precision
from rl_fn.runs import Run, RunConfig
from tests.runs import tiny


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """PPO on CartPole."""
    folder = tmp_path_factory.mktemp("learned")
    config = RunConfig("ppo_cartpole", folder, precision="bfloat16", train_steps=40_000, eval_episodes=20)
    run = Run.from_config(config)
    list(run)
    return run


def test_it_learns_with_parameters_and_optimiser_in_float32(learned):
    assert learned.summary["eval_return_mean"] > 100.0  # of one that does nothing: 9; at random: 22
    state = learned.leaves(lambda name: name.startswith("agent/"))
    floats = {leaf.dtype for leaf in state.values() if leaf.dtype.kind not in "iub"}
    assert floats == {np.dtype(np.float32)}


def test_it_is_told_and_acts_so_when_it_is_loaded(learned):
    folder = learned.folder()
    assert json.loads((folder / "config.json").read_text())["precision"] == "bfloat16"
    loaded = runs.load(folder)
    policy, observation = loaded.policy.params, np.full([1, 4], 0.1, np.float32)
    act = lambda agent: agent.act(policy, (), observation, random.key(0), "train").extras["log_prob"].numpy()
    assert act(loaded.agent) == act(in_precision(loaded.agent, "bfloat16"))
    assert act(loaded.agent) != act(in_precision(loaded.agent, "float32"))


def test_another_precision_is_another_run_and_one_begun_before_there_was_a_choice_has_float32(tmp_path):
    env = envs.make("Catch-bsuite")
    make = lambda **values: Run(tiny.agent(), env, tmp_path, train_steps=32, eval_episodes=0, reporters=[], **values)
    run = make()
    list(run)
    path = run.folder() / "config.json"
    content = json.loads(path.read_text())
    for told in (content, {name: value for name, value in content.items() if name != "precision"}):
        path.write_text(json.dumps(told))
        assert make().config.precision == "float32"
        with pytest.raises(ValueError, match="holds another run: precision was float32 and is now bfloat16"):
            make(precision="bfloat16")


def test_another_word_is_refused(tmp_path):
    with pytest.raises(ValueError, match="precision is 'float16', expected one of float32, bfloat16"):
        Run(tiny.agent(), envs.make("Catch-bsuite"), tmp_path, train_steps=32, precision="float16")
    with pytest.raises(ValueError, match="precision is 'half', expected one of float32, bfloat16"):
        RunConfig("ppo_cartpole", tmp_path, precision="half")
    with pytest.raises(ValueError, match="precision is 'half', expected one of float32, bfloat16"):
        in_precision(tiny.agent(), "half")
