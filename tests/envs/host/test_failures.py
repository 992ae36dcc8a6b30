import functools
import gc
import logging
import re
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from rl_fn import envs
from rl_fn.envs.host import factories, worker
from rl_fn.envs.host.sub_envs import SubEnvs
from tests.envs.host.environments import Answers, Modules, Walk

ACTIONS = np.zeros(2, int)


def children():
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize(
    ("backend", "mishap", "told"),
    [
        ("sync", "raise", "ArithmeticError: the walker fell"),
        ("thread", "raise", "ArithmeticError: the walker fell"),
        ("thread", "hang", "it did not answer within 1.5 seconds"),
        ("process", "raise", "ArithmeticError: the walker fell"),
        ("process", "exit", "its process ended with exit status 3"),
        ("process", "hang", "it did not answer within 1.5 seconds"),
    ],
)
def test_an_environment_that_fails_is_made_again(backend, mishap, told, tmp_path, caplog):
    factories = [functools.partial(Walk, 7, mishap, tmp_path / "happened"), Walk]
    env = SubEnvs("walk", factories, backend, timeout=1.5)
    before = env.reset(3)
    with caplog.at_level(logging.ERROR, "rl_fn"):
        for _ in range(6):
            before = env.step(ACTIONS).observation
        assert not caplog.records
        outcome = env.step(ACTIONS)
    (record,) = caplog.records
    assert "environment 0 of walk failed and is made again, 1 of at most 10 times" in record.getMessage()
    assert told in record.getMessage()
    np.testing.assert_array_equal(outcome.truncated, [True, False])
    np.testing.assert_array_equal(outcome.terminated, [False, False])
    np.testing.assert_array_equal(outcome.reward, [0, 1])
    np.testing.assert_array_equal(outcome.next_observation[0], before[0])
    assert outcome.observation[0] != before[0]
    assert outcome.observation[1] == outcome.next_observation[1] != before[1]
    went_on = env.step(ACTIONS)
    np.testing.assert_array_equal(went_on.reward, [1, 1])
    assert went_on.observation[0] != outcome.observation[0]
    env.close()


def test_restarts_are_counted_and_end_with_the_traceback(caplog):
    env = envs.gymnasium_env(lambda: Walk(every=2), num_envs=2, max_restarts=3)
    env.reset(0)
    for _ in range(7):
        env.step(ACTIONS)
    with pytest.raises(RuntimeError, match="environment 0 of <lambda> failed once more after 3") as refusal:
        env.step(ACTIONS)
    assert "Traceback" in str(refusal.value)
    assert "ArithmeticError: the walker fell" in str(refusal.value)
    assert len([r for r in caplog.records if "environment 0" in r.getMessage()]) == 3


@pytest.mark.parametrize("one", [1, True, np.float64(1), np.array(1), np.array([1.0]), np.array([[1]], np.int64)])
def test_one_number_is_one_number_however_it_is_wrapped(one):
    env = envs.gymnasium_env(lambda: Answers(one, np.array([False]), one), 3)
    env.reset(0)
    outcome = env.step(np.zeros(3, int))
    np.testing.assert_array_equal(outcome.reward, np.ones(3, np.float32))
    assert outcome.reward.dtype == np.float32
    np.testing.assert_array_equal([outcome.terminated, outcome.truncated], [[False] * 3, [True] * 3])
    assert outcome.terminated.dtype == outcome.truncated.dtype == bool


def test_rewards_may_be_no_numbers_of_the_usual_kind():
    env = envs.gymnasium_env([Answers(np.nan), Answers(np.inf)])
    env.reset(0)
    np.testing.assert_array_equal(env.step(ACTIONS).reward, [np.nan, np.inf])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"reward": np.array([1.0, 2.0])}, r"the reward of step 1 of an episode is array\(\[1., 2.\]\), expected one"),
        ({"reward": None}, "the reward of step 1 of an episode is None, expected one number"),
        ({"reward": "1"}, "the reward of step 1 of an episode is '1', expected one number"),
        ({"reward": np.array([])}, "the reward of step 1 .* expected one number"),
        ({"terminated": None}, "terminated of step 1 of an episode is None, expected True or False"),
        ({"truncated": np.array([True, False])}, "truncated of step 1 .* expected True or False"),
    ],
)
def test_what_is_not_one_number_is_a_failure_of_its_environment(answer, message):
    env = envs.gymnasium_env([Answers(), Answers(**answer)], max_restarts=0)
    env.reset(0)
    with pytest.raises(RuntimeError, match="environment 1 of Answers failed once more after 0 restarts") as refusal:
        env.step(ACTIONS)
    assert re.search(message, str(refusal.value))


def test_failures_do_not_make_a_run_random():
    runs = []
    for _ in range(2):
        env = envs.gymnasium_env(lambda: Walk(every=5), num_envs=2)
        runs.append([env.reset(1), *(env.step(ACTIONS).observation for _ in range(18))])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert len(np.unique(runs[0])) == np.size(runs[0])


def test_an_environment_that_fails_at_its_reset_is_made_again(caplog):
    made = []

    def fails_once():
        made.append(Walk())
        if len(made) == 1:
            made[0].reset = lambda **options: 1 / 0
        return made[-1]

    env = envs.gymnasium_env(fails_once)
    assert env.reset(0).shape == (1, 1)
    assert "ZeroDivisionError" in caplog.text


def test_a_process_steps_environments_without_tensorflow():
    one = worker.ProcessWorker(functools.partial(factories.of_gym, "CartPole-v1", {}))
    one.submit("reset", 3)
    assert one.result(60.0).shape == (4,)
    one.close()
    names = "rl_fn.envs, rl_fn.envs.host.worker, rl_fn.envs.host.factories, rl_fn.envs.host.atari"
    check = f"import sys, {names}; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
    inside = worker.ProcessWorker(Modules)
    inside.submit("render")
    modules = inside.result(60.0)
    inside.close()
    assert "gymnasium" in modules
    assert not {"tensorflow", "keras"} & set(modules)


def test_closing_ends_the_processes_and_so_does_forgetting():
    before = children()
    env = envs.gymnasium_env(Walk, 2, "process")
    assert len(children() - before) == 2
    env.close()
    assert children() == before
    env = envs.gymnasium_env(Walk, 1, "process")
    (forgotten,) = children() - before
    del env
    gc.collect()
    deadline = time.monotonic() + 30
    while psutil.Process(forgotten).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
