"""What the tests of pure functions share: modes, gradients, and the reference cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf


def reference_case(name: str) -> tuple[dict[str, Any], np.ndarray]:
    """The inputs and the expected float64 result of a case in reference_cases.json; rows are examples."""
    cases = json.loads(Path(__file__).with_name("reference_cases.json").read_text())
    inputs = {k: np.asarray(v) if isinstance(v, list) else v for k, v in cases[name]["inputs"].items()}
    return inputs, np.asarray(cases[name]["expected"])


def assert_nests_close(actual: Any, expected: Any, **tolerance: float) -> None:
    tf.nest.assert_same_structure(actual, expected)
    for a, e in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        a, e = (tf.cast(x, tf.float64) if tf.is_tensor(x) and x.dtype == tf.bfloat16 else x for x in (a, e))
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), **tolerance)


def plain_vectorize(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `loops.vectorize`, with what TensorFlow can convert by itself."""
    return lambda copies: tf.vectorized_map(function, copies, fallback_to_while_loop=False)


def assert_modes_agree(
    function: Callable[..., Any],
    *args: Any,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    vectorize: Callable[..., Callable[..., Any]] = plain_vectorize,
) -> None:
    """Checks that eager = graph = XLA = vectorised over three copies with different inputs.

    `args` are arrays; the copies multiply floating-point ones by different factors.
    """
    args = [tf.convert_to_tensor(arg) for arg in args]

    def scaled(arg: tf.Tensor, copy: int) -> tf.Tensor:
        return arg * tf.cast(1.0 - 0.1 * copy, arg.dtype) if arg.dtype.is_floating else arg

    copies = [[scaled(arg, copy) for arg in args] for copy in range(3)]
    tf.config.run_functions_eagerly(True)
    try:
        eager = [function(*copy) for copy in copies]
    finally:
        tf.config.run_functions_eagerly(False)
    stacked = [tf.stack(leaves) for leaves in zip(*copies, strict=True)]

    @tf.function(jit_compile=True)
    def vectorised(*stacked: tf.Tensor) -> Any:
        return vectorize(lambda copy: function(*copy))(list(stacked))

    together = vectorised(*stacked)
    graph, compiled = tf.function(function), tf.function(function, jit_compile=True)
    for index, copy in enumerate(copies):
        expected = eager[index]
        for actual in (
            function(*copy),
            graph(*copy),
            compiled(*copy),
            tf.nest.map_structure(lambda leaf, i=index: leaf[i], together),
        ):
            assert_nests_close(actual, expected, rtol=rtol, atol=atol)


def together(cases: dict[str, tuple]) -> tuple:
    """A table of `(function, arguments, ...)` as one function and all arguments; compiling it is faster."""
    ends = np.cumsum([len(args) for _, args, *_ in cases.values()])

    def function(*args: Any) -> dict[str, Any]:
        parts = zip(cases.items(), ends, strict=True)
        return {name: case[0](*args[end - len(case[1]) : end]) for (name, case), end in parts}

    return function, *(arg for _, args, *_ in cases.values() for arg in args)


def assert_gradients(
    function: Callable[..., Any],
    args: Sequence[Any],
    with_gradient: Sequence[int],
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> None:
    """Compares gradients with central differences in float64, and checks which inputs get none.

    Args:
      function: returns a nest; the sum of its leaves is differentiated, each leaf weighted differently.
      args: arrays; floating-point ones are taken in float64.
      with_gradient: the positions of the arguments that get a gradient. Every other floating-point
        argument must get none, or zeros.
      step: of the differences.
      tolerance: absolute and relative.
    """
    tensors = [tf.convert_to_tensor(arg) for arg in args]
    tensors = [tf.cast(t, tf.float64) if t.dtype.is_floating else t for t in tensors]
    floating = [i for i, t in enumerate(tensors) if t.dtype.is_floating]

    def total(*tensors: tf.Tensor) -> tf.Tensor:
        leaves = [leaf for leaf in tf.nest.flatten(function(*tensors)) if leaf.dtype.is_floating]
        return tf.add_n([tf.reduce_sum(leaf * _weights(leaf.shape, i)) for i, leaf in enumerate(leaves)])

    with tf.GradientTape() as tape:
        tape.watch([tensors[i] for i in floating])
        value = total(*tensors)
    assert value.dtype == tf.float64
    gradients = tape.gradient(value, [tensors[i] for i in floating])
    for position, gradient in zip(floating, gradients, strict=True):
        if position not in with_gradient:
            assert gradient is None or not np.any(gradient), f"argument {position} gets a gradient"
            continue
        assert gradient is not None, f"argument {position} gets no gradient"
        numeric = _central_differences(total, tensors, position, step)
        np.testing.assert_allclose(gradient, numeric, rtol=tolerance, atol=tolerance, err_msg=f"argument {position}")


def assert_bfloat16(function: Callable[..., Any], *args: Any) -> None:
    """Checks that bfloat16 inputs give bfloat16 outputs near those of float32."""
    tensors = [tf.convert_to_tensor(arg) for arg in args]
    tensors = [tf.cast(t, tf.bfloat16) if t.dtype.is_floating else t for t in tensors]
    low = function(*tensors)
    high = function(*[tf.cast(t, tf.float32) if t.dtype.is_floating else t for t in tensors])
    for leaf, reference in zip(tf.nest.flatten(low), tf.nest.flatten(high), strict=True):
        if reference.dtype.is_floating:
            assert leaf.dtype == tf.bfloat16
        np.testing.assert_allclose(tf.cast(leaf, tf.float32), tf.cast(reference, tf.float32), rtol=0.05, atol=0.05)


def assert_refuses(match: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Checks that the call is refused with a message that matches, eagerly and at trace time."""
    with pytest.raises((ValueError, TypeError), match=match):
        function(*args, **kwargs)
    with pytest.raises((ValueError, TypeError), match=match):
        tf.function(lambda: function(*args, **kwargs), autograph=False)()


def _weights(shape: tf.TensorShape, leaf: int) -> tf.Tensor:
    size = shape.num_elements()
    return tf.reshape(tf.cos(tf.range(size, dtype=tf.float64) + leaf) + 1.5, shape)


def _central_differences(
    total: Callable[..., tf.Tensor], tensors: list[tf.Tensor], position: int, step: float
) -> np.ndarray:
    base = np.asarray(tensors[position])
    numeric = np.zeros_like(base)
    for index in np.ndindex(base.shape):
        values = []
        for sign in (1, -1):
            moved = base.copy()
            moved[index] += sign * step
            values.append(total(*tensors[:position], tf.constant(moved), *tensors[position + 1 :]).numpy())
        numeric[index] = (values[0] - values[1]) / (2 * step)
    return numeric
