"""Programs called directly give what they give when they are called with all checks."""

from collections import namedtuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

from rl_fn import loops
from rl_fn._src.xla import calls, fallback
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


def of_another_signature(monkeypatch):
    monkeypatch.setattr(calls, "_flat", lambda program: lambda leaves: program.inference_fn.call_flat(leaves))


def of_another_meaning(monkeypatch):
    monkeypatch.setattr(calls, "_flat", lambda program: lambda leaves: program.inference_fn.call_flat(*leaves, *leaves))


@pytest.mark.parametrize("change", [absent, of_another_signature, of_another_meaning])
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
