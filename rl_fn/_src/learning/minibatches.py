"""Passes over a rollout in minibatches of sequences."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import shards
from rl_fn._src.scan import scan
from rl_fn.struct import Nest


def in_sequences(steps: Nest, length: int) -> Nest:
    """Cuts steps `[T, B, ...]` into sequences `[length, T / length * B, ...]`."""

    def cut(x: tf.Tensor) -> tf.Tensor:
        chunks = tf.reshape(x, [x.shape[0] // length, length, *x.shape[1:]])
        chunks = tf.transpose(chunks, [1, 0, *range(2, chunks.shape.rank)])
        return tf.reshape(chunks, [length, chunks.shape[1] * chunks.shape[2], *x.shape[2:]])

    return tf.nest.map_structure(cut, steps)


def over_minibatches(
    step: Callable[[Nest, Nest], tuple[Nest, Nest]],
    carry: Nest,
    sequences: Nest,
    key: random.Key,
    num_epochs: int,
    num_minibatches: int,
    stop: Callable[[Nest], tf.Tensor] | None = None,
    *,
    shared: bool = True,
) -> tuple[Nest, Nest]:
    """Takes a step on each minibatch of each pass over the sequences, which are shuffled anew for every pass.

    Args:
      step: `(carry, minibatch) -> (carry, output)`.
      carry: a nest of tensors.
      sequences: each leaf `[L, N, ...]`; minibatches are `[L, N / num_minibatches, ...]`.
      key: `uint32[2]`.
      num_epochs: passes.
      num_minibatches: per pass; divides N.
      stop: from a step's output to whether that step and all that would follow change nothing, `bool[]`.
      shared: whether several devices share each minibatch, each taking a part of the N. For that the loss and each
        output of a step are means over the sequences; where they are not, each device takes the whole step.

    Returns:
      The last carry; and the outputs, stacked, also of steps that changed nothing.
    """
    num_sequences = tf.nest.flatten(sequences)[0].shape[1]
    orders = random.permutation(key, num_sequences, [num_epochs])
    rows_per_step = tf.reshape(orders, [num_epochs * num_minibatches, num_sequences // num_minibatches])

    if shared:
        shards.check_shared("a minibatch", num_sequences // num_minibatches, shards.count())

    def one(carry: Nest, rows: tf.Tensor) -> tuple[Nest, Nest]:
        rows = shards.mine(rows) if shared else rows
        with shards.rows_of(rows.shape[0] if shared else None):
            return step(carry, tf.nest.map_structure(lambda x: tf.gather(x, rows, axis=1), sequences))

    if stop is None:
        carry, outputs = scan(one, carry, rows_per_step)
        return carry, shards.mean(outputs) if shared else outputs

    def one_or_none(carry: tuple[Nest, tf.Tensor], rows: tf.Tensor) -> tuple[tuple[Nest, tf.Tensor], Nest]:
        before, stopped = carry
        after, output = one(before, rows)
        output = shards.mean(output) if shared else output  # all stop together
        stopped |= stop(output)
        return (struct.where(stopped, before, after), stopped), output

    (carry, _), outputs = scan(one_or_none, (carry, tf.constant(False)), rows_per_step)
    return carry, outputs
