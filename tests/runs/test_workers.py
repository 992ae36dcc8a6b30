"""What of a run with workers needs no Ray."""

import logging
import os
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from rl_fn.agents import r2d2
from rl_fn.runs import Run, RunConfig
from rl_fn.runs.acting import Acting
from rl_fn.runs.cluster import EXTRA, sweep
from rl_fn.runs.lock import NAME as LOCK
from rl_fn.runs.lock import Lock
from rl_fn.runs.sharing import Sharer
from rl_fn.runs.worker import Assignment, Worker


def config(folder, **settings):
    return RunConfig(**{"hparams": "dqn_cartpole", "output_dir": folder, "num_workers": 2, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_workers": 3}, "num_workers is 3, expected a divisor of num_envs = 4"),
        ({"copies": 2, "num_workers": 3}, "num_workers is 3, expected at most copies = 2, which they share out"),
        ({"copies": 2, "max_policy_lag": 1}, "max_policy_lag is 1, expected none with copies = 2: a worker acts and"),
        ({"copies": 2, "sync": True}, "copies is 2, expected 1 with sync, where workers share each step of one run"),
        (
            {"copies": 2, "env": "gymnasium:CartPole-v1"},
            "copies is 2, expected 1: gymnasium:CartPole-v1 is stepped on the host",
        ),
        (
            {"hparams": "world_models_carracing", "env": "PendulumPixels-v1", "hparam_override": "population=4"},
            "controller_training is 'environment', expected 'dream' where workers share out the environments",
        ),
    ],
)
def test_what_cannot_be_shared_out_is_refused(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Run.from_config(config(tmp_path / "new", **{"hparam_override": "num_envs=4", **settings}))
    assert not (tmp_path / "new").exists()


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="num_workers is 2") as caught:
        Run.from_config(config(tmp_path / "new", hparam_override="num_envs=4"))
    assert str(caught.value) == f"num_workers is 2, and Ray, which more than one needs, is not installed: {EXTRA}"
    assert EXTRA == 'pip install "rl-fn[workers]"'


def test_folders_of_killed_rays_are_deleted_and_those_in_use_are_not(tmp_path):
    for name in ("rl-fn-killed", "rl-fn-in-use", "rl-fn-new", "of-another"):
        (tmp_path / name / "session").mkdir(parents=True)
    for name in ("rl-fn-killed", "of-another"):
        (tmp_path / name / LOCK).touch()
    held = Lock(tmp_path / "rl-fn-in-use")
    sweep(tmp_path)
    held.release()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of-another", "rl-fn-in-use", "rl-fn-new"]


def test_each_worker_has_the_epsilons_of_its_own_environments():
    hparams = r2d2.R2D2HParams(num_envs=8, epsilon_initial=0.4, epsilon_final=0.4**8)
    zero = tf.constant(0)
    whole = hparams.epsilon(zero, 8)
    parts = [hparams.of_actors(first, 2).epsilon(zero, 2) for first in range(0, 8, 2)]
    np.testing.assert_allclose(tf.concat(parts, axis=0), whole, rtol=1e-5)
    alone = [hparams.of_actors(first, 1).epsilon(zero, 1) for first in range(8)]
    np.testing.assert_allclose(tf.concat(alone, axis=0), whole, rtol=1e-5)
    linear = hparams.override(epsilon_schedule="linear")
    assert linear.of_actors(2, 2) is linear


def test_workers_their_successors_and_those_of_a_resumed_run_act_each_in_their_own_way(tmp_path):
    overrides = "num_envs=4,rollout_length=8,hidden_sizes=(8,)"
    settings = config(tmp_path, env="gymnasium:CartPole-v1", hparam_override=overrides).resolved()
    acted = []
    for numbers in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 5)]:
        acting = Acting(settings.to_json(), *numbers, threading.Event().is_set)
        policy = np.zeros(acting._policy.size, np.uint8)
        trajectory, episodes = acting.rollout(policy, 0)
        acted.append(acting._trajectory.unpack(trajectory))
        assert acted[-1].reward.shape == (8, 2)
        assert len(episodes) == 3
        acting.close()
    assert len({one.observation.tobytes() for one in acted}) == 4


def test_a_compiled_environment_stays_in_the_state_or_out_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("rl_fn.runs.cluster.check_installed", lambda num_workers: None)
    settings = {"hparam_override": "num_envs=4,hidden_sizes=(8,)", "train_steps": 64, "eval_episodes": 0}
    settings = {**settings, "checkpoint_seconds": 0.0}
    alone = Run.from_config(config(tmp_path / "alone", num_workers=1, **settings))
    next(iter(alone))
    told = r"^num_workers is 2, expected 1, or sync, as in .*: CartPole-v1 is compiled, and part of its checkpoints$"
    with pytest.raises(ValueError, match=told):
        Run.from_config(config(tmp_path / "alone", **settings)).start()
    shared = Run.from_config(config(tmp_path / "shared", **settings))
    shared.start()
    shared.iteration = 1
    with shared._storage.locked():
        shared._save()
    told = r"^num_workers is 1, expected more than 1, without sync, as in .*: CartPole-v1 is compiled, and no part of"
    with pytest.raises(ValueError, match=told):
        Run.from_config(config(tmp_path / "shared", num_workers=1, **settings)).start()


def test_workers_in_lockstep_leave_accelerators_to_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("rl_fn.runs.sharing.import_tensorflow", lambda compilation_cache: None)
    settings = {**config(tmp_path).resolved().to_json(), "env": "CartPole-v9"}
    assert "unknown environment 'CartPole-v9'" in Sharer(settings, 1, 2).load()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_what_a_worker_cannot_do_is_its_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("rl_fn.runs.worker.ENVIRONMENT", {})  # of a process of its own
    settings = config(tmp_path).resolved().to_json()
    worker = Worker(Assignment({**settings, "env": "CartPole-v9"}, 0, 0, 0))
    trajectory, acted = worker.rollout(np.zeros(10, np.uint8), 0)
    logging.getLogger("rl_fn").removeHandler(worker._told)
    assert trajectory.size == 0
    assert acted.error[0] == "ValueError"
    assert "unknown environment 'CartPole-v9'" in acted.error[1]
