"""The scripts of experiments/ run and stay short; composed losses have gradients where they should."""

import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_fn import struct

path = Path(__file__).parents[1] / "experiments" / "losses_from_parts.py"
spec = importlib.util.spec_from_file_location(path.stem, path)
parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parts)

rng = np.random.default_rng(0)


def normal(*shape):
    return tf.constant(rng.normal(size=shape), tf.float32)


def transitions(batch, action, **extras):
    flags = [tf.constant(rng.random(batch) < 0.2) for _ in range(2)]
    return struct.Transition(normal(*batch, 3), action, normal(*batch), *flags, normal(*batch, 3), extras)


def linear(params, observation):
    return tf.tensordot(observation, params, 1)


def value(params, observation):
    return linear(params, observation)[..., 0]


def gaussian(params, observation):
    mean, log_stddev = tf.split(linear(params, observation), 2, axis=-1)
    return mean, tf.exp(log_stddev)


def critics(params, observation, action):
    return linear(params, tf.concat([observation, action], axis=-1))


def discrete(*batch):
    return tf.constant(rng.integers(2, size=batch), tf.int32)


ACTOR_CRITIC = {"policy": normal(3, 2), "value": normal(3, 1)}
SEGMENT = transitions((5, 4), discrete(5, 4), log_prob=-tf.abs(normal(5, 4)), value=normal(5, 4))
STEPS = transitions((6,), discrete(6))
MOVES = transitions((6,), tf.tanh(normal(6, 1)))
SAC_PARAMS = {"policy": 0.3 * normal(3, 2), "q": normal(4, 2), "log_alpha": tf.constant(0.1)}

CASES = {
    "dqn_loss": (lambda params: parts.dqn_loss(linear, params, normal(3, 2), STEPS), normal(3, 2)),
    "ppo_loss": (lambda params: parts.ppo_loss(linear, value, params, SEGMENT), ACTOR_CRITIC),
    "sac_losses": (
        lambda params: parts.sac_losses(
            gaussian, critics, params, tf.ones([4, 2]), MOVES, tf.constant([0, 1], tf.uint32)
        ),
        SAC_PARAMS,
    ),
    "impala_loss": (lambda params: parts.impala_loss(linear, value, params, SEGMENT), ACTOR_CRITIC),
}


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_learns(name):
    loss, params = CASES[name]
    (_, _), grads = tf.function(
        lambda params: struct.value_and_gradient(lambda params: (loss(params), ()), params), jit_compile=True
    )(params)
    for leaf in tf.nest.flatten(grads):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf)


@pytest.mark.parametrize("name", CASES)
def test_fewer_than_25_lines(name):
    assert len(inspect.getsource(getattr(parts, name)).splitlines()) < 25


SCRIPT = path.with_name("munchausen_dqn.py")


def test_an_agent_of_ones_own_loss_gets_all_that_a_run_gives_and_survives_a_kill(tmp_path):
    def start(folder):
        command = [sys.executable, str(SCRIPT), str(folder), "12_000"]
        return subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}, stdout=subprocess.PIPE
        )

    def digest(folder):
        process = start(folder)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert b"12,000 steps, return" in printed
        return json.loads((folder / "run_0" / "summary.json").read_text())["state_digest"]

    whole = digest(tmp_path / "whole")
    events = EventAccumulator(str(tmp_path / "whole" / "run_0"), size_guidance={"tensors": 0}).Reload()
    assert {"eval/return_mean", "train/loss"} <= set(events.Tags()["tensors"])
    process = start(tmp_path / "killed")
    while not list((tmp_path / "killed").glob("run_0/checkpoints/iteration_*")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "run_0" / "summary.json").exists()
    assert digest(tmp_path / "killed") == whole


def test_it_takes_few_lines():
    lines = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert (
        len([line for line in lines if not line.startswith(("import", "from", '"""', "    python", "Checkpoints"))])
        <= 25
    )


def test_an_agent_of_ones_own_trains_with_all_that_a_run_gives(tmp_path):
    script = SCRIPT.with_name("own_agent.py")
    lines = [line for line in script.read_text().splitlines() if line.strip()]
    assert len(lines) <= 60
    command = [sys.executable, str(script), str(tmp_path), "8_000"]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(script.parents[1])}, check=True, timeout=300)
    summary = json.loads((tmp_path / "run_0" / "summary.json").read_text())
    assert summary["env_steps"] == 8_192
    assert (tmp_path / "run_0" / "metrics.csv").exists()
