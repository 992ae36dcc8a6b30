"""How many threads XLA has for a program: one where its products are too small to be worth handing out."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

import tensorflow as tf

from rl_fn._src.xla.startup import look_for_devices

# Multiplications and additions of the largest product of a gradient step, from which two threads are faster than one.
WORTH_SHARING = 1_200_000


def settle(hparams: Any, is_alone: bool) -> None:
    """Gives this process one thread for products where an agent's are small, unless somebody has chosen already.

    For processes of one run: what trains after it has one thread, too. Threads wait for each other longer than a small
    product takes. Whoever has set TF_NUM_INTRAOP_THREADS keeps that. Where TensorFlow runs already, nothing can be
    changed.

    Args:
      hparams: of the agent.
      is_alone: whether one program trains one copy: several have a thread each.
    """
    if is_alone and "TF_NUM_INTRAOP_THREADS" not in os.environ and 0 < largest_product(hparams) < WORTH_SHARING:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
    look_for_devices()


def largest_product(hparams: Any) -> int:
    """Multiplications and additions of the largest product of a gradient step of dense layers; 0 where it is not known.

    That is of a batch, or of a minibatch, by the widest pair of hidden layers.
    """
    sizes = getattr(hparams, "hidden_sizes", ())
    if len(sizes) < 2 or getattr(hparams, "torso", "mlp") != "mlp" or getattr(hparams, "memory", "none") != "none":
        return 0
    rows = getattr(hparams, "batch_size", 0) or hparams.schedule.steps // getattr(hparams, "num_minibatches", 1)
    return rows * max(before * after for before, after in itertools.pairwise(sizes))
