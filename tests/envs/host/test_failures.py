import contextlib
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
from gymnasium import spaces

from rl_fn import envs
from rl_fn.envs import registry
from rl_fn.envs.host import factories, worker
from rl_fn.envs.host.sub_envs import SubEnvs
from tests.envs.host.environments import Answers, Modules, Old, Unclosable, Walk

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
    env = SubEnvs("walk", factories, backend, timeout=None if backend == "sync" else 1.5)
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
    assert env.failures == (1, mishap == "hang")
    env.close()


def test_restarts_are_counted_and_a_traceback_is_told_once(caplog):
    env = envs.gymnasium_env(lambda: Walk(every=2), num_envs=2, max_restarts=3)
    env.reset(0)
    for _ in range(7):
        env.step(ACTIONS)
    sentence = (
        "environment 0 of <lambda> failed once more after 3 restarts within 1,000 steps: "
        "ArithmeticError: the walker fell"
    )
    with pytest.raises(envs.EnvFailed, match=f"^{sentence}$") as refusal:
        env.step(ACTIONS)
    assert refusal.value.details.startswith("Traceback")
    assert len([r for r in caplog.records if "environment 0" in r.getMessage()]) == 3
    assert caplog.text.count("Traceback") == 1
    assert env.failures == (6, 0)


@pytest.mark.parametrize(("every", "lives"), [(400, True), (300, False)])
def test_restarts_are_those_within_a_thousand_steps(every, lives, caplog):
    env = envs.gymnasium_env(lambda: Walk(every=every), max_restarts=3)
    env.reset(0)
    outlived = 0
    with contextlib.suppress(envs.EnvFailed):
        for _ in range(2_400):
            env.step(ACTIONS[:1])
            outlived += 1
    assert outlived == (2_400 if lives else 1_199)
    assert env.failures.restarts == (6 if lives else 3)


@pytest.mark.parametrize("backend", ["sync", "process"])
def test_an_environment_that_can_never_begin_says_so_once(backend, caplog):
    class Broken(Walk):
        def reset(self, *, seed=None, options=None):
            raise ZeroDivisionError

    env = SubEnvs("broken", [Walk, Broken, Broken], backend)
    with pytest.raises(
        envs.EnvFailed, match=r"^environment 1 of broken failed at 4 starts in a row: ZeroDivisionError$"
    ):
        env.reset(0)
    (record,) = caplog.records
    assert record.getMessage().startswith("Traceback")
    assert record.getMessage().count("Traceback") == 1
    env.close()


@pytest.mark.parametrize("backend", ["sync", "thread", "process"])
def test_an_environment_that_does_not_close_well_is_told_and_the_others_are_closed(backend, caplog):
    env = SubEnvs("room", [Unclosable, Unclosable], backend)
    env.reset(0)
    env.close()
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"environment {index} of room failed to close: LookupError: the door is stuck" for index in (0, 1)]


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
    env = envs.gymnasium_env(Answers(reward=None))
    env.reset(0)
    np.testing.assert_array_equal(env.step(ACTIONS[:1]).reward, [np.nan])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"reward": np.array([1.0, 2.0])}, r"the reward of step 1 of an episode is array\(\[1., 2.\]\), expected one"),
        ({"reward": "1"}, "the reward of step 1 of an episode is '1', expected one number"),
        ({"reward": np.array([])}, "the reward of step 1 .* expected one number"),
        ({"terminated": None}, "terminated of step 1 of an episode is None, expected True or False"),
        ({"truncated": np.array([True, False])}, "truncated of step 1 .* expected True or False"),
    ],
)
def test_what_is_not_one_number_is_a_failure_of_its_environment(answer, message):
    env = envs.gymnasium_env([Answers(), Answers(**answer)], max_restarts=0)
    env.reset(0)
    with pytest.raises(envs.EnvFailed, match="environment 1 of Answers failed once more after 0 restarts") as refusal:
        env.step(ACTIONS)
    assert re.search(message, str(refusal.value))


SMALL = spaces.Box(0, 255, (1,), np.uint8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Answers(observation=None), r"an observation is None, its space says float32 of shape \(1,\)"),
        (lambda: Answers(observation="left"), "an observation is 'left', its space says float32"),
        (lambda: Answers(observation=np.zeros(2)), r"an observation has shape \(2,\), its space says \(1,\)"),
        (lambda: Answers(observation=[0.5], space=SMALL), r"an observation is array\(\[0.5\]\), its space says uint8"),
        (lambda: Answers(observation=[256], space=SMALL), r"an observation is array\(\[256\]\), its space says uint8"),
        (
            lambda: Answers(observation={"a": 0}, space=spaces.Dict({"b": SMALL})),
            "its space says values named b",
        ),
        (lambda: Answers(observation=[[0]], space=spaces.Tuple([SMALL, SMALL])), "its space says values numbered 0, 1"),
        (lambda: Answers(reward=10**400), "OverflowError: int too large to convert to float"),
        (lambda: Old("step"), "its step gives 4 values, expected five: .* as environments give since Gym 0.26"),
    ],
)
def test_what_is_not_of_the_api_is_a_failure_of_its_environment(make, message, caplog):
    for at in ("reset", "step"):
        one = make()
        if at == "reset":
            one._observations["reset"] = one._observations["step"]
        env = envs.gymnasium_env([one], max_restarts=0)
        with pytest.raises(envs.EnvFailed, match=rf"^environment 0 of \w+ failed once more after 0.*{message}"):
            env.step(env.reset(0)[:, 0].astype(int))


@pytest.mark.parametrize("backend", ["thread", "process"])
def test_it_is_that_in_every_backend(backend, caplog):
    env = SubEnvs("room", [functools.partial(Answers, observation=None, at="reset")], backend, max_restarts=1)
    with pytest.raises(envs.EnvFailed, match=r"room failed once more after 1 .*: an observation is None, its space"):
        env.reset(0)
    env.close()


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("reset", r"its reset gives array\(\[0.\], dtype=float32\), expected an observation and a dict"),
        ("seed", "its reset takes no seed, which environments do since Gym 0.26"),
    ],
)
def test_what_is_older_than_the_api_is_named(way, message, caplog):
    with pytest.raises(
        envs.EnvFailed, match=f"^environment 0 of Old failed at 4 starts in a row: ValueError: {message}"
    ):
        envs.gymnasium_env(Old(way)).reset(0)


def test_observations_of_another_dtype_are_good_where_the_values_are():
    for observation in ([3], np.array([3]), np.float64([3]), (np.int8(3),)):
        env = envs.gymnasium_env([Answers(observation=observation, space=SMALL)])
        env.reset(0)
        seen = env.step(ACTIONS[:1]).observation
        np.testing.assert_array_equal(seen, [[3]])
        assert seen.dtype == np.uint8


@pytest.mark.parametrize(
    "space",
    [spaces.Box(-1, 1, (0,)), spaces.Box(-1, 1, (3, 0)), spaces.Dict({}), spaces.Tuple([spaces.Box(0, 1, (0,))])],
)
def test_spaces_without_elements_are_refused_by_name(space):
    env = Answers()
    env.observation_space = space
    with pytest.raises(ValueError, match=r"Answers cannot be made: .*is not supported: its elements hold no number"):
        envs.gymnasium_env(env)
    env.observation_space, env.action_space = SMALL, spaces.Box(-1, 1, (0,))
    with pytest.raises(ValueError, match=r"Answers cannot be made: .*is not supported: its elements hold no number"):
        envs.gymnasium_env(env)


def test_environments_in_turn_are_given_up_between_two(caplog):
    env = envs.gymnasium_env([Walk(), Walk()])
    env.reset(0)
    env.give_up = lambda: True
    for ask in (lambda: env.reset(0), lambda: env.step(ACTIONS)):
        with pytest.raises(worker.GivenUp):
            ask()
    env.give_up = lambda: False
    assert env.reset(0).shape == (2, 1)


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


def test_an_environment_that_ends_the_program_is_told(caplog):
    class Leaving(Walk):
        def step(self, action):
            sys.exit(0)

    env = envs.gymnasium_env(Leaving)
    env.reset(0)
    with pytest.raises(SystemExit):
        env.step(ACTIONS[:1])
    assert caplog.messages[0].startswith("the program is ended while an environment is at work:")
    threaded = SubEnvs("leaving", [Leaving], "thread", max_restarts=0)
    threaded.reset(0)
    with pytest.raises(
        envs.EnvFailed, match=r"leaving failed once more after 0 restarts within 1,000 steps: SystemExit: 0$"
    ):
        threaded.step(ACTIONS[:1])


@pytest.mark.parametrize("backend", ["sync", "process"])
def test_an_environment_that_never_makes_a_step_is_given_up_soon_and_told_without_our_files(backend, caplog):
    env = SubEnvs("walk", [Walk, functools.partial(Walk, every=1)], backend)
    env.reset(0)
    for _ in range(3):
        env.step(ACTIONS)
    sentence = "environment 1 of walk failed in 4 steps in a row: ArithmeticError: the walker"
    with pytest.raises(envs.EnvFailed, match=sentence):
        env.step(ACTIONS)
    first = caplog.records[0].getMessage().splitlines()
    assert first[1:3] == [
        "Traceback (most recent call last):",
        f'  File "{Walk.step.__code__.co_filename}", line 112, in step',
    ]
    assert len(caplog.records) == 3


def test_what_our_own_look_at_an_environment_finds_is_told_without_a_traceback(caplog):
    env = envs.gymnasium_env(lambda: Answers(observation=np.zeros(2)))
    env.step(env.reset(0)[:, 0].astype(int))
    assert (
        "made again, 1 of at most 10 times within 1,000 steps: ValueError: an observation has shape (2,)" in caplog.text
    )
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0.0, 1.0]), r"walk: the actions are array\(\[0., 1.\]\), expected integers of Discrete\(2\)"),
        (0, r"walk: the actions have shape \(\), expected \(2,\)"),
        (np.zeros([2, 1], int), r"walk: the actions have shape \(2, 1\), expected \(2,\)"),
    ],
)
def test_actions_that_no_environment_takes_are_refused_and_no_failure_of_theirs(actions, message):
    env = SubEnvs("walk", [Walk, Walk])
    with pytest.raises(ValueError, match="walk: step was called before reset"):
        env.step(ACTIONS)
    env.reset(0)
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env.failures == (0, 0)


def test_environments_of_a_function_have_others_like_them_to_be_judged_in():
    env = envs.gymnasium_env(lambda: Walk(), num_envs=2)
    judged = registry.judged_like(env, 3)
    assert (judged.num_envs, judged.reset(0).shape) == (3, (3, 1))
    one = Walk()
    with pytest.raises(ValueError, match="its function gives an environment that is trained in, expected a new one"):
        registry.judged_like(envs.gymnasium_env(lambda: one), 1)


def test_an_environment_that_takes_no_step_at_all_is_given_up_soon(caplog):
    env = envs.gymnasium_env(lambda: Walk(every=1), num_envs=1)
    env.reset(0)
    for _ in range(3):
        env.step(ACTIONS[:1])
    with pytest.raises(
        envs.EnvFailed, match=r"environment 0 of <lambda> failed in 4 steps in a row: Arithm.*the walker"
    ):
        env.step(ACTIONS[:1])
    assert len(caplog.records) == 3
