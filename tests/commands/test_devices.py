"""`--devices 2` on logical CPUs, which only a process of its own can have."""

import os
import signal
import time

import numpy as np
import pytest

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.runs import devices
from tests.commands.processes import finish, start, summary, train

SHARED = ["--devices", "2", "--checkpoint_seconds", "0", "--quiet"]
SETTINGS = {"steps": 2_048, "override": "num_envs=4,num_minibatches=2,num_epochs=1"}


def test_killed_and_started_again_on_two_devices(tmp_path):
    whole = start(*train(tmp_path / "whole", *SHARED, **SETTINGS))
    assert finish(whole)[0] == 0
    killed = start(*train(tmp_path / "killed", *SHARED, **SETTINGS))
    checkpoints = tmp_path / "killed" / "run_0" / "checkpoints"
    deadline = time.monotonic() + 240
    while not list(checkpoints.glob("iteration_*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    finish(killed)
    assert not (tmp_path / "killed" / "run_0" / "summary.json").exists()
    code, _, error = finish(start(*train(tmp_path / "killed", *SHARED, **SETTINGS)))
    assert code == 0
    assert "going on from the checkpoint" in error
    assert summary(tmp_path / "killed")["state_digest"] == summary(tmp_path / "whole")["state_digest"]
    assert np.isfinite(summary(tmp_path / "whole")["env_steps_per_second"])


def test_where_tensorflow_runs_already_missing_devices_are_told_in_a_sentence():
    import_tensorflow(compilation_cache=False)
    import_tensorflow(compilation_cache=False, devices=2)
    with pytest.raises(ValueError, match="devices is 2, expected at most 1, which is how many CPUs there are"):
        devices.named(2)
