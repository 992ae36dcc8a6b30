"""Steps of learning whose number is known only when they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.scan import scan
from rl_fn.struct import Metrics, Nest


def repeat(
    step: Callable[[Nest, random.Key], tuple[Nest, dict[str, tf.Tensor]]],
    state: Nest,
    count: tf.Tensor,
    key: random.Key,
    names: Sequence[str],
) -> tuple[Nest, Metrics]:
    """Takes a number of steps that may be none, as where it is not their time.

    Args:
      step: `(state, key) -> (state, metrics)`.
      state: to begin with.
      count: int32[], how many.
      key: `uint32[2]`.
      names: of the metrics.

    Returns:
      The state after the last step, and the means of the metrics.
    """

    def one(carry: tuple, x: None) -> tuple:
        index, state, sums = carry
        state, metrics = step(state, random.fold_in(key, index))
        return (index + 1, state, {name: sums[name] + metrics[name] for name in names}), None

    sums = dict.fromkeys(names, tf.constant(0.0))
    (_, state, sums), _ = scan(one, (tf.constant(0), state, sums), length=count)
    return state, {name: struct.Mean(total, tf.cast(count, tf.float32)) for name, total in sums.items()}
