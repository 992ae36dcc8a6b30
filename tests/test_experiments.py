"""The scripts of experiments/ run and stay short; composed losses have gradients where they should."""

import importlib.util
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
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


@pytest.mark.slow
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


def run(name, *arguments, **variables):
    """What an experiment prints."""
    command = [sys.executable, str(SCRIPT.with_name(name)), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1]), **variables}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout


def test_a_sweep_trains_all_settings_in_one_program_and_judges_each():
    *_, low, lower, higher, high = run("sweep.py", 160).splitlines()
    for line, rate in zip((low, lower, higher, high), ("0.0001", "0.001", "0.01", "0.1"), strict=True):
        assert re.fullmatch(rf"learning rate {rate}: evaluation returns of its seeds \[ *[\d.]+ +[\d.]+ *\]", line)


def test_steps_are_recorded_and_learned_from(tmp_path):
    printed = run("offline.py", tmp_path, 2_048, 1_000, 200)
    assert re.search(r"^mean return in the data: \d+\.\d$", printed, re.MULTILINE)
    assert re.search(r"^IQL from the data: \d+\.\d$", printed, re.MULTILINE)
    assert len(np.load(tmp_path / "data" / "reward.npy").ravel()) == 1_000
    assert json.loads((tmp_path / "iql_cartpole" / "run_0" / "summary.json").read_text())["env_steps"] == 200


def ask(address, content):
    """The status and the answer of a server for JSON."""
    request = urllib.request.Request(address, json.dumps(content).encode())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_policy_of_a_host_environment_is_served_without_this_library(tmp_path):
    run("train_and_export.py", tmp_path, 512)
    (tmp_path / "rl_fn.py").write_text("raise ImportError('served without it')")
    example = np.load(tmp_path / "exported" / "example.npz")
    command = [sys.executable, str(SCRIPT.with_name("serve.py")), str(tmp_path / "exported"), "0"]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            address = server.stdout.readline().strip()
            assert ask(address, {"observation": example["observation"][:50].tolist()}) == (
                200,
                {"action": example["expected_action"][:50].tolist()},
            )
            wrong = {"error": "observation has shape (2,), expected ('B', 4)"}
            assert ask(address, {"observation": [0, 0]}) == (400, wrong)
            assert ask(address, {"state": 1}) == (400, {"error": "expected the inputs observation"})
        finally:
            server.kill()


def test_an_agent_of_ones_own_trains_with_all_that_a_run_gives(tmp_path):
    script = SCRIPT.with_name("own_agent.py")
    lines = [line for line in script.read_text().splitlines() if line.strip()]
    assert len(lines) <= 60
    run(script.name, tmp_path, "8_000")
    summary = json.loads((tmp_path / "run_0" / "summary.json").read_text())
    assert summary["env_steps"] == 8_192
    assert (tmp_path / "run_0" / "metrics.csv").exists()
