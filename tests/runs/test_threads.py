"""How many threads a run's process has for products."""

import os
import subprocess
import sys

import pytest

from rl_fn import sets
from rl_fn.runs import threads

PROGRAM = """
import sys, tensorflow as tf
from rl_fn.runs import Run, RunConfig
name, folder, copies = sys.argv[1:]
Run.from_config(RunConfig(name, folder, copies=int(copies)))
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def chosen(tmp_path, name, copies=1, **environment):
    """The number that a process comes to; 0 for TensorFlow's own choice."""
    words = [sys.executable, "-c", PROGRAM, name, str(tmp_path / "run"), str(copies)]
    return int(
        subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, **environment}).stdout
    )


def test_small_products_have_one_thread_and_large_ones_as_many_as_there_are(tmp_path):
    assert chosen(tmp_path, "ppo_cartpole") == 1
    assert chosen(tmp_path, "sac_pendulum") == 0


def test_copies_and_those_who_have_chosen_keep_their_threads(tmp_path):
    assert chosen(tmp_path, "ppo_cartpole", copies=2) == 0
    assert chosen(tmp_path, "ppo_cartpole", TF_NUM_INTRAOP_THREADS="2") == 0


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("ppo_cartpole", 128 * 64 * 64),  # steps of a minibatch, and two layers
        ("dqn_cartpole", 64 * 120 * 84),
        ("sac_pendulum", 256 * 256 * 256),
        ("dqn_minatar_breakout", 0),  # convolutions
        ("ppo_recurrent_cartpole", 0),
    ],
)
def test_the_largest_product_is_that_of_a_batch_and_two_layers(name, product):
    assert threads.largest_product(sets.make(sets.find(name))) == product
