"""Five seeds of each named set, side by side, with the set's own number of steps."""

import json

import numpy as np
import pytest

from rl_fn import sets
from rl_fn.commands import main

# set, what is changed, and the least median over the seeds of the evaluation return
CASES = [
    ("ppo_cartpole", "", 490),
    ("dqn_cartpole", "", 450),
    ("dqn_minatar_breakout", "", 8),
    ("rainbow_cartpole", "", 475),
    ("impala_cartpole", "actor_lag=0", 490),
    ("impala_cartpole", "", 490),
    ("impala_cartpole", "actor_lag=8", 450),
    ("sac_discrete_cartpole", "", 450),
    ("ppo_recurrent_cartpole", "", 450),
    ("ppo_recurrent_memory_chain", "", 0.95),
    ("ppo_pendulum", "", -190),
    ("sac_pendulum", "", -165),
    ("td3_pendulum", "", -165),
    ("crossq_pendulum", "", -165),
    ("d4pg_pendulum", "", -165),
    ("ddpg_pendulum", "", -165),
    ("droq_pendulum", "", -165),
    ("mpo_pendulum", "", -165),
    ("redq_pendulum", "", -165),
    ("ddpg_cartpole", "", 400),
    ("ddpg_mountaincar", "", -150),
    ("ddpg_mountaincar_continuous", "", 90),
    ("td3_mountaincar_continuous", "", 90),
    ("sac_mountaincar_continuous", "", 90),
    ("tqc_mountaincar_continuous", "", 90),
]


def evaluations(name, override, folder, copies=5):
    command = ["train", "--hparams", name, "--copies", str(copies), "--output_dir", str(folder)]
    main([*command, "--hparam_override", override])
    summaries = [json.loads(path.read_text()) for path in folder.glob("run_*/summary.json")]
    assert sorted(summary["seed"] for summary in summaries) == list(range(copies))
    return [summary["eval_return_mean"] for summary in summaries]


def test_every_set_with_an_environment_is_here():
    missing = {name for name, named in sets.SETS.items() if named.env} - {name for name, _, _ in CASES}
    # two seeds of the first are below; the others need an extra and take hours
    assert missing <= {"ppo_minatar_breakout", "ddpg_carracing", "ddpg_coinrun", "ddpg_pong"}


@pytest.mark.parametrize(("name", "override", "median"), CASES)
def test_learns(name, override, median, tmp_path):
    assert np.median(evaluations(name, override, tmp_path)) >= median


def test_no_seed_of_ppo_fails_on_cartpole(tmp_path):
    assert min(evaluations("ppo_cartpole", "", tmp_path)) >= 400


def test_learns_a_game_of_minatar(tmp_path):
    assert np.median(evaluations("ppo_minatar_breakout", "", tmp_path, copies=2)) >= 20


@pytest.mark.parametrize(
    ("name", "low", "high"), [("ppo_recurrent_memory_chain", -0.2, 0.2), ("ppo_recurrent_cartpole", 0, 250)]
)
def test_without_a_memory_it_does_not(name, low, high, tmp_path):
    median = np.median(evaluations(name, "memory=none,sequence_length=1", tmp_path))
    assert low <= median <= high
