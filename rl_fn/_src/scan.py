"""One loop for everything that repeats: compiled, vectorised over copies, differentiated without TensorArray."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from rl_fn._src import arguments, shards
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.ties import false_per_copy, tied
from rl_fn.struct import Nest


def scan(
    step: Callable[[Nest, Nest], tuple[Nest, Nest]],
    carry: Nest,
    xs: Nest = None,
    length: int | tf.Tensor | None = None,
    *,
    reverse: bool = False,
) -> tuple[Nest, Nest]:
    """Runs `carry, y = step(carry, x)` over the leading axis of `xs` and stacks the `y`.

    Gradients flow into the carry, into `xs` and into whatever `step` closes over. The carries are computed
    again for them, one loop forwards and one backwards, because the gradient of `tf.while_loop` keeps
    lists that cannot be vectorised over copies.

    Args:
      step: a pure function; `x` is a slice of `xs`, or None where `xs` is None.
      carry: a nest of tensors whose shapes and dtypes `step` keeps.
      xs: a nest of tensors `[length, ...]`, or None.
      length: the number of steps; required where `xs` is None, and then a Python integer wherever
        `step` returns a `y` or a gradient is taken.
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
    tie = false_per_copy((carry, xs))
    carry = tied(carry, tie, large=False)

    @tf.function(autograph=False)
    def traced(carry, x):
        carry, y = step(carry, x if has_xs else None)
        return carry, () if y is None else y

    if isinstance(length, int) and length == 1 and not tf.executing_eagerly():
        successor, y = step(carry, tf.nest.map_structure(lambda leaf: leaf[0], xs) if has_xs else None)
        _check_carry(*(tf.nest.map_structure(tf.TensorSpec.from_tensor, nest) for nest in (carry, successor)))
        return successor, None if y is None else tf.nest.map_structure(lambda leaf: tf.expand_dims(leaf, 0), y)

    carry_spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, carry)
    x_spec = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), xs)
    meetings = shards.meetings()
    one_step = traced.get_concrete_function(carry_spec, x_spec)
    next_spec, y_spec = one_step.structured_outputs
    # Where devices meet in a step, what lies between must be seen from outside, and not be a function in a function.
    in_loop = one_step if shards.meetings() == meetings else traced.python_function
    _check_carry(carry_spec, next_spec)
    index_of = (lambda count: length - 1 - count) if reverse else (lambda count: count)

    def one_y(carry: Nest, xs: Nest) -> Nest:
        if all(spec.shape.is_fully_defined() for spec in tf.nest.flatten(y_spec)):
            return y_spec
        return one_step(carry, tf.nest.map_structure(lambda leaf: tf.zeros(sizes_of(leaf)[1:], leaf.dtype), xs))[1]

    def forwards(carry: Nest, xs: Nest, keep_carries: bool = False) -> tuple[Nest, Nest]:
        one = carry if keep_carries else one_y(carry, xs)
        kept = tied(tf.nest.map_structure(lambda leaf: tf.zeros([length, *sizes_of(leaf)], leaf.dtype), one), tie)

        def body(count: tf.Tensor, carry: Nest, kept: Nest) -> tuple:
            index = index_of(count)
            successor, y = in_loop(carry, _at(xs, index))
            return count + 1, successor, _put(kept, index, carry if keep_carries else y)

        return _repeat(length, body, carry, kept)

    if tf.executing_eagerly():
        carry, ys = _eager(traced.python_function, length, index_of, carry, xs, y_spec)
        return carry, ys if tf.nest.flatten(ys) else None

    captured = [tensor for tensor in one_step.captured_inputs if tensor.dtype.is_floating]

    @tf.function(autograph=False)
    def pull_back(carry: Nest, x: Nest, upstream: list[tf.Tensor]) -> tuple[list, list, list]:
        sources = (_floating(carry), _floating(x), captured)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tf.nest.flatten(sources))
            # Not `one_step`: what its gradient keeps of it looks to XLA as if it depended on all inputs, where it has
            # to be constant, and then a program is compiled for each value of these.
            results = _floating(traced.python_function(carry, x))
        return tape.gradient(results, sources, upstream, tf.UnconnectedGradients.ZERO)

    @tf.custom_gradient
    def differentiable(carry: Nest, xs: Nest, captured: list[tf.Tensor]) -> tuple:
        # `one_step` holds what it captured; it is an argument so that it gets a gradient.
        outputs = forwards(carry, xs)

        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
            _, carries = forwards(carry, xs, keep_carries=True)
            into_last, into_ys = tf.nest.pack_sequence_as(outputs, upstream)

            def body(count: tf.Tensor, into: tuple[list, list], into_xs: list) -> tuple:
                index = index_of(length - 1 - count)
                into_carry, into_captured = into
                upstream = into_carry + _floating(_at(into_ys, index))
                into_carry, into_x, more = pull_back(_at(carries, index), _at(xs, index), upstream)
                into_captured = [total + part for total, part in zip(into_captured, more, strict=True)]
                return count + 1, (into_carry, into_captured), _put(into_xs, index, into_x)

            start = _floating(into_last), [tf.zeros_like(tensor) for tensor in captured]
            start, zeros = tied((start, [tf.zeros_like(x) for x in _floating(xs)]), tie)
            (into_carry, into_captured), into_xs = _repeat(length, body, start, zeros)
            return [*_with_none(carry, into_carry), *_with_none(xs, into_xs), *into_captured]

        return outputs, gradient

    carry, ys = differentiable(carry, xs, captured)
    return carry, ys if tf.nest.flatten(ys) else None


def _eager(step: Callable, length: int, index_of: Callable, carry: Nest, xs: Nest, y_spec: Nest) -> tuple[Nest, Nest]:
    """The loop in Python, for eyes and debuggers."""
    ys: dict[int, Nest] = {}
    for count in range(int(length)):
        index = int(index_of(count))
        carry, ys[index] = step(carry, tf.nest.map_structure(lambda leaf, i=index: leaf[i], xs))
    if not ys:
        return carry, tf.nest.map_structure(lambda leaf: tf.zeros([0, *leaf.shape], leaf.dtype), y_spec)
    rows = [tf.nest.map_structure(tf.convert_to_tensor, ys[index]) for index in sorted(ys)]
    return carry, tf.nest.map_structure(lambda *leaves: tf.stack(leaves), *rows)


def _repeat(length: int | tf.Tensor, body: Callable, state: Nest, rows: Nest) -> tuple[Nest, Nest]:
    # XLA knows how often a loop runs where its condition is no more than that.
    more = (lambda *_: True) if isinstance(length, int) else lambda count, *_: count < length
    _, state, rows = tf.while_loop(more, body, (tf.constant(0), state, rows), maximum_iterations=length)
    return state, rows


def _at(nest: Nest, index: tf.Tensor) -> Nest:
    return tf.nest.map_structure(lambda leaf: tf.gather(leaf, index), nest)


def _put(nest: Nest, index: tf.Tensor, rows: Nest) -> Nest:
    def put(leaf: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        scatter = lambda: tf.tensor_scatter_nd_update(leaf, tf.reshape(index, [1, 1]), row[tf.newaxis])
        # Rows of no elements cannot be scattered.
        return scatter() if leaf.shape.is_fully_defined() else tf.cond(tf.size(leaf) > 0, scatter, lambda: leaf)

    return tf.nest.map_structure(put, nest, rows)


def _floating(nest: Nest) -> list[tf.Tensor]:
    return [leaf for leaf in tf.nest.flatten(nest) if leaf.dtype.is_floating]


def _with_none(nest: Nest, gradients: list[tf.Tensor]) -> list[tf.Tensor | None]:
    """One gradient per leaf, None where the leaf is not floating-point."""
    remaining = iter(gradients)
    return [next(remaining) if leaf.dtype.is_floating else None for leaf in tf.nest.flatten(nest)]


def _length(xs: Nest, length: int | tf.Tensor | None) -> int | tf.Tensor:
    leaves = tf.nest.flatten(xs)
    if length is None and not leaves:
        raise ValueError("scan: length is required where xs is None")
    known = {leaf.shape[0] for leaf in leaves if leaf.shape.rank} - {None}
    if not all(leaf.shape.rank for leaf in leaves) or len(known | ({length} if isinstance(length, int) else set())) > 1:
        shapes = [tuple(leaf.shape) for leaf in leaves]
        raise ValueError(f"scan: the leading axes of xs differ from each other or from length={length}: {shapes}")
    if length is not None:
        return _checked_length(length)
    return known.pop() if known else sizes_of(leaves[0])[0]


def _checked_length(length: int | tf.Tensor) -> int | tf.Tensor:
    if not isinstance(length, tf.Tensor):
        return arguments.integer("scan: length", length, 0)
    if not length.dtype.is_integer or length.shape.rank:
        raise ValueError(f"scan: length is {length!r}, expected an integer of at least 0, or a tensor of one")
    return length


def _check_carry(before: Nest, after: Nest) -> None:
    tf.nest.assert_same_structure(before, after)
    for old, new in zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise ValueError(
                f"scan: step turns a carry of {old.dtype.name} {old.shape} into {new.dtype.name} {new.shape}"
            )
