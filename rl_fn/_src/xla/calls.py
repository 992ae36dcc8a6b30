"""Calls of compiled programs, without the checks of a `tf.function`, which take longer than acting does."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf

from rl_fn._src.lazy import quiet
from rl_fn._src.xla import lent
from rl_fn._src.xla.fallback import say_slower
from rl_fn._src.xla.garbage import collected_later
from rl_fn.struct import Nest

Program: TypeAlias = Callable[[list[tf.Tensor]], Nest]  # of the leaves of its inputs


def graph(function: Callable[..., Nest], **options: Any) -> tf.types.experimental.PolymorphicFunction:
    """A `tf.function` without AutoGraph that is not taken for another.

    TensorFlow warns of functions that are traced again and again, and knows a plain function by its code: each new
    evaluation, or each new program, would be one more trace of the same. It knows a partial by what it is.

    Args:
      function: what it runs.
      **options: those of `tf.function`.
    """
    if options.get("jit_compile"):
        _compile_something()
    return tf.function(functools.partial(function), autograph=False, **options)


@functools.cache
def _compile_something() -> None:
    """Lets TensorFlow 2.20 say that XLA has compiled something, as it does once in a process, where nobody sees it.

    One for TPUs compiles nothing for the host, and says nothing.
    """
    if tf.__version__.startswith("2.20."):
        with quiet(), tf.init_scope(), contextlib.suppress(tf.errors.NotFoundError):
            tf.function(lambda: tf.constant(0), jit_compile=True, autograph=False)()


def compile_once(function: Callable[..., Nest]) -> Callable[..., Nest]:
    """Compiles a function for the tensors of its first call, and calls that program without further checks.

    A `tf.function` looks at each call which of its programs fits; where a call takes a fraction of a
    millisecond, as acting does, that is as long as the program itself.
    """
    traced = graph(function, jit_compile=True)
    programs: list[Program] = []

    def call(*inputs: Nest) -> Nest:
        if not programs:
            with collected_later():
                programs.append(direct(traced, inputs))
        return programs[0](tensors(inputs))

    return call


def tensors(inputs: Nest) -> list[tf.Tensor]:
    """The leaves of a nest as tensors, for one call; to convert what is one already would take a microsecond each."""
    return [leaf if isinstance(leaf, tf.Tensor) else lent.tensor(leaf) for leaf in tf.nest.flatten(inputs)]


def direct(function: tf.types.experimental.PolymorphicFunction, inputs: tuple) -> Program:
    """The program of a `tf.function` for inputs like these; it does not look whether its own fit."""
    specs = tf.nest.map_structure(lambda leaf: tf.TensorSpec.from_tensor(tf.convert_to_tensor(leaf)), inputs)
    program = function.get_concrete_function(*specs)
    if _flat_calls_work():
        return _flat(program)
    return lambda leaves: program(*tf.nest.pack_sequence_as(specs, leaves))


def _flat(program: Any) -> Program:
    """A program called as the operation it is, by names of which some are private."""
    from tensorflow.python.eager.execute import quick_execute

    function, captured = program.inference_fn, program.captured_inputs
    name, outputs = function.name.decode(), len(function.function_type.flat_outputs)
    options = function._bound_context.function_call_options.as_attrs()
    attributes, packed = tuple(itertools.chain(*options.items())), _packed(program.structured_outputs)

    def call(leaves: list[tf.Tensor]) -> Nest:
        context = function._bound_context  # of the function, without which the operation would be gone
        return packed(iter(quick_execute(name, outputs, [*leaves, *captured], attributes, context)))

    return call


def _packed(structure: Nest) -> Callable[[Iterator[tf.Tensor]], Nest]:
    """Makes the function that takes the leaves of a nest, in their order, and gives the nest."""
    if structure is None:
        return lambda leaves: None
    if isinstance(structure, dict):
        entries = {name: _packed(structure[name]) for name in sorted(structure)}
        return lambda leaves: {name: entry(leaves) for name, entry in entries.items()}
    if isinstance(structure, tuple | list):
        parts = [_packed(part) for part in structure]
        make = getattr(structure, "_make", type(structure))  # of named tuples
        return lambda leaves: make([part(leaves) for part in parts])
    return next


@functools.cache
def _flat_calls_work() -> bool:
    """Whether those names are there and do what they did, tried on a small program: a step must not run twice."""
    with tf.init_scope():
        leaves = [tf.constant([2.0]), tf.constant([3.0])]
        offset = tf.constant([1.0])
        function = tf.function(lambda x: {"sum": x["a"] + offset, "pair": (x["b"], x["a"])}, autograph=False)
        program = function.get_concrete_function({"a": tf.TensorSpec([1]), "b": tf.TensorSpec([1])})
        try:
            found = _flat(program)(leaves)
            works = [float(leaf[0]) for leaf in (found["sum"], *found["pair"])] == [3.0, 3.0, 2.0]
        except Exception:  # whatever another version raises
            works = False
    if not works:
        say_slower("programs are called with all their checks")
    return works
