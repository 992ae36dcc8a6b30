"""Loops vectorised over copies give what each copy gives alone, and stay plain loops."""

import importlib.util
import sys
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops.parallel_for import pfor

from rl_fn import random, struct
from rl_fn._src.scan import scan
from rl_fn._src.xla import copies, fallback
from rl_fn._src.xla.copies import vectorized_map


def nested(x):
    """A loop in a loop; the total and the rows begin as what all copies share."""

    def outer(total, row):
        inner, _ = scan(lambda carry, value: (carry * tf.sin(value), None), tf.constant(1.0), row)
        return total + inner, (inner, tf.constant(3))

    total, (rows, threes) = scan(outer, tf.constant(0.0), x)
    return total, rows, threes


def untied(x):
    """A TensorFlow loop of a value that all copies share until the first step, and of one that they always do."""

    def body(count, value, shared):
        return count + 1, value + x[count], shared * 2

    return tf.while_loop(lambda count, *_: count < 3, body, (tf.constant(0), tf.constant(1.0), tf.constant(1.0)))


def swapped(x):
    """What was per copy at the start is shared after a step, and the other way round."""
    _, first, second = tf.while_loop(
        lambda count, *_: count < 3, lambda count, a, b: (count + 1, b, a), (tf.constant(0), x[0], tf.constant(5.0))
    )
    return first, second


def as_long_as_it_takes(x):
    """A loop that each copy leaves after a number of steps of its own."""
    return tf.while_loop(
        lambda value, steps: value < 10.0, lambda value, steps: (value * 2, steps + 1), (1 + tf.abs(x[0]), 0)
    )


CASES = [(nested, False), (nested, True), (untied, False), (untied, True), (swapped, False), (swapped, True)]
LEFT_ONE_BY_ONE = [(as_long_as_it_takes, False), (as_long_as_it_takes, True)]


@pytest.mark.parametrize(("function", "jit_compile"), [*CASES, *LEFT_ONE_BY_ONE])
def test_copies_are_what_they_are_alone(function, jit_compile):
    x = random.normal(random.key(0), [5, 3, 4]) if function is nested else random.normal(random.key(0), [5, 3])
    together = tf.function(lambda x: vectorized_map(function, x), jit_compile=jit_compile, autograph=False)(x)
    for index in range(5):
        alone = tf.function(function, autograph=False)(x[index])
        for ours, expected in zip(tf.nest.flatten(together), tf.nest.flatten(alone), strict=True):
            np.testing.assert_allclose(ours[index], expected, rtol=1e-5)


def convolved(stride, shared):
    """The value of a convolution, and its gradients by images and filters, of which all copies share one."""
    filters = random.normal(random.key(1), [3, 3, 2, 4])

    def function(x):
        sources = [x["images"], filters if shared == "filters" else x["filters"]]
        sources = [tf.ones([3, 7, 6, 2]), sources[1]] if shared == "images" else sources
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = tf.nn.conv2d(*sources, stride, "SAME")
            total = tf.reduce_sum(tf.sin(outputs))
        return outputs, tape.gradient(total, sources)

    return function


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shared", ["nothing", "filters", "images"])
@pytest.mark.parametrize(("copies_", "stride"), [(3, 1), (3, 2), (17, 2)])
def test_convolutions_of_copies_are_what_they_are_alone(copies_, stride, shared, jit_compile):
    shapes = {"images": [copies_, 3, 7, 6, 2], "filters": [copies_, 3, 3, 2, 4]}
    x = {name: random.normal(random.key(2), shape) for name, shape in shapes.items()}
    function = convolved(stride, shared)
    together = tf.function(lambda x: vectorized_map(function, x), jit_compile=jit_compile, autograph=False)(x)
    for index in (0, copies_ - 1):
        alone = function(struct.at(x, index))
        for ours, expected in zip(tf.nest.flatten(together), tf.nest.flatten(alone), strict=True):
            np.testing.assert_allclose(ours[index], expected, rtol=1e-4, atol=1e-4)


def hlo(mapped):
    """What XLA makes of the nested loops of five copies."""
    compiled = tf.function(lambda x: mapped(nested, x), jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(tf.zeros([5, 30, 40]))(stage="optimized_hlo")


def test_a_loop_over_copies_is_a_plain_loop():
    text = hlo(vectorized_map)
    loops = [line for line in text.splitlines() if " while(" in line]
    assert len(loops) == 2
    assert all('"known_trip_count"' in loop for loop in loops)
    assert " conditional(" not in text


def refuse(x):
    raise ValueError("refused")


def test_the_conversion_is_put_back():
    before = tf.vectorized_map(untied, tf.ones([2, 3]))[1]
    with pytest.raises(ValueError, match="refused"):
        vectorized_map(refuse, tf.ones(2))
    np.testing.assert_allclose(tf.vectorized_map(untied, tf.ones([2, 3]))[1], before)


def test_the_conversion_is_put_back_when_the_last_thread_is_done():
    table = dict(pfor._pfor_converter_registry)
    tracing, may_end = threading.Event(), threading.Event()

    def wait(x):
        tracing.set()
        assert may_end.wait(60)
        return x * 2

    first = threading.Thread(target=vectorized_map, args=(wait, tf.ones(2)))
    first.start()
    assert tracing.wait(60)

    def end_first(x):
        may_end.set()
        first.join()
        assert pfor._pfor_converter_registry != table
        return untied(x)

    vectorized_map(end_first, tf.ones([2, 3]))
    assert pfor._pfor_converter_registry == table


def without(name):
    """TensorFlow's module, but for one name."""
    return types.SimpleNamespace(**{other: value for other, value in vars(pfor).items() if other != name})


def with_another(name):
    """TensorFlow's module, where one name has another signature."""
    return types.SimpleNamespace(**{**vars(pfor), name: lambda: None})


OTHER_TENSORFLOWS = {
    "no module": None,
    **{f"no {name}": without(name) for name in ("_pfor_converter_registry", "WhileV2", "wrap")},
    **{f"another {name}": with_another(name) for name in ("PFor", "_convert_function_call")},
    "another table": types.SimpleNamespace(**{**vars(pfor), "_pfor_converter_registry": []}),
}


@pytest.fixture
def said(caplog, capfd):
    """Tells what has been said since the test began; nothing else may be printed."""
    fallback.say_slower.cache_clear()
    yield lambda: [record.getMessage() for record in caplog.records if record.name == fallback.__name__]
    fallback.say_slower.cache_clear()
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("other", OTHER_TENSORFLOWS)
def test_without_a_private_name_copies_are_the_same_and_it_is_said_once(other, monkeypatch, said):
    monkeypatch.setattr(copies, "parallel_for", OTHER_TENSORFLOWS[other])
    monkeypatch.setattr(copies, "_has_changed", False)
    x = random.normal(random.key(0), [5, 3, 4])
    for _ in range(2):
        totals, rows, threes = tf.function(lambda x: vectorized_map(nested, x), autograph=False)(x)
        np.testing.assert_allclose(rows, np.prod(np.sin(x), axis=2), rtol=1e-5)
        np.testing.assert_allclose(totals, np.sum(rows, axis=1), rtol=1e-5)
        np.testing.assert_array_equal(threes, np.full([5, 3], 3))
    (message,) = said()
    said_why = "loops and convolutions of copies are converted as TensorFlow does, and are slower; results are the same"
    assert said_why in message


@pytest.mark.parametrize("other", OTHER_TENSORFLOWS)
def test_without_a_private_name_convolutions_of_copies_are_the_same(other, monkeypatch, capfd):
    monkeypatch.setattr(copies, "parallel_for", OTHER_TENSORFLOWS[other])
    monkeypatch.setattr(copies, "_has_changed", False)
    shapes = {"images": [2, 3, 7, 6, 2], "filters": [2, 3, 3, 2, 4]}
    x = {name: random.normal(random.key(0), shape) for name, shape in shapes.items()}
    function = convolved(2, "nothing")
    together = tf.function(lambda x: vectorized_map(function, x), autograph=False)(x)
    alone = function(struct.at(x, 1))
    for ours, expected in zip(tf.nest.flatten(together), tf.nest.flatten(alone), strict=True):
        np.testing.assert_allclose(ours[1], expected, rtol=1e-4, atol=1e-4)


def test_without_the_private_module_loops_are_compiled_as_tensorflow_does(monkeypatch, said):
    package = sys.modules["tensorflow.python.ops.parallel_for"]
    monkeypatch.delattr(package, "pfor")
    monkeypatch.setitem(sys.modules, "tensorflow.python.ops.parallel_for.pfor", None)
    spec = importlib.util.spec_from_file_location("copies_without_pfor", copies.__file__)
    without_pfor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without_pfor)
    assert hlo(without_pfor.vectorized_map) != hlo(vectorized_map)
    x = random.normal(random.key(0), [5, 3, 4])
    compiled = lambda mapped: tf.function(lambda x: mapped(nested, x), jit_compile=True, autograph=False)(x)
    for ours, theirs in zip(compiled(without_pfor.vectorized_map), compiled(vectorized_map), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert len(said()) == 1


def test_what_no_converter_can_do_is_the_functions_own_fault(said):
    with pytest.raises(ValueError, match="No pfor vectorization"):
        vectorized_map(
            lambda x: tf.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, tf.bitcast(y, tf.float32)), (0, x)),
            tf.ones([2, 3]),
        )
    assert said() == []
