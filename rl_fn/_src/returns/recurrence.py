"""The linear recurrence behind every multi-step return, solved from the last row to the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rl_fn._src.shapes import Size, broadcast_sizes, sizes_of
from rl_fn._src.signature import signature
from rl_fn._src.xla.backwards import scan_backwards

Terms = Callable[..., tuple[tf.Tensor, tf.Tensor]]


@signature(x="float T ...", decay="float T ...")
def reverse_recurrence(x: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    """Solves y_t = x_t + decay_t y_{t+1}, with y_T = 0, along the first axis.

    Where `decay_t` is zero nothing of the later rows enters, not even an infinity or a NaN.

    Args:
      x: `[T, ...]`.
      decay: `[T, ...]`; the batch axes broadcast with those of `x`.

    Returns:
      `[T, ...]`.
    """
    return solve_backwards(_given, x, decay)


def solve_backwards(terms: Terms, *inputs: Any) -> tf.Tensor:
    """Solves y_t = x_t + decay_t y_{t+1} with `x_t, decay_t = terms(*rows)`, and y_T = 0.

    One loop computes the terms of a row and adds them up: whole-sequence temporaries for x and decay
    would cost more than the recurrence. The order of the additions is that of the definition, so
    nothing overflows that does not overflow there. The backward pass is the same loop in the other
    direction and needs no stack of intermediate values, so it compiles and vectorises like the
    forward pass.

    Args:
      terms: elementwise arithmetic, applied to rows `[...]` and to whole sequences `[T, ...]`.
      *inputs: tensors `[T, ...]` of one rank, whose batch axes broadcast; and scalars, which reach
        `terms` as they are.

    Returns:
      `[T, ...]`.
    """
    inputs = tuple(tf.convert_to_tensor(value) for value in inputs)
    batch = broadcast_sizes(*[sizes_of(value)[1:] for value in inputs])
    return _solve(terms, batch, inputs)


def _given(x: tf.Tensor, decay: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return x, decay


def _solve(terms: Terms, batch: list[Size], inputs: tuple[tf.Tensor, ...]) -> tf.Tensor:
    dtype = next(value.dtype for value in inputs if value.dtype.is_floating)

    def step(following: tf.Tensor, *rows: tf.Tensor) -> tf.Tensor:
        x, decay = terms(*rows)
        return x + tf.math.multiply_no_nan(following, decay)

    solved: list[tf.Tensor] = []

    @tf.custom_gradient
    def solve(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(dy: tf.Tensor) -> list[tf.Tensor | None]:
            if not solved:  # which a ForwardAccumulator cannot differentiate, and would make nothing or zeros of
                raise NotImplementedError("multi-step returns are differentiated backwards alone, by tf.GradientTape")
            (y,) = solved  # the result outside, not that of the loop here: it has a gradient of its own
            floating = [value for value in inputs if value.dtype.is_floating]
            with tf.GradientTape() as tape:
                tape.watch(floating)
                x, decay = (term + tf.zeros_like(y) for term in terms(*inputs))
            # dx_t = dy_t + decay_{t-1} dx_{t-1}: the same recurrence with time reversed.
            earlier = tf.concat([tf.zeros_like(decay[:1]), decay[:-1]], axis=0)
            dx = tf.reverse(solve_backwards(_given, tf.reverse(dy, [0]), tf.reverse(earlier, [0])), [0])
            later = tf.concat([y[1:], tf.zeros_like(y[:1])], axis=0)
            found = iter(tape.gradient([x, decay], floating, output_gradients=[dx, dx * later]))
            return [next(found) if value.dtype.is_floating else None for value in inputs]

        # Nothing shall differentiate the loop itself, not even for second derivatives.
        return scan_backwards(step, batch, dtype, *map(tf.stop_gradient, inputs)), gradient

    solved.append(solve(*inputs))
    return solved[0]
