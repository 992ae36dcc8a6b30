"""Programs called directly give what they give when they are called with all checks."""

import gc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import execute
from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

from rl_fn import loops
from rl_fn._src.xla import calls, fallback, lent
from tests.support import assert_nests_close

Pair = namedtuple("Pair", "first second")
INPUTS = ({"b": tf.constant([2.0, 3.0]), "a": tf.constant(4)}, Pair(tf.constant(5.0), ()))
EXPECTED = {"sum": np.array([17.0, 18.0]), "nested": Pair(4, (5.0, {"b": np.array([2.0, 3.0])}))}


def call_once():
    """Compiles and calls a function of nests, which captures a tensor."""
    offset = tf.constant(10.0)

    def function(x, pair):
        return {"sum": x["b"] + pair.first + offset, "nested": Pair(x["a"], (pair.first, {"b": x["b"]}))}

    return calls.compile_once(function)(*INPUTS)


def test_a_compiled_function_takes_and_returns_nests():
    assert_nests_close(call_once(), EXPECTED)


def test_all_kinds_of_nests_come_back_as_they_were_made():
    nest = {"b": [1, ()], "a": Pair(None, {"z": 2, "y": (3,)})}
    found = calls.compile_once(lambda zero: tf.nest.map_structure(lambda x: None if x is None else x + zero, nest))(0)
    assert tf.nest.map_structure(lambda x: None if x is None else int(x), found) == nest
    assert [type(found["b"]), type(found["a"]), type(found["a"].second["y"])] == [list, Pair, tuple]


def test_a_program_is_there_as_long_as_whoever_calls_it():
    program = calls.direct(calls.graph(lambda x: x + 1, jit_compile=True), (tf.constant(1.0),))
    gc.collect()
    assert float(program([tf.constant(2.0)])) == 3


ARRAYS = {
    "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns first": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "every second": np.arange(12, dtype=np.int64)[::2],
    "backwards": np.arange(5, dtype=np.uint8)[::-1],
    "not where words begin": np.frombuffer(b"0" + np.arange(4, dtype=np.int32).tobytes(), np.int32, offset=1),
    "the other order of bytes": np.arange(3, dtype=">f4"),
    "truths": np.array([True, False, True]),
    "half": np.array([0.5, -2.0], np.float16),
    "short": np.array([-1, 2], np.int16),
    "one": np.array(7, np.uint32),
    "none": np.zeros([0, 3], np.float32),
    "copied from one": np.broadcast_to(np.float32(3), [2, 2]),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_become_tensors_of_the_same_numbers(kind):
    array = ARRAYS[kind]
    (tensor,) = calls.tensors((array,))
    assert (tensor.dtype, tensor.shape) == (tf.as_dtype(array.dtype.newbyteorder("=")), array.shape)
    np.testing.assert_array_equal(tensor, array)
    np.testing.assert_array_equal(calls.compile_once(lambda x: tf.reshape(x, [-1]))(array), array.reshape(-1))


def test_an_empty_array_is_read_where_it_lies_and_another_where_it_was_copied_to():
    room = lent.empty([2, 3000], np.float32)
    (tensor,) = calls.tensors((room,))
    room[:] = 5
    assert (tensor.numpy() == 5).all()
    other = np.frombuffer(bytearray(13), np.float32, 3, 1)
    (tensor,) = calls.tensors((other,))
    other[:] = 5
    assert tensor.numpy().tolist() == [0, 0, 0]


def test_what_is_written_to_an_array_after_a_call_does_not_change_its_outputs():
    array = lent.empty([3000], np.float32)
    array[:] = 1
    outputs = calls.compile_once(lambda x: {"same": x, "part": x[:2], "more": x + 1})(array)
    array[:] = 7
    assert_nests_close(outputs, {"same": np.ones(3000), "part": np.ones(2), "more": np.full(3000, 2.0)})


def test_many_small_arrays_do_not_get_in_each_others_way():
    arrays = [np.full([index % 7, 60], index, np.float32) for index in range(3000)]
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda array: calls.tensors((array,))[0], arrays))
    for array, tensor in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(tensor, array)


def test_where_tensors_cannot_lie_where_arrays_do_they_are_converted(monkeypatch):
    monkeypatch.setattr(lent, "_lends", lambda dtype: False)
    for array in ARRAYS.values():
        np.testing.assert_array_equal(calls.tensors((array,))[0], array)


def test_a_function_is_traced_for_its_first_call_only():
    traces = []
    double = calls.compile_once(lambda x: traces.append(x.shape) or 2 * x)
    assert [float(double(x)) for x in (1.0, np.float32(2), tf.constant(3.0))] == [2.0, 4.0, 6.0]
    assert traces == [[]]


def test_graphs_of_the_same_code_are_not_taken_for_one_that_is_traced_again_and_again(caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    for factor in range(8):
        assert float(calls.graph(lambda x, factor=factor: factor * x)(tf.constant(2.0))) == 2 * factor
    assert caplog.messages == []
    for factor in range(8):
        tf.function(lambda x, factor=factor: factor * x)(tf.constant(2.0))
    assert "triggered tf.function retracing" in caplog.messages[0]


def absent(monkeypatch):
    monkeypatch.delattr(ConcreteFunction, "inference_fn")


def without_the_operation(monkeypatch):
    monkeypatch.delattr(execute, "quick_execute")


def of_another_signature(monkeypatch):
    monkeypatch.setattr(calls, "_flat", lambda program: lambda leaves: program.inference_fn.call_flat(leaves))


def of_another_meaning(monkeypatch):
    monkeypatch.setattr(calls, "_flat", lambda program: lambda leaves: program.inference_fn.call_flat(*leaves, *leaves))


@pytest.mark.parametrize("change", [absent, without_the_operation, of_another_signature, of_another_meaning])
def test_without_private_names_calls_give_the_same_and_it_is_said_once(change, monkeypatch, caplog, capfd):
    monkeypatch.setattr(calls, "_flat_calls_work", calls._flat_calls_work.__wrapped__)
    fallback.say_slower.cache_clear()
    change(monkeypatch)
    assert_nests_close(call_once(), EXPECTED)
    step = loops.compile(lambda total, x: (total + x, {"total": total + x}), tf.constant(0))
    assert [int(step(tf.constant(number))["total"]) for number in (1, 2, 3)] == [1, 3, 6]
    assert step.read() == 6
    fallback.say_slower.cache_clear()
    assert len(caplog.messages) == 1
    assert "programs are called with all their checks; results are the same" in caplog.messages[0]
    assert tuple(capfd.readouterr()) == ("", "")
