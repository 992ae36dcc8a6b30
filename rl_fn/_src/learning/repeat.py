"""Steps of learning whose number is known only when they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import shards
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


def every(
    period: int,
    steps: tf.Tensor,
    step: Callable[[Nest], tuple[Nest, dict[str, tf.Tensor]]],
    state: Nest,
    names: Sequence[str],
) -> tuple[Nest, Metrics]:
    """Takes a step where `steps` is a multiple of `period`; where it is not, the step costs nothing.

    Copies that are vectorised take it together, as soon as it is due for one of them. Several devices always do, and
    keep it where it is due, since they can meet only in loops of known length.

    Args:
      period: at least 1.
      steps: int32[], so far.
      step: `state -> (state, metrics)`.
      state: to begin with.
      names: of the metrics.

    Returns:
      The state after the step, and the metrics of the steps that are taken.
    """
    if period == 1:
        return step(state)
    is_due = steps % period == 0
    if shards.count() > 1:
        after, metrics = step(state)
        count = tf.cast(is_due, tf.float32)
        told = {name: struct.Mean(tf.where(is_due, metrics[name], 0.0), count) for name in names}
        return struct.where(is_due, after, state), told
    return repeat(lambda state, _: step(state), state, tf.cast(is_due, tf.int32), random.key(0), names)
