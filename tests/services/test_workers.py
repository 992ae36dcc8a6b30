"""Workers: processes of Ray that act, while this one learns."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from rl_fn import loops
from rl_fn._src.loops.lanes import Lanes
from rl_fn.envs.host.failures import EnvFailed, Failures
from rl_fn.runs import Run, RunConfig, RunError, checkpoint, cluster
from rl_fn.runs.fleet import Patience, RayFleet
from tests.services.replaying import Replaying

STORE_BYTES = 10**8  # of the object store, the least that a Ray of our own has
POLICY = np.full(10, 7, np.uint8)


@pytest.fixture(scope="module")
def ray():
    with cluster.connected(4, None, STORE_BYTES) as module:
        yield module


@pytest.fixture
def make_fleet(ray):
    """Makes a fleet of so many `Replaying` workers; more arguments of each by its number and generation."""
    remote = ray.remote(concurrency_groups={"watch": 1}, num_cpus=1)(Replaying)
    with contextlib.ExitStack() as stack:

        def make(num_workers, max_lag=None, more=lambda worker, generation: {}, **patience):
            make_worker = lambda worker, generation: remote.remote(worker, **more(worker, generation))
            lanes = Lanes(num_workers, max_lag, has_streams=False)
            fleet = RayFleet(ray, make_worker, num_workers, 3, lanes, Patience(**patience))
            stack.callback(fleet.close)
            return fleet

        yield make


def test_a_cluster_that_does_not_answer_is_told_at_once():
    begin = time.monotonic()
    with pytest.raises(RunError, match=r"^ray_address 127.0.0.1:1 cannot be reached: .*refused"):
        cluster.connected(2, "127.0.0.1:1", None).__enter__()
    assert time.monotonic() - begin < 20.0  # Ray itself takes minutes


def take(fleet, updates, seconds=60.0):
    """Takes and publishes so often; the workers whose rollouts came, and whether buffers were theirs."""
    end = time.monotonic() + seconds
    workers = []
    for update in range(updates):
        taken = fleet.take(lambda: time.monotonic() > end)
        assert all(np.all(piece.buffer == piece.worker) for piece in taken.pieces)
        workers += [piece.worker for piece in taken.pieces]
        fleet.publish(POLICY, update + 1)
    return workers


def pid_of(ray, fleet, worker):
    return ray.get(fleet._workers[worker].handle.pid.options(concurrency_group="watch").remote())


def test_the_slowest_worker_is_not_waited_for(make_fleet):
    fleet = make_fleet(2, 20, lambda worker, _: {"seconds": 30.0 * worker})
    fleet.publish(POLICY, 0)
    assert take(fleet, 5) == [0] * 10
    count, return_sum, length_sum = fleet.ended()
    assert (return_sum, length_sum) == (7 * count, 5 * count)
    assert count >= 10


def test_a_worker_that_was_killed_or_hangs_is_replaced_within_seconds_and_told(ray, make_fleet, caplog):
    fleet = make_fleet(2, 1, lambda worker, _: {"seconds": 0.05}, answer=2.0)
    fleet.publish(POLICY, 0)
    assert set(take(fleet, 20)) == {0, 1}
    os.kill(pid_of(ray, fleet, 0), signal.SIGKILL)
    os.kill(pid_of(ray, fleet, 1), signal.SIGSTOP)
    begin = time.monotonic()
    taken = []
    while not (fleet.failures.restarts == 6 and {0, 1} <= set(taken[-8:])):
        assert time.monotonic() - begin < 60.0
        taken += take(fleet, 1)
    assert fleet.failures == Failures(restarts=6, timeouts=3)  # three environments each
    assert any(text.startswith("worker 0 is replaced: ") for text in caplog.messages)
    assert "worker 1 is replaced: it did not answer for 2 seconds" in caplog.messages


def test_a_worker_that_dies_again_and_again_ends_the_run(make_fleet):
    fleet = make_fleet(1, 1, lambda worker, _: {"dies": True})
    fleet.publish(POLICY, 0)
    with pytest.raises(EnvFailed, match="worker 0 ended 3 times before its first rollout: "):
        take(fleet, 1)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (("EnvFailed", "Room-v0 failed in its step: boom"), EnvFailed, "worker 0: Room-v0 failed in its step: boom"),
        (("NonFiniteError", "the reward is nan"), loops.NonFiniteError, "the reward is nan, of worker 0"),
    ],
)
def test_what_ends_acting_ends_the_run(make_fleet, error, kind, message):
    fleet = make_fleet(1, 1, lambda worker, _: {"error": error})
    fleet.publish(POLICY, 0)
    with pytest.raises(kind, match=message):
        take(fleet, 1)


def test_a_full_object_store_fails_nothing(make_fleet):
    fleet = make_fleet(3, None, lambda worker, _: {"size": STORE_BYTES // 4})
    fleet.publish(POLICY, 0)
    time.sleep(2.0)  # nine rollouts fill it more than twice
    assert len(take(fleet, 6)) == 18


def config(folder, **settings):
    return RunConfig(
        **{
            "output_dir": folder,
            "num_workers": 2,
            "eval_episodes": 2,
            "checkpoint_seconds": 0.0,
            **settings,
        }
    )


@pytest.mark.slow
def test_ppo_learns_from_actors_that_are_an_update_behind(ray, tmp_path):
    with Run.from_config(config(tmp_path, hparams="ppo_cartpole", train_steps=100_000, eval_episodes=32)) as run:
        lags = [float(report.metrics["policy_lag"]) for report in run]
        assert np.mean(lags) > 0.5
        assert run.summaries[0]["eval_return_mean"] > 300.0


def test_ppo_trains_in_compiled_environments_and_outlives_its_workers(ray, tmp_path, caplog):
    settings = config(
        tmp_path,
        hparams="ppo_cartpole",
        hparam_override="num_envs=4,rollout_length=32,hidden_sizes=(16,)",
        train_steps=60 * 128,
    )
    with Run.from_config(settings) as run:
        for report in run:
            assert report.metrics["policy_lag"] <= 1.0
            if report.iteration == 20:
                ray.kill(run._runner._fleet._workers[0].handle)
    assert (run.summary["env_steps"], run.summary["updates"]) == (7_680, 60)
    assert run.summary["eval_episodes"] == 2
    files = {path.name for path in run.folder().iterdir()}
    assert {"config.json", "metrics.csv", "summary.json", "checkpoints"} <= files
    assert any(name.startswith("events.out.tfevents") for name in files)
    assert "learner_idle" in (run.folder() / "metrics.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_a_learner_that_was_killed_twice_goes_on_and_leaves_no_process(tmp_path):
    overrides = "num_envs=4,rollout_length=8,hidden_sizes=(16,),learning_starts=64,replay_capacity=1000"
    told = ["--hparams", "dqn", "--env", "gymnasium:CartPole-v1", "--hparam_override", overrides]
    length = ["--train_steps", "4800", "--eval_episodes", "0", "--checkpoint_seconds", "0", "--num_workers", "2"]
    command = [sys.executable, "-m", "rl_fn", "train", "--output_dir", str(tmp_path), *told, *length]
    saved = lambda: max(checkpoint.list_iterations(tmp_path / "run_0" / "checkpoints"), default=0)
    newest = 0
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 240.0  # a busy machine takes long to start
        while saved() < newest + 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.1)
        others = psutil.Process(process.pid).children(recursive=True)
        assert len(others) >= 4  # those of Ray, and the workers
        process.kill()
        _, said = process.communicate()
        assert psutil.wait_procs(others, timeout=90.0)[1] == []
        assert not newest or f"going on from the checkpoint at {32 * newest:,} steps" in said
        newest = saved()
    settings = config(
        tmp_path,
        hparams="dqn",
        env="gymnasium:CartPole-v1",
        hparam_override=overrides,
        train_steps=4_800,
        eval_episodes=0,
    )
    with Run.from_config(settings) as run:
        run.start()
        assert run.iteration == newest < 150
        for _ in run:
            pass
    assert (run.summary["env_steps"], run.summary["updates"]) == (4_800, 150)
