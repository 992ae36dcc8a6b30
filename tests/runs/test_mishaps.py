"""Runs in environments that misbehave: what is saved, told and counted, and when they stop."""

import functools
import threading
import time

import gymnasium
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from rl_fn import envs, loops
from rl_fn.envs.host.sub_envs import SubEnvs
from rl_fn.runs import Run, checkpoint
from rl_fn.runs import host as runs_host
from tests.envs.host.environments import Count, Unmakeable, Walk
from tests.loops.test_host_failures import Turning
from tests.runs import tiny

STEPS = 640  # of 8 each iteration: 80 iterations, 20 evaluations


def make(folder, env, **settings):
    settings = {"train_steps": STEPS, "eval_episodes": 0, "eval_interval": 32, "checkpoint_seconds": 3600.0, **settings}
    return Run(tiny.agent(), env, folder, **settings)


def iterations(run):
    return checkpoint.list_iterations(run.folder() / "checkpoints")


def points(run, tag):
    events = EventAccumulator(str(run.folder()), size_guidance={"tensors": 0}).Reload()
    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"reward": np.nan}, loops.NonFiniteError, "the reward is nan, .* in step 90 of its episode and 90 in all"),
        ({"error": KeyError("door")}, envs.EnvFailed, "environment 1 of Count failed once more after 0 restarts"),
    ],
)
def test_what_was_learned_before_is_saved(changes, kind, message, tmp_path):
    run = make(tmp_path, envs.gymnasium_env([Count(), Turning(90, **changes)], max_restarts=0))
    with pytest.raises(kind, match=message):
        list(run)
    assert iterations(run) == [run.iteration] == [90 // 4]
    assert run.summary is None
    good = make(tmp_path, envs.gymnasium_env(Count, 2))
    list(good)
    assert good.summary["updates"] == 80


@pytest.mark.parametrize(
    ("changes", "kind"), [({"reward": np.nan}, loops.NonFiniteError), ({"error": KeyError()}, envs.EnvFailed)]
)
def test_so_it_is_where_an_evaluation_fails(changes, kind, tmp_path):
    judged = lambda num_envs: envs.gymnasium_env([Turning(20, length=3, **changes)], max_restarts=0)
    run = make(tmp_path, envs.gymnasium_env(Count, 2), eval_episodes=3, eval_env=judged)
    with pytest.raises(kind):
        list(run)
    assert iterations(run) == [run.iteration] == [12]  # its third evaluation, of nine steps each
    run.close()


def test_environments_to_evaluate_in_that_cannot_be_made_are_told(tmp_path):
    def make_judged(num_envs):
        return envs.gymnasium_env(Unmakeable, num_envs)

    run = make(tmp_path, envs.gymnasium_env(Count, 2), eval_episodes=2, eval_env=make_judged)
    with pytest.raises(
        envs.EnvFailed, match=r"^environments to evaluate in could not be made: Unmakeable cannot be made"
    ):
        list(run)
    assert iterations(run) == [4]


def test_failures_are_counted_over_training_evaluation_and_resumption(tmp_path, caplog):
    """A walk has 20 steps: one is judged in each of 20 evaluations, every fifth of which so fails, too."""

    def train(last):
        env = SubEnvs("walk", [Walk, functools.partial(Walk, every=50)])
        run = make(tmp_path, env, eval_episodes=1, eval_env=lambda _: SubEnvs("judged", [lambda: Walk(every=100)]))
        for report in run:
            if report.env_steps >= last:
                break
        run.close()
        return run, env.failures.restarts

    first, restarts = train(last=320)  # 160 of each environment
    assert restarts == 3
    half = [value for _, value in points(first, "env/restarts")]
    assert half == sorted(half)
    assert (half[0], half[-1]) == (0, 3 + 2)
    second, restarts = train(last=10**6)
    assert restarts == 3
    assert second.summary["env_restarts"] == points(second, "env/restarts")[-1][1] == 5 + 3 + 2
    assert second.summary["env_timeouts"] == points(second, "env/timeouts")[-1][1] == 0


def test_an_environment_that_does_not_close_well_leaves_the_run_finished(tmp_path, caplog):
    class Stuck:
        def __init__(self):
            self._env = envs.gymnasium_env(Count, 2)
            self.spec, self.num_envs, self.reset, self.step = (
                self._env.spec,
                2,
                self._env.reset,
                self._env.step,
            )

        def close(self):
            raise LookupError("the door is stuck")

    run = make(tmp_path, envs.gymnasium_env(Count, 2), eval_episodes=2, eval_env=lambda num_envs: Stuck())
    list(run)
    assert run.summary is not None
    assert caplog.messages == ["Count failed to close: LookupError: the door is stuck"]


def test_that_episodes_have_no_limit_is_told(tmp_path):
    told = "Count sets its episodes no limit: evaluations cut them off after 10,000 steps"
    assert make(tmp_path, envs.gymnasium_env(Count, 2), eval_episodes=2, eval_env=lambda n: None).notes == [told]
    assert make(tmp_path, envs.gymnasium_env(Count, 2)).notes == []
    limited = envs.gymnasium_env(lambda: gymnasium.wrappers.TimeLimit(Count(), 6), 2)
    assert make(tmp_path, limited, eval_episodes=2, eval_env=lambda n: None).notes == []


def test_an_environment_that_never_ends_an_episode_is_left_when_told(tmp_path):
    def make_judged(num_envs):
        threading.Timer(0.5, stop).start()
        return endless(num_envs)

    def stop():
        told.append(time.monotonic())
        run.stop()

    told = []

    endless = lambda num_envs: envs.gymnasium_env(lambda: Count(10**9), num_envs)
    run = make(tmp_path, endless(2), eval_episodes=10**6, eval_env=make_judged)
    assert [report.iteration for report in run][-1] < 4  # an evaluation comes with the fourth
    assert time.monotonic() - told[0] < 10
    assert iterations(run) == [4]
    run.close()


def test_what_keeps_a_run_from_stopping_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(runs_host, "PATIENCE_SECONDS", 0.2)

    class Waiting(Count):
        def step(self, action):
            run.stop()
            deadline = time.monotonic() + 10
            while not caplog.messages and time.monotonic() < deadline:
                time.sleep(0.01)
            return super().step(action)

    run = make(tmp_path, envs.gymnasium_env([Count(), Waiting()]))
    list(run)
    (text,) = caplog.messages
    assert text.startswith("environment 1 of Count has not answered for the 0.2 seconds since the run was told to stop")
    assert run.iteration == 0
