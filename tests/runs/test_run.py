"""A run is an object that any agent and any environment can enter."""

import dataclasses
import inspect
import json
import math
import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import agents, envs, runs
from rl_fn.agents.dqn import DQNHParams
from rl_fn.runs import Run, RunConfig, checkpoint
from rl_fn.runs import folder as folders
from tests.envs.host.environments import Count
from tests.runs import tiny

STEPS = 640  # of 8 each iteration: 80 iterations, 20 evaluations
SMALL = {"eval_episodes": 3, "eval_interval": 32, "checkpoint_seconds": 3600.0}


@pytest.fixture(scope="module")
def env():
    return envs.make("Catch-bsuite")


def make(env, folder, **settings):
    return Run(tiny.agent(), env, folder, **{"train_steps": STEPS, **SMALL, **settings})


@pytest.fixture(scope="module")
def whole(env, tmp_path_factory):
    """A run from its start to its end, and its reports."""
    run = make(env, tmp_path_factory.mktemp("whole"))
    return run, list(run)


class Watch:
    """A reporter that keeps what it is told, and fails where it is asked to."""

    def __init__(self, failing=""):
        self.told, self._failing = [], failing

    def __getattr__(self, name):
        if name not in ("start", "report", "close"):
            raise AttributeError(name)

        def tell(*args):
            self.told.append(name)
            if name == self._failing:
                raise OSError("the disk is full")

        return tell


def iterations(run):
    return checkpoint.list_iterations(run.folder() / "checkpoints")


def test_iterating_trains_and_reports(whole):
    run, reports = whole
    assert [report.env_steps for report in reports] == [8 * report.iteration for report in reports]
    assert reports[-1].env_steps == run.env_steps == run.total_steps == STEPS
    assert {"seen", "episode_return", "episode_length", "episode_count"} == set(reports[-1].metrics)
    evaluated = [report for report in reports if report.evaluation]
    assert [report.env_steps for report in evaluated] == list(range(32, STEPS + 1, 32))
    assert all(report.is_pause == bool(report.evaluation) for report in reports)
    np.testing.assert_array_equal(evaluated[-1].evaluation.lengths, [9, 9, 9])
    lengths = [report.episodes.episode_length for report in reports if report.episodes.count]
    np.testing.assert_array_equal(lengths, 9)
    assert run.policy == 80


def test_it_leaves_its_files(whole):
    run, reports = whole
    names = {path.name.partition(".")[0] for path in run.folder().iterdir()}
    assert names == {"config", "events", "metrics", "checkpoints", "summary"}
    assert json.loads((run.folder() / "summary.json").read_text()) == run.summary
    assert run.summary["eval_return_mean"] == reports[-1].evaluation.returns.mean()
    assert (run.summary["env"], run.summary["env_steps"], run.summary["updates"]) == ("Catch-bsuite", STEPS, 80)
    state = checkpoint.load(checkpoint.path_of(run.folder() / "checkpoints", 80))
    assert state.leaves["agent/policy"] == 80


def test_a_finished_run_has_nothing_left(whole, env):
    run, _ = whole
    again = make(env, run.config.output_dir)
    assert list(again) == []
    assert again.summary == run.summary
    assert again.policy == run.policy
    assert again.notes == [f"{run.config.output_dir} holds this run, finished; nothing to do"]


def test_one_that_was_left_early_goes_on_with_the_same_bits(whole, env, tmp_path):
    run = make(env, tmp_path)
    for report in run:
        if report.iteration > 20:
            break
    left = run.iteration
    assert iterations(run) == [left]
    for report in run:  # the same object
        assert report.iteration > left
        left = report.iteration
        if left > 40:
            break
    again = make(env, tmp_path)  # another, as in another process
    again.start()
    assert again.iteration == left
    assert again.notes == [f"going on from the checkpoint at {8 * left} steps in {tmp_path}"]
    assert [report.iteration > left for report in again]
    assert again.summary["state_digest"] == whole[0].summary["state_digest"]
    assert again.summary["eval_return_mean"] == whole[0].summary["eval_return_mean"]


def test_a_fault_in_the_loops_body_loses_nothing(env, tmp_path):
    run = make(env, tmp_path, eval_episodes=0)

    def fall():
        for report in run:
            if report.iteration > 20:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fall()
    assert iterations(run) == [run.iteration]


def test_any_thread_can_stop_it_soon(env, tmp_path):
    run = make(env, tmp_path, train_steps=10**9, eval_episodes=0)
    timer = threading.Timer(0.5, run.stop)
    timer.start()
    reports = list(run)
    assert run.summary is None
    assert 0 < run.env_steps < run.total_steps
    assert iterations(run)[-1] == run.iteration == reports[-1].iteration
    assert list(run) == []  # stopped for good
    again = make(env, tmp_path, train_steps=10**9, eval_episodes=0)
    again.stop()
    assert list(again) == []
    assert again.iteration == run.iteration


def test_many_run_in_one_process(whole, env, tmp_path):
    found = {}

    def train(seed):
        run = make(env, tmp_path / str(seed), seed=seed)
        found[seed] = len(list(run)), run.summary["state_digest"]

    threads = [threading.Thread(target=train, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0][1] == whole[0].summary["state_digest"] != found[1][1]


def test_it_prints_nothing_and_leaves_signals_alone(env, tmp_path, capfd):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for _ in make(env, tmp_path, train_steps=64):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert capfd.readouterr().out == ""


def test_reporters_watch_from_the_start_to_the_end(env, tmp_path):
    watch = Watch()
    reports = list(make(env, tmp_path, train_steps=64, eval_episodes=0, reporters=[watch]))
    assert watch.told == ["start", *["report"] * len(reports), "close"]
    assert not list((tmp_path / "run_0").glob("events*"))  # the list is in place of TensorBoard


@pytest.mark.parametrize(
    ("failing", "message", "saved"),
    [
        ("start", "reporter Watch failed in start at 0 steps: the disk is full", []),
        ("report", "reporter Watch failed in report at 8 steps: the disk is full", [1]),
        ("close", "reporter Watch failed in close at 64 steps: the disk is full", [8]),
    ],
)
def test_a_reporter_that_fails_is_named_and_loses_nothing(env, tmp_path, failing, message, saved):
    good = Watch()
    run = make(env, tmp_path, train_steps=64, eval_episodes=0, reporters=[good, Watch(failing)])
    with pytest.raises(runs.ReporterError, match=message) as error:
        list(run)
    assert isinstance(error.value.__cause__, OSError)
    assert good.told[-1] == "close"
    assert iterations(run) == saved


def test_no_evaluations(env, tmp_path):
    run = make(env, tmp_path, train_steps=64, eval_episodes=0)
    assert not any(report.evaluation for report in run)
    assert run.summary["eval_return_mean"] is None


def test_copies_are_what_they_are_alone(whole, env, tmp_path):
    run = make(env, tmp_path, copies=2)
    report = list(run)[-1]
    assert report.metrics["seen"].shape == (2,)
    assert report.evaluation.returns.shape == (2, 3)
    assert [summary["seed"] for summary in run.summaries] == [0, 1]
    assert run.summaries[0]["state_digest"] == whole[0].summary["state_digest"] != run.summaries[1]["state_digest"]
    np.testing.assert_array_equal(run.policy, [80, 80])
    assert run.policy_of(1) == 80
    with pytest.raises(ValueError, match="run_1 exists: the folder holds a run of more than 1 copies"):
        make(env, tmp_path)


def test_another_runs_folder_is_refused_before_anything_is_written(whole, env):
    folder = whole[0].config.output_dir
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for settings, message in [
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"train_steps": 320}, "train_steps was 640, and can be made more, not 320"),
        ({"hparams": {"gamma": 0.5}}, "gamma was None and is now 0.5"),
    ]:
        with pytest.raises(ValueError, match=f"holds another run: {message}"):
            make(env, folder, **settings)
    make(env, folder, eval_episodes=7, checkpoint_seconds=1.0)  # it is not another
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_of_another_agents_run_no_hyper_parameters_are_listed():
    before = {"agent": "ppo", "env": "A", "hparam_override": {"clip": 0.2}}
    now = {"agent": "dqn", "env": "B", "hparam_override": {"epsilon": 0.1}}
    with pytest.raises(ValueError, match=r"another run: agent was dqn and is now ppo, env was B and is now A$"):
        folders.check_identity("x", folders.identity(now), before)


def test_the_folder_of_a_run_that_never_began_is_taken(env, tmp_path):
    (tmp_path / "run_0").mkdir()
    (tmp_path / "run_0" / "config.json").write_text('{"agent": "dqn"}')
    run = make(env, tmp_path)
    run.start()
    assert RunConfig.read(tmp_path) == run.config


def test_settings_that_disagree_are_refused(env, tmp_path):
    hparams = DQNHParams(train_steps=1_000, num_envs=2, rollout_length=4)
    for settings, message in [
        ({"train_steps": None}, "train_steps is None, expected the environment steps of the run"),
        ({"train_steps": 0}, "train_steps is 0, expected an integer from 1"),
        ({"train_steps": 500, "hparams": hparams}, "train_steps is 500, and that of hparams 1000"),
        (
            {"train_steps": None, "hparams": hparams.override(num_envs=3)},
            r"the agent is for Schedule\(num_envs=2.*, and hparams are for Schedule\(num_envs=3",
        ),
        ({"hparams": 3}, "hparams is 3, expected a struct of hyper-parameters or a dict"),
        ({"seed": -1}, "seed is -1, expected an integer"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(env, tmp_path / "new", **settings)
    for folder in (None, 3, ""):
        with pytest.raises(ValueError, match=f"output_dir is {folder!r}, expected a folder"):
            make(env, folder)
    assert make(env, tmp_path / "new", train_steps=None, hparams=hparams).total_steps == 1_000
    assert not (tmp_path / "new").exists()


def test_a_scripts_own_agent_has_no_name_in_the_config(env, tmp_path):
    hparams = DQNHParams(train_steps=64, num_envs=2, rollout_length=4).override(gamma=tf.constant(0.5))
    run = Run(tiny.agent(), env, tmp_path, hparams=hparams, eval_episodes=0)
    list(run)
    content = json.loads((run.folder() / "config.json").read_text())
    assert (content["agent"], content["hparams"], content["env"]) == (None, None, "Catch-bsuite")
    assert (content["train_steps"], content["hparam_override"]["gamma"]) == (64, 0.5)
    with pytest.raises(ValueError, match="is the run of an agent without a name: only its script can make it"):
        Run.from_config(RunConfig.read(tmp_path))
    with pytest.raises(ValueError, match="was trained by an agent without a name: give agent and env"):
        runs.load(tmp_path)
    loaded = runs.load(tmp_path, agent=tiny.agent(), env=env)
    assert (loaded.policy.params, loaded.env_steps) == (8, 64)


def test_defaults_are_those_of_the_config():
    arguments = inspect.signature(Run).parameters
    for item in dataclasses.fields(RunConfig):
        if item.name in arguments and item.name not in ("agent", "env", "output_dir"):
            assert arguments[item.name].default in (item.default, None), item.name


def test_what_is_no_agent_no_environment_and_no_reporter_is_refused_at_once(tmp_path):
    agent, env = tiny.agent(), envs.make("CartPole-v1")
    for arguments, kwargs, message in [
        (
            (agent._replace(schedule=(4, 8)), env),
            {},
            r"the agent's schedule is a tuple, expected rl.agents.base.Schedule\(num_envs, rollout_length\)",
        ),
        ((agents.ppo, env), {}, r"agent is the module rl_fn.agents.ppo, expected an Agent, such as rl.agents.ppo.make"),
        ((agent, "CartPole-v1"), {}, r"expected an environment, such as rl.envs.make\('CartPole-v1'\)"),
        (
            (agent, Count(2)),
            {},
            r"env is a Count, expected one of rl.envs.make, or rl.envs.gymnasium_env\(function, num",
        ),
        ((agent, env), {"reporters": [print]}, r"a reporter is a builtin_function_or_method without start and report"),
    ]:
        with pytest.raises(TypeError, match=message):
            Run(*arguments, tmp_path / "none", train_steps=8, **kwargs)
    assert not (tmp_path / "none").exists()


def counting(num_envs):
    return envs.gymnasium_env([Count(length) for length in range(2, 2 + num_envs)])


def test_host_environments_bring_others_to_be_judged_in(tmp_path):
    with pytest.raises(ValueError, match="Count was handed over as it is, so that the run cannot make more of it"):
        make(counting(2), tmp_path / "refused")
    assert not any(report.evaluation for report in make(counting(2), tmp_path / "none", eval_episodes=0))
    made = []

    def make_judged(num_envs):
        made.append(counting(num_envs))
        return made[-1]

    report = list(make(counting(2), tmp_path / "function", eval_env=make_judged))[-1]
    np.testing.assert_array_equal(report.evaluation.lengths, [2, 3, 2])
    assert [env.num_envs for env in made] == [2]
    report = list(make(counting(2), tmp_path / "object", eval_env=counting(1)))[-1]
    np.testing.assert_array_equal(report.evaluation.lengths, [2, 2, 2])


@pytest.mark.parametrize("number", [3, 20])
def test_an_evaluation_that_was_broken_off_is_made_up_for(tmp_path, number):
    """Of twenty, one each 32 steps; the last one comes with the summary."""
    begun = []

    def make_judged(num_envs):
        env = counting(num_envs)
        reset, step = env.reset, env.step

        def resetting(seed):
            begun.append(seed)
            return reset(seed)

        def stepping(actions):
            if len(begun) == number:
                run.stop()
            return step(actions)

        env.reset, env.step = resetting, stepping
        return env

    run = make(counting(2), tmp_path, eval_env=make_judged)
    reports = list(run)
    assert run.summary is None
    assert (reports[-1].env_steps, reports[-1].is_pause) == (32 * number - 8, False)  # what it has in full
    assert iterations(run)[-1] == 4 * number
    again = make(counting(2), tmp_path, eval_env=counting)
    first, *others = list(again)
    assert (first.env_steps, set(first.agent_metrics)) == (32 * number, {"seen"})
    np.testing.assert_array_equal(first.evaluation.lengths, [2, 3, 2])
    evaluated = [report.env_steps for report in [first, *others] if report.evaluation]
    assert evaluated == list(range(32 * number, STEPS + 1, 32))
    assert again.summary["eval_return_mean"] is not None


def test_host_environments_that_have_a_name_are_made_again(tmp_path):
    env = envs.make("gymnasium:CartPole-v1", 2, max_episode_steps=7)
    with Run(tiny.agent(), env, tmp_path, train_steps=160, **SMALL) as run:
        report = list(run)[-1]
    np.testing.assert_array_equal(report.evaluation.lengths, 7)
    env.step(np.array([0, 1]))  # the run leaves open what it did not make
    env.close()
    with pytest.raises(ValueError, match="copies is 2, expected 1: gymnasium:CartPole-v1 is stepped on the host"):
        make(env, tmp_path / "new", copies=2)


def test_kinds_of_environments_do_not_mix(env, tmp_path):
    with pytest.raises(ValueError, match="Catch-bsuite is compiled, expected an eval_env that is compiled, too"):
        make(env, tmp_path, eval_env=counting(2))
    with pytest.raises(ValueError, match="Count is stepped on the host, expected an eval_env that is, too"):
        make(counting(2), tmp_path, eval_env=env)


def test_a_speed_is_finite(whole):
    assert all(math.isfinite(report.steps_per_second) for report in whole[1])
    assert [report.compiled for report in whole[1][:2]] == [True, False]
