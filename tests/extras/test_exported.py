"""What was exported, read in fresh processes that have no rl_fn, against what the agent itself does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn.runs import export
from tests.learned import learned

READER = Path(__file__).with_name("exported.py")
CASES = {
    "dqn": ("dqn", "CartPole-v1", {}),
    "dqn_pixels": ("dqn", "MinAtar/Breakout-v1", {"torso": "minatar", "replay_capacity": 64, "learning_starts": 32}),
    "rainbow": ("rainbow", "CartPole-v1", {}),
    "ppo": ("ppo", "CartPole-v1", {}),
    "ppo_normalized": ("ppo", "Pendulum-v1", {"normalize_observations": True}),
    "ppo_gru": ("ppo", "CartPoleNoVel-v1", {"memory": "gru", "memory_units": 8}),
    "impala_lstm": ("impala", "CartPoleNoVel-v1", {"memory": "lstm", "memory_units": 8}),
    "sac": ("sac", "Pendulum-v1", {}),
    "sac_discrete": ("sac", "CartPole-v1", {}),
    "td3": ("td3", "Pendulum-v1", {}),
    "alphazero": ("alphazero", "TicTacToe-v0", {"num_simulations": 8}),
}


def read(form, *folders):
    """What a process of its own prints, which finds no rl_fn."""
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, str(READER), form, *map(str, folders)]
    done = subprocess.run(command, cwd=READER.parent, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("exported")
    for name, (agent, env, values) in CASES.items():
        export(learned(agent, env, **values), root / name, forms=("saved_model", "tflite"))
    return root


@pytest.mark.parametrize("form", ["saved_model", "tflite"])
def test_the_actions_are_the_agents_on_a_thousand_observations(exported, form):
    printed = read(form, *(exported / name for name in CASES))
    assert {(case, what) for case, what, *_ in printed} >= {(name, "action") for name in CASES}
    assert ("impala_lstm", "actor_state_1") in {(case, what) for case, what, *_ in printed}
    for case, what, share, _, count in printed:
        # Two actions may be so near each other that rounding decides.
        assert float(share) >= 0.998, (case, what)
        assert count == "1000"


def test_another_compiler_trains_as_ours(tmp_path):
    small = {"num_envs": 2, "rollout_length": 8, "num_minibatches": 1, "num_epochs": 2}
    loaded = learned("ppo", "CartPole-v1", **small)
    export(loaded, tmp_path, forms=("stablehlo",))
    state = loops.init_state(loaded.agent, loaded.env, random.key(0))
    named = lambda state: {name: np.asarray(leaf) for name, leaf in struct.named_leaves(state)}
    np.savez(tmp_path / "before.npz", **named(state))
    read("stablehlo", tmp_path)
    compiled = loops.compile(loops.train_step(loaded.agent, loaded.env), state)
    compiled.run(2)
    ours, theirs = named(compiled.read()), dict(np.load(tmp_path / "after.npz"))
    assert ours["iteration"] == theirs["iteration"] == 2
    for name, leaf in ours.items():
        np.testing.assert_allclose(theirs[name], leaf, rtol=1e-3, atol=1e-4, err_msg=name)
    kernel = "agent/learner/params/policy/head/kernel"
    assert np.abs(ours[kernel] - tf.nest.flatten(named(state)[kernel])[0]).max() > 1e-4  # it has learned
