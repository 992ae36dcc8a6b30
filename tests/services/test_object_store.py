"""Runs whose output folder is on an object store."""

import csv
import io
import json
import os
import signal

import pytest

from rl_fn.commands import main
from rl_fn.runs import Run, RunConfig, RunError, load, stores
from tests.commands import processes
from tests.runs import stored
from tests.services.stores import serving

FLAGS = ["--hparams", "ppo_cartpole", "--hparam_override", "rollout_length=16,hidden_sizes=(16,)"]
SMALL = [*FLAGS, "--train_steps", "2000", "--eval_episodes", "2", "--checkpoint_seconds", "0"]


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is not on a store, and that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    list(Run.from_config(settings(folder)))
    return folder / "run_0"


def settings(folder, **changes):
    return RunConfig(
        **{
            "hparams": "ppo_cartpole",
            "output_dir": folder,
            "hparam_override": SMALL[3],
            "train_steps": 2_000,
            "eval_episodes": 2,
            "checkpoint_seconds": 0.0,
            **changes,
        }
    )


def curves(text):
    """A table without the times, which differ from run to run."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def digest(text):
    return json.loads(text)["state_digest"]


def test_a_run_killed_during_its_uploads_ends_with_the_same_bits(server, whole):
    def killing(process, is_moment, arrives):
        def hook(method, name):
            seen.append((method, name))
            if process and process[0].poll() is None and is_moment(method, name):
                process[0].send_signal(signal.SIGKILL)
                process[0].wait()
                return arrives
            return None

        seen = []
        return hook

    checkpoints = lambda: [name for name in server.names("killed/run_0/checkpoints/iteration")]
    moments = [
        (lambda method, name: method == "PUT" and "checkpoints/iteration" in name and len(checkpoints()) == 2, False),
        (lambda method, name: method == "PUT" and name.endswith("metrics.csv") and len(checkpoints()) == 3, False),
        # The checkpoint is there, and an older one was not deleted yet.
        (lambda method, name: method in ("DELETE", "POST") and len(checkpoints()) > 3, False),
    ]
    left = []
    for is_moment, arrives in moments:
        process = []
        server.hook = killing(process, is_moment, arrives)
        process.append(processes.start("train", *SMALL, "--output_dir", "s3://bucket/killed", "--quiet"))
        code, _, error = processes.finish(process[0])
        assert code == -signal.SIGKILL, error
        left.append(sorted(checkpoints())[-1])
    server.hook = lambda method, name: None
    assert left == sorted(left)
    code, out, error = processes.finish(
        processes.start("train", *SMALL, "--output_dir", "s3://bucket/killed", "--quiet")
    )
    assert code == 0, error
    assert "going on from the checkpoint at" in error
    assert digest(server.read("killed/run_0/summary.json")) == digest((whole / "summary.json").read_text())
    assert curves(server.read("killed/run_0/metrics.csv").decode()) == curves((whole / "metrics.csv").read_text())
    assert len(checkpoints()) == 3
    assert any("events.out.tfevents" in name for name in server.names("killed"))
    assert not [name for name in server.names("killed") if "unfinished" in name or name.endswith(".lock")]
