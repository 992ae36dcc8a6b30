"""How many threads a run's process has for products."""

import os
import subprocess
import sys

import pytest

from rl_fn import sets
from rl_fn.runs import threads

PROGRAM = """
import sys
from rl_fn.commands import main
main(["train", *sys.argv[1:]])
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def chosen(tmp_path, name, *flags, **environment):
    """The number that the command comes to; 0 for TensorFlow's own choice."""
    short = ["--hparams", name, "--train_steps", "1", "--eval_episodes", "0", "--quiet", *flags]
    words = [sys.executable, "-c", PROGRAM, *short, "--output_dir", str(tmp_path / f"{name}{len(flags)}")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    assert "cuda" not in done.stderr.lower()  # what TensorFlow says of devices that it does not find
    return int(done.stdout.splitlines()[-1])


def test_small_products_have_one_thread_and_large_ones_as_many_as_there_are(tmp_path):
    assert chosen(tmp_path, "ppo_cartpole") == 1
    assert chosen(tmp_path, "sac_pendulum") == 0


@pytest.mark.slow
def test_copies_and_those_who_have_chosen_keep_their_threads(tmp_path):
    assert chosen(tmp_path, "ppo_cartpole", "--copies", "2") == 0
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
