"""How many threads XLA has for a program: one where its products are too small to be worth handing out."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

import tensorflow as tf

from rl_fn._src.xla.startup import look_for_devices
from rl_fn.runs.config import RunConfig

# Multiplications and additions of the largest product of a gradient step, from which two threads are faster than one.
WORTH_SHARING = 1_000_000


def settle(config: RunConfig, hparams: Any) -> None:
    """Gives this process one thread for products where those of a run are small, unless somebody has chosen already.

    Threads wait for each other longer than a small product takes. Copies keep them, one for each share; so do devices,
    and whoever has set TF_NUM_INTRAOP_THREADS. Where TensorFlow runs already, nothing can be changed.
    """
    is_alone = config.copies == config.devices == config.num_workers == 1
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
