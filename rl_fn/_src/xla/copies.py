"""Vectorising over copies, with loops that stay plain loops, and convolutions of filters that each copy has.

TensorFlow keeps a condition per copy and parts copies that leave a loop from those that stay, which XLA cannot. A
condition that is the same for all copies needs none of that; where it is not, those that have left wait for the others.
Convolutions with filters of their own it does not convert, and their gradients as convolutions in groups, which are
slow: here each copy has one.

The table of how `tf.vectorized_map` converts an operation, and what such a conversion is made of, have no public
name. Where one of them is gone, or takes other arguments, both are converted as TensorFlow does, and are slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from rl_fn._src.xla.fallback import say_slower
from rl_fn.struct import Nest

try:
    from tensorflow.python.ops.parallel_for import pfor as parallel_for
except ImportError:
    parallel_for = None

_LOOPS = ("StatelessWhile", "While")
# Convolutions, and the operand that is the same for all copies where TensorFlow's own conversion is good.
_CONVOLUTIONS = {"Conv2D": 1, "Conv2DBackpropInput": 1, "Conv2DBackpropFilter": 2}
_UNROLLED = 16  # copies, each of whose convolutions is an operation; more take turns in a loop

_has_changed = False  # whether a conversion has failed for want of a name
_lock = threading.Lock()
_vectorising = 0  # how many calls of `vectorized_map` are under way, in all threads
_converters: dict[str, Callable[[Any], list]] = {}  # TensorFlow's own, as long as there are any


def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    """As `tf.vectorized_map`, for functions that can be vectorised whole."""
    with _conversions() as are_ours:
        # Without ours a convolution per copy is one that TensorFlow can only repeat.
        return tf.vectorized_map(function, elements, fallback_to_while_loop=not are_ours)


@contextmanager
def _conversions() -> Iterator[bool]:
    """Puts ours into TensorFlow's table, if there is one."""
    global _vectorising
    table = _table()
    with _lock:
        if not _vectorising:
            _converters.update({name: table[name] for name in (*_LOOPS, *_CONVOLUTIONS) if name in table})
            table.update({name: _converter(name, theirs) for name, theirs in _converters.items()})
        _vectorising += 1
    try:
        yield bool(table)
    finally:
        with _lock:
            _vectorising -= 1
            if not _vectorising:
                table.update(_converters)
                _converters.clear()


def _table() -> dict[str, Callable[[Any], list]]:
    table = getattr(parallel_for, "_pfor_converter_registry", None)
    if isinstance(table, dict) and set(_LOOPS) <= set(table):
        return table
    _say_slower()
    return {}


def _converter(name: str, theirs: Callable[[Any], list]) -> Callable[[Any], list]:
    """Converts an operation of that name as is done here, and as TensorFlow does where that cannot be."""

    def convert(operation: Any) -> list:
        global _has_changed
        if _has_changed:
            return theirs(operation)
        try:
            if name in _LOOPS:
                results = _plain_loop(parallel_for.WhileV2(operation))
            else:
                results = _one_by_one(operation) if operation.inputs[_CONVOLUTIONS[name]].is_stacked else None
        except (AttributeError, TypeError):  # of TensorFlow: nothing of the caller's runs here
            _has_changed = True
            _say_slower()
            results = None
        return theirs(operation) if results is None else results

    return convert


def _say_slower() -> None:
    say_slower("loops and convolutions of copies are converted as TensorFlow does, and are slower")


def _one_by_one(operation: Any) -> list:
    """The results of an operation of one result for all copies: an operation for each of them."""
    op, operands = operation.op, operation.inputs
    names = [argument.name for argument in op.op_def.input_arg]
    settings = {setting.name: op.get_attr(setting.name) for setting in op.op_def.attr if setting.name != "T"}
    settings = {name: value.decode() if isinstance(value, bytes) else value for name, value in settings.items()}

    def one(stacked: list[tf.Tensor]) -> tf.Tensor:
        own = iter(stacked)
        values = [next(own) if operand.is_stacked else operand.t for operand in operands]
        return getattr(tf.raw_ops, op.type)(**dict(zip(names, values, strict=True)), **settings)

    per_copy = [operand for operand in operands if operand.is_stacked]
    stacked = [operand.t for operand in per_copy]
    count = stacked[0].shape[0]
    if count is not None and count <= _UNROLLED:
        results = tf.stack([one([values[copy] for values in stacked]) for copy in range(count)])
    else:
        results = tf.map_fn(one, stacked, fn_output_signature=op.outputs[0].dtype)
    return [per_copy[0]._replace(t=results)]


def _plain_loop(loop: Any) -> list | None:
    """The results of a loop for all copies; None if it carries lists."""
    inputs = loop._pfor_input
    if any(operand.t.dtype == tf.variant for operand in inputs.inputs):
        return None
    body, shared = _converted(loop, loop._body_func, is_body=True)
    # What all copies share until a step makes it one per copy has to be one per copy from the start.
    while changed := [
        index
        for index, (operand, same) in enumerate(zip(inputs.inputs, shared, strict=True))
        if not same and not operand.is_stacked
    ]:
        inputs.stack_inputs(stack_indices=changed)
        body, shared = _converted(loop, loop._body_func, is_body=True)
    condition, (same,) = _converted(loop, loop._cond_func, is_body=False)
    go_on, step = (lambda *values: condition(*values)[0]), (lambda *values: body(*values))
    if not same:
        # What has changed when a copy leaves is its own from then on.
        inputs.stack_inputs(
            stack_indices=[
                index
                for index, operand in enumerate(inputs.inputs)
                if not operand.is_stacked and not _passes_through(loop._body_func, index)
            ]
        )
        body, _ = _converted(loop, loop._body_func, is_body=True)
        condition, _ = _converted(loop, loop._cond_func, is_body=False)
        go_on = lambda *values: tf.reduce_any(condition(*values)[0])

        def step(*values: tf.Tensor) -> list[tf.Tensor]:
            goes_on = condition(*values)[0]
            return [
                _where(goes_on, new, old) if operand.is_stacked else new
                for new, old, operand in zip(body(*values), values, inputs.inputs, strict=True)
            ]

    results = tf.while_loop(
        go_on, step, [operand.t for operand in inputs.inputs], parallel_iterations=loop._parallel_iterations
    )
    return [parallel_for.wrap(leaf, old.is_stacked) for leaf, old in zip(results, inputs.inputs, strict=True)]


def _passes_through(function: Any, index: int) -> bool:
    """Whether a step of a loop leaves that operand as it is."""
    output = function.graph.outputs[index]
    while output.op.type == "Identity":
        output = output.op.inputs[0]
    return output is function.graph.inputs[index]


def _where(condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    """Chooses for each copy."""
    return tf.where(tf.reshape(condition, [-1, *[1] * (yes.shape.rank - 1)]), yes, no)


def _converted(loop: Any, function: Any, is_body: bool) -> tuple[Callable, list[bool]]:
    """The loop's body or condition for all copies, and for each result whether all copies share it."""
    pfor, operands = loop._pfor, loop._pfor_input.inputs
    shared: list[bool] = []
    converter = parallel_for.PFor(
        loop_var=pfor.loop_var,
        loop_len=pfor.loop_len_vector[0],
        pfor_ops=function.graph.get_operations(),
        fallback_to_while_loop=False,
        all_indices=pfor.all_indices,
        all_indices_partitioned=pfor.all_indices_partitioned,
        pfor_config=pfor.pfor_config,
    )

    @tf.function(autograph=False)
    def converted(*values: tf.Tensor) -> list[tf.Tensor]:
        wrapped = [parallel_for.wrap(value, old.is_stacked) for value, old in zip(values, operands, strict=True)]
        results = parallel_for._convert_function_call(function, converter, wrapped)
        shared[:] = [not result.is_stacked for result in results]
        if is_body:
            results = [
                parallel_for._stack(new.t, pfor.loop_len_vector) if old.is_stacked > new.is_stacked else new
                for old, new in zip(operands, results, strict=True)
            ]
            for old, new in zip(operands, results, strict=True):
                if old.is_stacked == new.is_stacked:
                    new.t.set_shape(old.t.shape)  # which a step keeps, and some conversions forget
        return [result.t for result in results]

    specs = [tf.TensorSpec(operand.t.shape, operand.t.dtype) for operand in operands]
    return converted.get_concrete_function(*specs), shared
