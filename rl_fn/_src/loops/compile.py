"""The one place where tensors meet variables: a step compiled by XLA, its state on the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import struct
from rl_fn._src.loops.finite import nonfinite
from rl_fn._src.xla.calls import Program, compile_once, direct, graph, tensors
from rl_fn._src.xla.copies import vectorized_map
from rl_fn._src.xla.garbage import collected_later
from rl_fn.struct import Nest


def vectorize(step: Callable[[Nest], tuple[Nest, Nest]]) -> Callable[[Nest], tuple[Nest, Nest]]:
    """Makes a step of many copies: every leaf of the state and of the outputs has a leading copy axis."""

    def copies_step(states: Nest) -> tuple[Nest, Nest]:
        return vectorized_map(step, states)

    return copies_step


class Held:
    """A state in variables on the device, which compiled functions read where it is."""

    def __init__(self, state: Nest):
        self._variables = tf.nest.map_structure(lambda leaf: tf.Variable(leaf, trainable=False), state)
        self.spec = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), self._variables)
        self._put = graph(self._put_copy, jit_compile=True)

    def read(self, select: Callable[[Nest], Nest] = lambda state: state) -> Nest:
        """A copy of the state, or of the part of it that `select` picks."""
        return tf.nest.map_structure(tf.convert_to_tensor, select(self._variables))

    def leaves(self, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
        """Copies of the leaves of the state whose names are wanted, such as `agent/policy/params/head/bias`."""
        named = struct.named_leaves(self._variables)
        return {name: variable.numpy() for name, variable in named if wanted(name)}

    def nonfinite(self, select: Callable[[Nest], Nest], copies: int | None = None) -> list[tuple[str, int]]:
        """The leaves of a part of the state that hold an infinite number or NaN, and the copies in which they do."""
        return list(nonfinite(select(self._variables), copies))

    def reader(
        self, function: Callable[..., Nest], select: Callable[[Nest], Nest] = lambda state: state
    ) -> Callable[..., Nest]:
        """Compiles `function(select(state), *inputs) -> outputs`, which reads the newest state where it is.

        Only what `select` picks is an input of the compiled program, so a large rest costs nothing. As with
        `compile_once`, all calls have inputs of the shapes and dtypes of the first.
        """

        def call(*inputs: Nest) -> Nest:
            part = tf.nest.map_structure(lambda variable: variable.read_value(), select(self._variables))
            return function(part, *inputs)

        return compile_once(call)

    def restore(self, state: Nest) -> None:
        """Replaces the state.

        Raises:
          ValueError: if a leaf has another shape or dtype; the message names it.
        """
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        check_specs("restore", state, self.spec)
        self._assign(state)

    def put(self, copy: int, state: Nest) -> None:
        """Replaces the state of one of several copies, in place.

        Raises:
          ValueError: if a leaf has another shape or dtype than a copy's; the message names it.
        """
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        check_specs(
            "put", state, tf.nest.map_structure(lambda spec: tf.TensorSpec(spec.shape[1:], spec.dtype), self.spec)
        )
        self._put(tf.constant(copy), state)

    def replacer(self, function: Callable[[Nest], Nest]) -> Callable[[], None]:
        """Compiles `state = function(state)`, in place: each call replaces the state.

        Raises:
          ValueError: by the first call, if the function changes a shape or dtype; the message names the leaf.
        """

        def call() -> None:
            state = function(self._read())
            check_specs("replacer", state, self.spec)
            self._assign(state)

        return graph(call, jit_compile=True)

    def _read(self) -> Nest:
        return tf.nest.map_structure(lambda variable: variable.read_value(), self._variables)

    def _put_copy(self, copy: tf.Tensor, state: Nest) -> None:
        for variable, leaf in zip(tf.nest.flatten(self._variables), tf.nest.flatten(state), strict=True):
            if 0 not in leaf.shape:  # of nothing, nothing can be replaced
                changed = tf.tensor_scatter_nd_update(variable.read_value(), [[copy]], leaf[tf.newaxis])
                variable.assign(changed, read_value=False)

    def _assign(self, state: Nest) -> None:
        for variable, leaf in zip(tf.nest.flatten(self._variables), tf.nest.flatten(state), strict=True):
            variable.assign(leaf, read_value=False)


class Running(ABC):
    """A state together with a step that runs on it."""

    spec: Nest  # of the state
    graph: tf.Graph | None = None  # of the step, once it was traced

    @abstractmethod
    def run(self, iterations: int) -> Nest:
        """Runs that many iterations of a step without inputs.

        Returns:
          The sum of each output over them, as arrays; integers and truths are summed as float32.
        """

    @abstractmethod
    def read(self, select: Callable[[Nest], Nest] = lambda state: state) -> Nest:
        """See Held."""

    @abstractmethod
    def leaves(self, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
        """See Held."""

    @abstractmethod
    def nonfinite(self, select: Callable[[Nest], Nest], copies: int | None = None) -> list[tuple[str, int]]:
        """See Held."""

    @abstractmethod
    def restore(self, state: Nest) -> None:
        """See Held."""


class Compiled(Held, Running):
    """A step compiled by XLA, with its state on the device, updated in place. Made by `compile`."""

    def __init__(self, step: Callable[..., tuple[Nest, Nest]], state: Nest, like: Compiled | None = None):
        super().__init__(state)
        self.trace_count = 0

        def traced(inputs: tuple) -> Any:
            self.trace_count += 1
            one_step = _traced(step, self.spec, *tf.nest.map_structure(tf.TensorSpec.from_tensor, inputs))
            self.graph = one_step.graph
            return one_step

        def call(*inputs: Nest) -> Nest:
            state, outputs = _once(traced(inputs), self._read(), inputs)
            self._assign(state)
            return outputs

        def run(iterations: tf.Tensor, *variables: tf.Variable) -> Nest:
            state = tf.nest.pack_sequence_as(self.spec, [variable.read_value() for variable in variables])
            state, sums = _repeated(traced(()), iterations, state)
            for variable, leaf in zip(variables, tf.nest.flatten(state), strict=True):
                variable.assign(leaf, read_value=False)
            return sums

        # Another of the same step, of states of the same shapes and dtypes, has traced and compiled it already.
        self._run: tf.types.experimental.PolymorphicFunction = like._run if like else graph(run, jit_compile=True)
        self._call = graph(call, jit_compile=True)
        self._programs: dict[tuple, Program] = {}  # by the shapes and dtypes of the inputs
        self._step = step

    def __call__(self, *inputs: Nest) -> Nest:
        """Runs `state, outputs = step(state, *inputs)` once and returns the outputs."""
        leaves = tensors(inputs)
        # Found here rather than by tf.function, whose search takes as long as many a step.
        kind = tuple((*leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._programs:
            self._programs[kind] = direct(self._call, inputs)
        return self._programs[kind](leaves)

    def run(self, iterations: int) -> Nest:
        """See Running."""
        sums = self._run(tf.constant(iterations, tf.int32), *tf.nest.flatten(self._variables))
        return tf.nest.map_structure(lambda leaf: leaf.numpy(), sums)

    def trace(self) -> None:
        """Traces the step of `run`, which other threads may then call."""
        self._run.get_concrete_function(tf.TensorSpec([], tf.int32), *tf.nest.flatten(self._variables))

    def hlo(self, stage: str = "optimized_hlo") -> str:
        """What XLA makes of `run`, as text."""
        ir = self._run.experimental_get_compiler_ir(tf.constant(1), *tf.nest.flatten(self._variables))
        return ir(stage=stage)

    def lower(self, platform: str, stage: str = "hlo_serialized") -> str | bytes:
        """What `lower` says of this step and state."""
        return lower(self._step, self.spec, platform, stage)


def lower(step: Callable[[Nest], tuple[Nest, Nest]], spec: Nest, platform: str, stage: str) -> str | bytes:
    """What TensorFlow asks XLA to compile for `Compiled.run` on a platform that need not be here.

    The state is an argument and a result, as the values of variables are in a compiled program: variables themselves
    cannot be lowered for a device that is not there. Arguments are the number of iterations and the leaves of the
    state; results are the leaves of the state and of the sums.

    Args:
      step: as that of `compile`, without inputs.
      spec: of the state.
      platform: "CPU", "GPU" or "TPU"; the installed TensorFlow needs its kernels.
      stage: "hlo_serialized" for bytes, "hlo" or "stablehlo" for text.
    """

    def run(iterations: tf.Tensor, *leaves: tf.Tensor) -> tuple[Nest, Nest]:
        return _repeated(_traced(step, spec), iterations, tf.nest.pack_sequence_as(spec, leaves))

    # No nests, because `experimental_get_compiler_ir` takes specifications only one by one.
    specs = [tf.TensorSpec([], tf.int32), *tf.nest.flatten(spec)]
    compiled = graph(run, jit_compile=True)
    return compiled.experimental_get_compiler_ir(*specs)(stage=stage, platform_name=platform)


def _traced(step: Callable[..., tuple[Nest, Nest]], spec: Nest, *inputs: Nest) -> Any:
    """The graph of a step; raises ValueError if it changes a shape or dtype of the state."""
    with collected_later():
        one_step = graph(step).get_concrete_function(spec, *inputs)
    check_specs("compile: step", one_step.structured_outputs[0], spec)
    return one_step


def _once(one_step: Any, state: Nest, inputs: tuple) -> tuple[Nest, Nest]:
    """The state after a traced step with inputs, and its outputs.

    The step is in a loop that XLA takes away again. Without one, the gradient of a function within the step may make
    its arguments look like constants, and then a program is compiled for each of their values.
    """

    specs = one_step.structured_outputs[1]

    def body(count: tf.Tensor, state: Nest, _: list) -> tuple:
        state, outputs = one_step(state, *inputs)
        return count + 1, state, [leaf for leaf in tf.nest.flatten(outputs) if leaf is not None]

    outputs = [tf.zeros(spec.shape, spec.dtype) for spec in tf.nest.flatten(specs) if spec is not None]
    _, state, outputs = tf.while_loop(lambda count, *_: count < 1, body, (tf.constant(0), state, outputs))
    leaves = iter(outputs)
    return state, tf.nest.map_structure(lambda spec: None if spec is None else next(leaves), specs)


def _repeated(one_step: Any, iterations: tf.Tensor, state: Nest) -> tuple[Nest, Nest]:
    """The state after so many iterations of a traced step, and the sums of its outputs."""

    def body(count: tf.Tensor, state: Nest, sums: Nest) -> tuple:
        state, outputs = one_step(state)
        return count + 1, state, tf.nest.map_structure(lambda s, x: s + tf.cast(x, s.dtype), sums, outputs)

    # Integers would overflow.
    sums = tf.nest.map_structure(
        lambda x: tf.zeros(x.shape, x.dtype if x.dtype.is_floating else tf.float32), one_step.structured_outputs[1]
    )
    _, state, sums = tf.while_loop(lambda count, *_: count < iterations, body, (tf.constant(0), state, sums))
    return state, sums


def compile(step: Callable[..., tuple[Nest, Nest]], state: Nest) -> Compiled:
    """Compiles `step: (state, *inputs) -> (state, outputs)`, to be called once or run in a loop.

    The state is held in variables that the compiled call reads and assigns, which lets XLA update it in
    place: this is the one place where tensors meet variables.

    Args:
      step: a pure function. For `run`, it takes no inputs.
      state: the state to begin with; shapes and dtypes stay as they are.

    Returns:
      A Compiled; its first call compiles.

    Raises:
      ValueError: at the first call, if the step changes a shape or dtype; the message names the leaf.
    """
    return Compiled(step, state)


def check_specs(label: str, given: Nest, expected: Nest) -> None:
    """Raises ValueError, naming the leaf, if two nests of tensors differ in their structure, a shape or a dtype."""
    try:
        tf.nest.assert_same_structure(given, expected)
    except (TypeError, ValueError):
        raise ValueError(
            f"{label}: the state has another structure than before: {_differences(given, expected)}"
        ) from None
    pairs = zip(struct.named_leaves(given), struct.named_leaves(expected), strict=True)
    for (name, leaf), (_, spec) in pairs:
        if leaf.shape != spec.shape or leaf.dtype != spec.dtype:
            raise ValueError(
                f"{label}: {name} is {leaf.dtype.name} {tuple(leaf.shape)}, "
                f"expected {spec.dtype.name} {tuple(spec.shape)}"
            )


def _differences(given: Nest, expected: Nest) -> str:
    """The leaves by which two nests differ, by name, or that the same names are in other containers."""
    names, before = ([name for name, _ in struct.named_leaves(nest)] for nest in (given, expected))
    gone = [name for name in before if name not in names]
    new = [name for name in names if name not in before]
    told = [
        f"{some[0]}{f' and {len(some) - 1} more' * (len(some) > 1)} {word}"
        for some, word in ((gone, "gone"), (new, "new"))
        if some
    ]
    return " and ".join(told) or "the same leaves in other tuples, lists or dicts"
