"""Copies of a run over workers, processes of Ray: the folders and results of one process, also where one dies."""

import json
import os
import signal

import numpy as np
import pytest

from rl_fn.runs import Run, RunConfig, RunError, cluster

PPO = "num_envs=4,rollout_length=8,hidden_sizes=(8,),num_epochs=1,num_minibatches=2"
STORE_BYTES = 10**8  # of the object store, the least that a Ray of our own has


@pytest.fixture(scope="module", autouse=True)
def ray():
    with cluster.connected(3, None, STORE_BYTES) as module:
        yield module


def make(folder, **settings):
    ppo = {"hparams": "ppo_cartpole", "hparam_override": PPO, "train_steps": 16 * 32, "eval_episodes": 2}
    return Run.from_config(RunConfig(**{"output_dir": folder, "checkpoint_seconds": 0.0, **ppo, **settings}))


def trained(run):
    with run:
        for _ in run:
            pass
        return run.leaves(lambda name: "params" in name), run.summaries


def assert_close(actual, expected):
    for name, leaf in expected.items():
        np.testing.assert_allclose(actual[name], leaf, rtol=0, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory):
    return trained(make(tmp_path_factory.mktemp("one"), copies=3))


def test_copies_over_workers_outlive_these_and_come_to_what_programs_of_so_few_copies_do(
    in_one_process, tmp_path, caplog, monkeypatch
):
    with make(tmp_path / "spread", copies=3, num_workers=2) as run:
        for report in run:
            assert report.episodes.count.shape == (3,)
            if report.iteration == 3:
                os.kill(run._runner.workers[1].pid(), signal.SIGKILL)
        params, summaries = run.leaves(lambda name: "params" in name), run.summaries
    told = [text for text in caplog.messages if text.startswith("worker 1 is replaced, and copies 1 to 2 go on from")]
    assert len(told) == 1
    assert_close(params, in_one_process[0])
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # as a worker has: both copies in one program
    _, pair = trained(make(tmp_path / "pair", copies=2, seed=1))
    assert [one["state_digest"] for one in summaries[1:]] == [one["state_digest"] for one in pair]
    assert [(one["seed"], one["env_steps"]) for one in summaries] == [(0, 512), (1, 512), (2, 512)]
    for copy, summary in enumerate(summaries):
        folder = tmp_path / "spread" / f"run_{copy}"
        assert json.loads((folder / "summary.json").read_text()) == summary
        assert len((folder / "metrics.csv").read_text().splitlines()) > 10
        assert list(folder.glob("checkpoints/iteration_*"))
        assert list(folder.glob("events.out.tfevents.*"))
    assert not list((tmp_path / "spread").glob("run_3"))


def stopped(run, iteration):
    with run:
        for report in run:
            if report.iteration == iteration:
                run.stop()
    assert run.summaries is None
    assert run.iteration == iteration


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_over_another_number_of_workers_and_in_one_process(in_one_process, tmp_path):
    stopped(make(tmp_path, copies=3, num_workers=2), 4)
    stopped(make(tmp_path, copies=3, num_workers=3), 8)
    again = make(tmp_path, copies=3)
    again.start()
    assert again.iteration == 8
    params, summaries = trained(again)
    assert_close(params, in_one_process[0])
    assert [one["updates"] for one in summaries] == [16, 16, 16]


def test_what_a_program_cannot_do_ends_the_run_in_one_sentence(tmp_path):
    with make(tmp_path, copies=2, num_workers=2) as run:
        run._runner._settings["env"] = "CartPole-v9"
        with pytest.raises(RunError, match=r"^worker 0 failed: ValueError unknown environment 'CartPole-v9'"):
            list(run)
