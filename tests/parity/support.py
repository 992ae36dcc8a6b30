"""Comparison with rlax: values and gradients on random inputs of random shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

jax.config.update("jax_enable_x64", True)

CASES = 200


def assert_parity(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    make_args: Callable[[np.random.Generator], tuple],
    with_gradient: tuple[int, ...],
    batched_axes: int | tuple[int | None, ...] | None = None,
    cases: int = CASES,
    rtol: float = 1e-5,
) -> None:
    """Compares two functions of the same arguments in float64.

    Args:
      ours: takes batches.
      theirs: takes one example, and is vmapped where `batched_axes` is given (the `in_axes` of vmap).
      make_args: draws arguments; its shapes should differ from call to call, among a handful.
      with_gradient: the positions to differentiate the sum of all results by.
      batched_axes: see `theirs`.
      cases: the number of draws.
      rtol: relative tolerance, also taken of the largest entry as absolute tolerance.
    """
    if batched_axes is not None:
        theirs = jax.vmap(theirs, in_axes=batched_axes, out_axes=0 if batched_axes == 0 else _out_axis(batched_axes))
    reference = jax.jit(lambda args: _value_and_gradients(theirs, args, with_gradient))
    for seed in range(cases):
        args = make_args(np.random.default_rng(seed))
        value, gradients = reference(args)
        tensors = [tf.convert_to_tensor(arg) for arg in args]
        watched = [tensors[i] for i in with_gradient]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            result = ours(*tensors)
            total = tf.add_n([tf.reduce_sum(leaf) for leaf in tf.nest.flatten(result) if leaf.dtype.is_floating])
        actual = tape.gradient(total, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for a, e in zip([*tf.nest.flatten(result), *actual], [*jax.tree.leaves(value), *gradients], strict=True):
            e = np.asarray(e)
            scale = np.max(np.abs(e), initial=1.0, where=np.isfinite(e))
            np.testing.assert_allclose(a, e, rtol=rtol, atol=rtol * scale, err_msg=f"seed {seed}")


def _out_axis(batched_axes: tuple[int | None, ...]) -> int:
    return max(axis for axis in batched_axes if axis is not None)


def _value_and_gradients(function: Callable[..., Any], args: tuple, positions: tuple[int, ...]) -> tuple:
    def total(*args: Any) -> tuple:
        value = function(*args)
        leaves = [leaf for leaf in jax.tree.leaves(value) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum(jnp.sum(leaf) for leaf in leaves), value

    if not positions:
        return function(*args), ()
    gradients, value = jax.grad(total, argnums=positions, has_aux=True)(*args)
    return value, gradients
