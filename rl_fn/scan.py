"""One loop for everything that repeats: compiled, vectorised over copies, without TensorArray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Nest = Any

# Larger initial values are taken as they are: they are state that lives on the device (a replay
# buffer), and adding a zero to them would copy them.
_LARGEST_TIED = 1 << 16


def scan(
    step: Callable[[Nest, Nest], tuple[Nest, Nest]],
    carry: Nest,
    xs: Nest = None,
    length: int | tf.Tensor | None = None,
    *,
    reverse: bool = False,
) -> tuple[Nest, Nest]:
    """Runs `carry, y = step(carry, x)` over the leading axis of `xs` and stacks the `y`.

    Args:
      step: a pure function; `x` is a slice of `xs`, or None where `xs` is None.
      carry: a nest of tensors whose shapes and dtypes `step` keeps.
      xs: a nest of tensors `[length, ...]`, or None.
      length: the number of steps; required where `xs` is None, and then a Python integer wherever
        `step` returns a `y`.
      reverse: go from the last slice to the first; `y` stays at the index of its `x`.

    Returns:
      The last carry, and the nest of stacked `y`, each `[length, ...]` (None where `step` returns
      None).

    Raises:
      ValueError: if the lengths do not fit, or `step` changes a shape or a dtype of the carry.
    """
    has_xs = xs is not None
    carry, xs = tf.nest.map_structure(tf.convert_to_tensor, (carry, xs if has_xs else ()))
    length = _length(xs, length)
    tie = false_per_copy(tf.nest.flatten((carry, xs)))
    carry = tf.nest.map_structure(
        lambda leaf: leaf if leaf.shape.num_elements() > _LARGEST_TIED else tied(leaf, tie), carry
    )

    @tf.function(autograph=False)
    def traced(carry, x):
        carry, y = step(carry, x if has_xs else None)
        return carry, () if y is None else y

    carry_spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, carry)
    x_spec = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), xs)
    one_step = traced.get_concrete_function(carry_spec, x_spec)
    next_spec, y_spec = one_step.structured_outputs
    _check_carry(carry_spec, next_spec)
    ys = tf.nest.map_structure(lambda y: tied(tf.zeros([length, *y.shape], y.dtype), tie), y_spec)

    def body(count, carry, ys):
        index = length - 1 - count if reverse else count
        carry, y = one_step(carry, tf.nest.map_structure(lambda x: tf.gather(x, index), xs))
        put = lambda rows, row: tf.tensor_scatter_nd_update(rows, tf.reshape(index, [1, 1]), row[tf.newaxis])
        return count + 1, carry, tf.nest.map_structure(put, ys, y)

    _, carry, ys = tf.while_loop(
        lambda count, *_: count < length, body, (tf.constant(0), carry, ys), maximum_iterations=length
    )
    return carry, ys if tf.nest.flatten(ys) else None


def _length(xs: Nest, length: int | tf.Tensor | None) -> int | tf.Tensor:
    lengths = {leaf.shape[0] if leaf.shape.rank else None for leaf in tf.nest.flatten(xs)}
    if length is None and not lengths:
        raise ValueError("scan: length is required where xs is None")
    if None in lengths or len(lengths | ({length} if isinstance(length, int) else set())) > 1:
        shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten(xs)]
        raise ValueError(f"scan: the leading axes of xs differ from each other or from length={length}: {shapes}")
    return length if length is not None else lengths.pop()


def false_per_copy(leaves: list[tf.Tensor]) -> tf.Tensor:
    """A false boolean that depends on every leaf.

    A loop value that starts shared by all copies and ends as one per copy makes
    `tf.vectorized_map` convert the loop again, once more per level of nesting. Tied to this value,
    everything in the loop is per copy from the start as soon as anything is.
    """
    tie = tf.constant(False)
    for leaf in leaves:
        if leaf.shape.num_elements():
            first = leaf[(0,) * leaf.shape.rank]
            tie = tie | ((first != first) & (first == first))
    return tie


def tied(leaf: tf.Tensor, tie: tf.Tensor) -> tf.Tensor:
    """The leaf, one per copy wherever `tie`, from `false_per_copy`, is."""
    if leaf.dtype == tf.bool:
        return leaf | tie
    return leaf + tf.cast(tie, leaf.dtype)


def _check_carry(before: Nest, after: Nest) -> None:
    tf.nest.assert_same_structure(before, after)
    for old, new in zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise ValueError(
                f"scan: step turns a carry of {old.dtype.name} {old.shape} into {new.dtype.name} {new.shape}"
            )
