"""Watches that a function which is traced takes all that is random from its key.

What Python or NumPy draws is drawn once, when the function is traced, and is the same number in every step from then
on; what TensorFlow's generators draw differs from run to run. Neither fails by itself.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

# TensorFlow's random operations that keep a state of their own
_STATEFUL = (
    "Multinomial",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
)


@contextmanager
def all_from_key(what: str) -> Iterator[None]:
    """Refuses random numbers from the generators of Python, NumPy (`np.random.normal`) and TensorFlow (`tf.random`).

    Those of a generator object (`np.random.default_rng`) go unseen; `envs.check` finds them by their effect.

    Args:
      what: what is called inside, for the message.

    Raises:
      ValueError: when it has drawn from one of them.
    """
    python, numpy = python_random.getstate(), _numpy_state()
    with nothing_stateful(what):
        yield
    drawn = ["random"] * (python_random.getstate() != python) + ["np.random"] * (_numpy_state() != numpy)
    if drawn:
        raise ValueError(_refusal(what, drawn))


@contextmanager
def nothing_stateful(what: str) -> Iterator[None]:
    """Refuses random numbers from the generators of TensorFlow in what is traced, whatever other threads draw.

    Args:
      what: what is called inside, for the message.

    Raises:
      ValueError: when there are some.
    """
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    before = len(graph.get_operations()) if graph else 0
    yield
    operations = graph.get_operations()[before:] if graph else []
    if any(operation.type in _STATEFUL for operation in operations):
        raise ValueError(_refusal(what, ["tf.random"]))


def _refusal(what: str, drawn: list[str]) -> str:
    return (
        f"{what} draws from {' and '.join(drawn)}, which is no part of a compiled program: draw from its key, "
        "as rl_fn.random.normal(key, shape) does"
    )


def _numpy_state() -> tuple:
    name, words, *rest = np.random.get_state(legacy=True)
    return name, np.asarray(words).tobytes(), *rest
