"""The decorator that gives a public function its signature: kinds, shapes and ranges of its tensors.

    @signature(q_tm1="float ... A", a_tm1="int ...", discount_t="float ...", lambda_="float | ... in [0, 1]")
    def f(q_tm1, a_tm1, discount_t, lambda_, flag=True): ...

A kind (float, int, bool, key, any) comes first, then the axes. A capital names an axis that has the
same size wherever it is named; a number is a size; `...` stands for the batch axes, any number of them. Arguments
have either none, one value for the whole batch, or as many as the others; then they broadcast where one of them
says so with an axis of size one. `T ...` is a time-major sequence. `|` separates alternatives; the empty
alternative is a scalar. A range at the end, such as `in [0, 1]` or `in [0, A)`, holds for values that
are known when the function is called, and so does `increasing`: each row of the last axis then grows strictly. Axes of
unknown size fit anything.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import tensorflow as tf

from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.calls import graph

P = ParamSpec("P")
R = TypeVar("R")

_RANGE = re.compile(r"^(?P<axes>.*?)\s+in\s+(?P<open>[\[(])(?P<low>[^,]+),(?P<high>[^\])]+)(?P<close>[\])])$")
_INCREASING = " increasing"
_INTEGERS = {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64}


class _Argument(NamedTuple):
    kind: str
    layouts: tuple[tuple[str, ...], ...]  # alternatives, each a sequence of axis names and "..."
    bounds: tuple[str, str, str, str] | None  # bracket, low, high, bracket
    increases: bool
    text: str  # as written


def signature(check: Callable[..., None] | None = None, /, **specs: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Checks and converts the named arguments, and runs the function as a graph where it is called eagerly.

    - Python numbers, lists and NumPy scalars take the floating-point type of the tensors and arrays
      beside them (float32 where there are none), so the type of the result follows the inputs.
    - Integer arguments become int32.
    - A sequence without batch axes gets axes of size one after its time axis, where its neighbours have some.
    - None is passed on where it is the default.
    - Calls that differ in batch axes and time axes only share one graph, from the second such call on.

    Args:
      check: called before the function, with all that it gets, at each call: what `specs` cannot say of shapes. In the
        function itself it would be lost on later calls, whose graph fits any batch.
      **specs: one text per argument, as in the module's docstring. Other arguments are left alone.

    Returns:
      A decorator. The decorated function raises TypeError for a wrong dtype and ValueError for a wrong
      rank, shape or range, each with the name of the argument, what was given and what was expected.
    """
    return _decorator(specs, check)


def arguments(**specs: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Checks and converts as `signature` does, for functions whose result a graph cannot return.

    Args:
      **specs: as for `signature`.

    Returns:
      A decorator. What the function returns, such as a distribution, is passed on as it is.
    """
    return _decorator(specs, as_graph=False)


def _decorator(
    specs: dict[str, str], check: Callable[..., None] | None = None, as_graph: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    arguments = {name: _parse(text) for name, text in specs.items()}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        python_signature = inspect.signature(function)
        graphs: dict[Hashable, Callable[P, R]] = {}  # by kind of call

        @tf.autograph.experimental.do_not_convert  # nothing here needs it, and it would double the time to trace
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                bound = python_signature.bind(*args, **kwargs)
            except TypeError as error:
                names = ", ".join(python_signature.parameters)
                raise TypeError(f"{function.__name__}: {error}; it takes {names}") from None
            bound.apply_defaults()
            for name, value in bound.arguments.items():
                if name not in arguments and isinstance(value, np.generic):
                    bound.arguments[name] = value.item()  # a graph would make a tensor of it
                elif name in arguments and value is None and python_signature.parameters[name].default is not None:
                    raise TypeError(f"{function.__name__}: {name} is None, expected [{arguments[name].text}]")
            given = {name: bound.arguments[name] for name in arguments if bound.arguments[name] is not None}
            tensors, layouts = _convert(function.__name__, given, arguments)
            bound.arguments.update(tensors)
            if check:
                check(*bound.args, **bound.kwargs)
            if not (as_graph and tf.executing_eagerly()):
                return function(*bound.args, **bound.kwargs)
            kind = _kind_of_call(bound.arguments, layouts)
            if kind not in graphs:
                graphs[kind] = graph(function, reduce_retracing=True)
            return graphs[kind](*bound.args, **bound.kwargs)

        return checked

    return decorate


def _parse(text: str) -> _Argument:
    kind, _, rest = text.removesuffix(_INCREASING).partition(" ")
    match = _RANGE.match(" " + rest)
    bounds = None
    if match:
        bounds = (match["open"], match["low"].strip(), match["high"].strip(), match["close"])
        rest = match["axes"].strip()
    layouts = tuple(tuple(alternative.split()) for alternative in rest.split("|"))
    return _Argument(kind, layouts, bounds, text.endswith(_INCREASING), text)


def _kind_of_call(values: dict[str, Any], layouts: dict[str, tuple[str, ...]]) -> Hashable:
    """What a graph depends on: all but the numbers in tensors, and the sizes of time axes and batch axes."""
    parts: list[Hashable] = []
    for name, value in values.items():
        for leaf in tf.nest.flatten(value):
            shape = tuple(leaf.shape) if _has_dtype(leaf) else ()
            if "..." in layouts.get(name, ()):
                _, after = _around_batch(layouts[name])
                shape = (None,) * (len(shape) - len(after)) + shape[len(shape) - len(after) :]
            parts.append((leaf.dtype, shape) if _has_dtype(leaf) else leaf)
        parts.append(name)
    return tuple(part if isinstance(part, Hashable) else id(part) for part in parts)


def _convert(
    function: str, given: dict[str, Any], arguments: dict[str, _Argument]
) -> tuple[dict[str, tf.Tensor], dict[str, tuple[str, ...]]]:
    """The arguments as tensors whose batch axes line up, and the layout of each."""
    float_type = _common_float_type(function, given, arguments)
    tensors: dict[str, tf.Tensor] = {}
    for name, value in given.items():
        tensors[name] = _tensor(f"{function}: {name}", value, arguments[name], float_type)
    layouts = _check_shapes(function, tensors, arguments)
    return _align_batches(tensors, layouts), layouts


def _has_dtype(value: Any) -> bool:
    return isinstance(value, np.ndarray | tf.Tensor | tf.Variable) or tf.is_tensor(value)


def _common_float_type(function: str, given: dict[str, Any], arguments: dict[str, _Argument]) -> tf.DType:
    types = {
        name: tf.as_dtype(value.dtype)
        for name, value in given.items()
        if arguments[name].kind == "float" and _has_dtype(value) and tf.as_dtype(value.dtype).is_floating
    }
    if len(set(types.values())) > 1:
        listed = ", ".join(f"{name} is {dtype.name}" for name, dtype in types.items())
        raise TypeError(f"{function}: floating-point arguments must have one dtype, given {listed}")
    return next(iter(types.values()), tf.float32)


def _tensor(label: str, value: Any, argument: _Argument, float_type: tf.DType) -> tf.Tensor:
    wanted = {"float": float_type, "int": tf.int32, "bool": tf.bool, "key": tf.uint32}.get(argument.kind)
    try:
        if _has_dtype(value) or wanted is None or argument.kind == "int":
            tensor = tf.convert_to_tensor(value)
        else:
            tensor = tf.convert_to_tensor(value, wanted)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{label} is {value!r}, expected a tensor of kind {argument.kind}: {error}") from None
    fits = {
        "float": tensor.dtype.is_floating,
        "int": tensor.dtype in _INTEGERS,
        "bool": tensor.dtype == tf.bool,
        "key": tensor.dtype == tf.uint32,
        "any": True,
    }[argument.kind]
    if not fits:
        raise TypeError(f"{label} is {tensor.dtype.name}, expected kind {argument.kind}")
    return _as_int32(label, tensor) if argument.kind == "int" else tensor


def _as_int32(label: str, tensor: tf.Tensor) -> tf.Tensor:
    if tensor.dtype.max > tf.int32.max and (known := tf.get_static_value(tensor)) is not None:
        outside = (known < tf.int32.min) | (known > tf.int32.max)
        if outside.any():
            raise ValueError(f"{label} holds {known[outside].flat[0]}, expected values that int32 holds")
    return tf.cast(tensor, tf.int32)


def _check_range(label: str, tensor: tf.Tensor, bounds: tuple[str, str, str, str], sizes: dict) -> None:
    constant = tf.get_static_value(tensor)
    if constant is None:
        return
    left, low, high, right = bounds
    if high.isupper():  # the size of an axis, if it is known
        high = str(sizes.get(high, (math.inf,))[0])
    lowest, highest = float(low), float(high)
    values = np.asarray(constant, np.float64)
    inside = values >= lowest if left == "[" else values > lowest
    inside &= values <= highest if right == "]" else values < highest
    if not inside.all():
        worst = values[~inside].flat[0]
        raise ValueError(f"{label} holds {worst:g}, expected values in {left}{lowest:g}, {highest:g}{right}")


def _check_increasing(label: str, tensor: tf.Tensor) -> None:
    constant = tf.get_static_value(tensor)
    if constant is None:
        return
    values = np.asarray(constant, np.float64)
    before, after = values[..., :-1], values[..., 1:]
    if (wrong := ~(before < after)).any():
        given = f"{after[wrong][0]:g} after {before[wrong][0]:g}"
        raise ValueError(f"{label} holds {given}, expected values that increase strictly")


def _check_shapes(
    function: str, tensors: dict[str, tf.Tensor], arguments: dict[str, _Argument]
) -> dict[str, tuple[str, ...]]:
    sizes: dict[str, tuple[int, str]] = {}
    chosen = {}
    for name, tensor in tensors.items():
        argument = arguments[name]
        if tensor.shape.rank is None:
            raise ValueError(f"{function}: the number of axes of {name} is unknown, expected [{argument.text}]")
        label = f"{function}: {name} has shape {tuple(tensor.shape)}, expected [{argument.text}]"
        layout = _fitting_layout(tensor.shape.rank, argument)
        if layout is None:
            raise ValueError(label)
        chosen[name] = layout
        before, after = _around_batch(layout)
        named = list(zip(before, tensor.shape[: len(before)], strict=True))
        named += list(zip(after, tensor.shape[tensor.shape.rank - len(after) :], strict=True))
        for axis, size in named:
            known = sizes.setdefault(axis, (size, name)) if size is not None else (None, name)
            if axis.isdigit() and size not in (None, int(axis)):
                raise ValueError(label)
            if size is not None and known[0] != size:
                raise ValueError(f"{label} with {axis} = {known[0]} as in {known[1]}")
    _check_batches(function, tensors, chosen)
    for name, tensor in tensors.items():
        if bounds := arguments[name].bounds:
            _check_range(f"{function}: {name}", tensor, bounds, sizes)
        if arguments[name].increases:
            _check_increasing(f"{function}: {name}", tensor)
    return chosen


def _check_batches(function: str, tensors: dict[str, tf.Tensor], layouts: dict[str, tuple[str, ...]]) -> None:
    """Refuses what would broadcast by accident, such as `[B, 1]` with `[B]` to `[B, B]`."""
    batches = {name: _batch_shape(tensors[name].shape, layout) for name, layout in layouts.items()}
    batches = {name: batch for name, batch in batches.items() if batch.rank}
    common = next(iter(batches.values()), tf.TensorShape([]))
    for name, batch in batches.items():
        both = _broadcast(common, batch) if batch.rank == common.rank else None
        if both is not None:
            common = both
            continue
        other = next(n for n, b in batches.items() if b.rank != batch.rank or _broadcast(b, batch) is None)
        differ = batches[other].rank != batch.rank
        raise ValueError(
            f"{function}: {name} has shape {tuple(tensors[name].shape)} and {other} has shape "
            f"{tuple(tensors[other].shape)}, whose batch axes {list(batch)} and {list(batches[other])} "
            + ("differ in number: squeeze an axis, or add one of size 1 on purpose" if differ else "do not broadcast")
        )


def _broadcast(one: tf.TensorShape, other: tf.TensorShape) -> tf.TensorShape | None:
    try:
        return tf.broadcast_static_shape(one, other)
    except ValueError:
        return None


def _batch_shape(shape: tf.TensorShape, layout: tuple[str, ...]) -> tf.TensorShape:
    before, after = _around_batch(layout)
    return shape[len(before) : shape.rank - len(after)] if "..." in layout else tf.TensorShape([])


def _fitting_layout(rank: int, argument: _Argument) -> tuple[str, ...] | None:
    for layout in argument.layouts:
        named = [axis for axis in layout if axis != "..."]
        if rank == len(named) or (rank > len(named) and "..." in layout):
            return layout
    return None


def _around_batch(layout: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if "..." not in layout:
        return layout, ()
    split = layout.index("...")
    return layout[:split], layout[split + 1 :]


def _align_batches(tensors: dict[str, tf.Tensor], layouts: dict[str, tuple[str, ...]]) -> dict[str, tf.Tensor]:
    """Inserts axes of size one after leading named axes, so that `[T]` broadcasts with `[T, B]`."""
    batched = {name: layout for name, layout in layouts.items() if "..." in layout}
    rank = max((_batch_shape(tensors[name].shape, layout).rank for name, layout in batched.items()), default=0)
    aligned = dict(tensors)
    for name, layout in batched.items():
        before, _ = _around_batch(layout)
        if before and not _batch_shape(tensors[name].shape, layout).rank and rank:
            sizes = sizes_of(tensors[name])
            aligned[name] = tf.reshape(tensors[name], [*sizes[: len(before)], *[1] * rank, *sizes[len(before) :]])
    return aligned
