"""Vectorising over copies, with loops that stay plain loops where all copies leave them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

# The table of how `tf.vectorized_map` converts an operation, and what such a conversion is made of, have no public
# name. Without the conversion below everything still works: loops are a quarter slower.
from tensorflow.python.ops.parallel_for import pfor as parallel_for

from rl_fn.struct import Nest

_LOOPS = ("StatelessWhile", "While")


def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    """As `tf.vectorized_map`, for functions that can be vectorised whole."""
    with _plain_loops():
        return tf.vectorized_map(function, elements, fallback_to_while_loop=False)


@contextmanager
def _plain_loops() -> Iterator[None]:
    table = parallel_for._pfor_converter_registry
    before = {name: table[name] for name in _LOOPS}
    table.update({name: lambda op: _Loop(op)() for name in _LOOPS})
    try:
        yield
    finally:
        table.update(before)


class _Loop(parallel_for.WhileV2):
    """Converts a loop.

    TensorFlow keeps a condition per copy and asks in each step whether any copy goes on, which XLA makes a branch
    with copies of all that the loop carries. A condition that is the same for all copies needs none of that.
    """

    def __call__(self) -> list:
        if any(operand.t.dtype == tf.variant for operand in self._pfor_input.inputs):
            return super().__call__()
        body, shared = self._converted(self._body_func, is_body=True)
        # What all copies share until a step makes it one per copy has to be one per copy from the start.
        while changed := [
            index
            for index, (operand, same) in enumerate(zip(self._pfor_input.inputs, shared, strict=True))
            if not same and not operand.is_stacked
        ]:
            self._pfor_input.stack_inputs(stack_indices=changed)
            body, shared = self._converted(self._body_func, is_body=True)
        condition, (same,) = self._converted(self._cond_func, is_body=False)
        if not same:
            return super().__call__()
        operands = self._pfor_input.inputs
        results = tf.while_loop(
            lambda *values: condition(*values)[0],
            lambda *values: body(*values),
            [operand.t for operand in operands],
            parallel_iterations=self._parallel_iterations,
        )
        return [parallel_for.wrap(leaf, old.is_stacked) for leaf, old in zip(results, operands, strict=True)]

    def _converted(self, function: Any, is_body: bool) -> tuple[Callable, list[bool]]:
        """The loop's body or condition for all copies, and for each result whether all copies share it."""
        operands = self._pfor_input.inputs
        shared: list[bool] = []
        converter = parallel_for.PFor(
            loop_var=self._pfor.loop_var,
            loop_len=self._pfor.loop_len_vector[0],
            pfor_ops=function.graph.get_operations(),
            fallback_to_while_loop=False,
            all_indices=self._pfor.all_indices,
            all_indices_partitioned=self._pfor.all_indices_partitioned,
            pfor_config=self._pfor.pfor_config,
        )

        @tf.function(autograph=False)
        def converted(*values: tf.Tensor) -> list[tf.Tensor]:
            wrapped = [parallel_for.wrap(value, old.is_stacked) for value, old in zip(values, operands, strict=True)]
            results = parallel_for._convert_function_call(function, converter, wrapped)
            shared[:] = [not result.is_stacked for result in results]
            if is_body:
                results = [
                    parallel_for._stack(new.t, self._pfor.loop_len_vector) if old.is_stacked > new.is_stacked else new
                    for old, new in zip(operands, results, strict=True)
                ]
            return [result.t for result in results]

        specs = [tf.TensorSpec(operand.t.shape, operand.t.dtype) for operand in operands]
        return converted.get_concrete_function(*specs), shared
