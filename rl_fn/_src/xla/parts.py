"""A traced step cut where devices meet, its parts compiled.

XLA compiles no meeting of devices for a CPU, and DTensor no whole training step. So a step that was traced as a graph
is cut at its meetings (`shards`): what lies between two of them is compiled, and loops in which devices meet are
counted in Python. What a part needs of another is handed over as tensors, on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from rl_fn._src.shards import MEETING
from rl_fn._src.xla.calls import compile_once

# Yields what a device brings to a meeting, is sent the sum over all devices, and returns the results.
Turn: TypeAlias = Generator[tf.Tensor, tf.Tensor, list[tf.Tensor]]
_LOOPS = ("While", "StatelessWhile")
_OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank")  # constants to XLA, where they stand beside what asks for them


class Compiled(NamedTuple):
    """A part without meetings."""

    function: Callable[..., list[tf.Tensor]]
    inputs: list[str]  # names of tensors
    outputs: list[str]


class Meeting(NamedTuple):
    input: str
    output: str


class Loop(NamedTuple):
    length: int
    body: Parts
    inputs: list[str]
    outputs: list[str]


class Parts:
    """A graph as the parts that it is made of, in their order.

    Args:
      graph: of a function without side effects but for its meetings.
      inputs: its arguments, captured tensors included.
      outputs: its results.

    Raises:
      ValueError: if devices meet in a loop of unknown length.
    """

    def __init__(self, graph: tf.Graph, inputs: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor]):
        self._graph = graph
        self._inputs, self._outputs = [one.name for one in inputs], [one.name for one in outputs]
        self._static = _static(graph, {one.op for one in inputs})
        self._definition: Any = graph.as_graph_def()
        self._nodes = {node.name: node for node in self._definition.node}
        self._items = self._cut({one.op for one in inputs}, outputs)
        del self._graph, self._definition, self._nodes, self._static  # which are large

    def run(self, values: Sequence[tf.Tensor]) -> Turn:
        """Runs the parts on the device of the caller of each turn."""
        found = dict(zip(self._inputs, values, strict=True))
        for item in self._items:
            match item:
                case Compiled(function, inputs, outputs):
                    found.update(zip(outputs, function(*[found[name] for name in inputs]), strict=True))
                case Meeting(name, output):
                    found[output] = yield found[name]
                case Loop(length, body, inputs, outputs):
                    state = [found[name] for name in inputs]
                    for _ in range(length):
                        state = yield from body.run(state)
                    found.update(zip(outputs, state, strict=True))
        return [found[name] for name in self._outputs]

    def _cut(self, given: set[tf.Operation], outputs: Sequence[tf.Tensor]) -> list[Compiled | Meeting | Loop]:
        """Each operation belongs to the part after the last meeting that it depends on."""
        wanted = _wanted(outputs)
        level: dict[tf.Operation, int] = dict.fromkeys(given, 0)
        members: dict[int, list[tf.Operation]] = {}
        between: dict[int, list[tf.Operation]] = {}
        for operation in self._graph.get_operations():
            if operation in given or operation not in wanted or operation in self._static:
                continue
            begin = max((level[one.op] for one in operation.inputs if one.op not in self._static), default=0)
            meets = operation.type == MEETING or _meets_in_loop(operation)
            (between if meets else members).setdefault(begin, []).append(operation)
            level[operation] = begin + meets
        needed = self._needed(members, between, outputs, level)
        items: list[Compiled | Meeting | Loop] = []
        for stage in range(max([*level.values(), 0]) + 1):
            if stage in needed:
                items.append(self._part(members.get(stage, []), list(needed[stage].values())))
            items += [self._meeting(operation) for operation in between.get(stage, [])]
        return items

    def _needed(self, members: dict, between: dict, outputs: Sequence[tf.Tensor], level: dict) -> dict[int, dict]:
        """The tensors that each part must hand over."""
        needed: dict[int, dict[str, tf.Tensor]] = {}
        last = max([*level.values(), 0])
        made = {operation for part in members.values() for operation in part}

        def need(tensor: tf.Tensor, stage: int) -> None:
            if tensor.op in self._static:
                needed.setdefault(stage, {})[tensor.name] = tensor
            elif tensor.op in made:
                needed.setdefault(level[tensor.op], {})[tensor.name] = tensor

        for stage, operations in between.items():
            for operation in operations:
                for tensor in operation.inputs:
                    need(tensor, stage)
        for stage, operations in members.items():
            for tensor in self._arguments(operations):
                need(tensor, stage)
        for tensor in outputs:
            need(tensor, last)
        return needed

    def _arguments(self, operations: list[tf.Operation]) -> list[tf.Tensor]:
        """What a part reads and does not make, with the static operations that it repeats."""
        inside, arguments = set(operations), {}
        waiting = list(operations)
        while waiting:
            for tensor in waiting.pop().inputs:
                if tensor.op in inside:
                    continue
                if tensor.op in self._static:
                    inside.add(tensor.op)
                    waiting.append(tensor.op)
                else:
                    arguments[tensor.name] = tensor
        return list(arguments.values())

    def _part(self, operations: list[tf.Operation], fetched: list[tf.Tensor]) -> Compiled:
        roots = [*operations, *(one.op for one in fetched if one.op in self._static)]
        arguments = self._arguments(roots)
        inside, waiting = set(), roots
        while waiting:
            operation = waiting.pop()
            if operation not in inside:
                inside.add(operation)
                waiting = waiting + [one.op for one in operation.inputs if one.op in self._static]
        part = tf.compat.v1.GraphDef(versions=self._definition.versions, library=self._definition.library)
        # A set's order differs from one process to the next, and with it would the program that XLA makes of the part.
        for operation in (one for one in self._graph.get_operations() if one in inside):
            node = part.node.add()
            node.CopyFrom(self._nodes[operation.name])
            data = [name for name in node.input if not name.startswith("^")]
            del node.input[:]
            node.input.extend(data)
        names, results = [one.name for one in arguments], [one.name for one in fetched]

        def function(*values: tf.Tensor) -> list[tf.Tensor]:
            given = dict(zip(names, values, strict=True))
            return tf.graph_util.import_graph_def(part, input_map=given, return_elements=results, name="part")

        return Compiled(compile_once(function), names, results)

    def _meeting(self, operation: tf.Operation) -> Meeting | Loop:
        if operation.type == MEETING:
            return Meeting(operation.inputs[0].name, operation.outputs[0].name)
        length = tf.get_static_value(operation.inputs[1])  # the most iterations, which are all where devices meet
        if length is None:
            raise ValueError("devices meet in a loop whose length is not known when it is traced")
        body = _body(operation)
        inputs, outputs = [one.name for one in operation.inputs], [one.name for one in operation.outputs]
        return Loop(int(length), Parts(body, body.inputs, body.outputs), inputs, outputs)


def _body(loop: tf.Operation) -> Any:
    """The graph of a loop's body; TensorFlow has no public name for it."""
    return loop.graph._get_function(loop.get_attr("body").name).graph


def _meets_in_loop(operation: tf.Operation) -> bool:
    if operation.type not in _LOOPS:
        return False
    return any(one.type == MEETING or _meets_in_loop(one) for one in _body(operation).get_operations())


def _static(graph: tf.Graph, given: set[tf.Operation]) -> set[tf.Operation]:
    """The operations whose results XLA knows when it compiles: of constants and shapes alone."""
    static: set[tf.Operation] = set()
    for operation in graph.get_operations():
        if operation in given or operation.type in (MEETING, *_LOOPS):
            continue
        if operation.type in _OF_SHAPES or all(one.op in static for one in operation.inputs):
            static.add(operation)
    return static


def _wanted(outputs: Sequence[tf.Tensor]) -> set[tf.Operation]:
    """The operations that results depend on."""
    wanted: set[tf.Operation] = set()
    waiting = [one.op for one in outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in wanted:
            wanted.add(operation)
            waiting += [one.op for one in operation.inputs]
    return wanted
