import numpy as np
import pytest
import tensorflow as tf

from rl_fn._src.shapes import check_order
from rl_fn._src.signature import signature
from tests.support import assert_refuses


@signature(x="float T ... A", y="float T ...", i="int ... in [0, A)", p="float | ... in (0, 1]", flag="bool T ...")
def function(x, y, i=0, p=0.5, flag=None, label="none"):
    del label
    total = x + y[..., tf.newaxis] * p
    return total if flag is None else tf.where(flag[..., tf.newaxis], total, x), i


X = np.ones((4, 2, 3), np.float32)


def test_python_numbers_and_lists_take_the_dtype_beside_them():
    for dtype in (np.float32, np.float64):
        total, index = function(X.astype(dtype), [[1.0, 2.0]] * 4, i=2, p=1)
        assert total.dtype == dtype
        assert index.dtype == tf.int32
    assert function([[1.0]], [2.0])[0].dtype == tf.float32


def test_sequences_of_fewer_axes_are_aligned_at_the_time_axis():
    np.testing.assert_array_equal(function(X, [1.0, 2.0, 3.0, 4.0], p=1.0)[0][:, 1, 0], [2, 3, 4, 5])


def test_runs_as_a_graph_unless_told_otherwise():
    modes = []

    @signature(x="float ...")
    def spy(x):
        modes.append(tf.executing_eagerly())
        return x

    spy(1.0)
    tf.config.run_functions_eagerly(True)
    try:
        spy(1.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert modes == [False, True]


def test_changing_numbers_do_not_retrace():
    traces = []

    @signature(x="float ...", p="float in [0, 1]")
    def traced(x, p):
        traces.append(p)
        return x * p

    for p in np.linspace(0, 1, 20):
        traced(X, float(p))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": X[0, 0], "y": 1.0}, ValueError, r"x has shape \(3,\), expected \[float T ... A\]"),
        ({"x": X, "y": np.ones(5, np.float32)}, ValueError, r"y has shape \(5,\).*T = 4 as in x"),
        ({"x": X, "y": np.ones((4, 5), np.float32)}, ValueError, r"y has shape \(4, 5\).*do not broadcast"),
        ({"x": X, "y": X[..., 0], "i": 3}, ValueError, r"i holds 3, expected values in \[0, 3\)"),
        ({"x": X, "y": X[..., 0], "i": np.int64(2**32)}, ValueError, "i holds 4294967296, expected values that int32"),
        ({"x": X, "y": X[..., 0], "p": 0.0}, ValueError, r"p holds 0, expected values in \(0, 1\]"),
        ({"x": X, "y": X[..., 0], "p": float("nan")}, ValueError, "p holds nan"),
        ({"x": X, "y": X[..., 0].astype(np.float64)}, TypeError, "x is float32, y is float64"),
        ({"x": X, "y": np.ones((4, 2), np.int64)}, TypeError, "y is int64, expected kind float"),
        ({"x": X, "y": X[..., 0], "flag": X[..., 0]}, TypeError, "flag is float32, expected kind bool"),
        ({"x": X, "y": "text"}, TypeError, "y is 'text'"),
    ],
)
def test_refusals_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=f"function: .*{message}" if "dtype" in message else message):
        function(**arguments)
    with pytest.raises(error, match=message):
        tf.function(lambda: function(**arguments), autograph=False)()


def test_a_call_without_an_argument_says_what_is_taken():
    with pytest.raises(TypeError, match=r"function: missing a required argument: 'y'; it takes x, y"):
        function(X)


@signature(
    lambda low, high, bins: check_order("ordered", low=low, high=high),
    low="float | N",
    high="float | N",
    bins="float ... N increasing",
)
def ordered(low, high, bins):
    return low + high + bins


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, [0.0, 2.0, 2.0]), r"bins holds 2 after 2, expected values that increase strictly"),
        ((0.0, 1.0, [[0.0, 2.0], [3.0, 1.0]]), r"bins holds 1 after 3, expected"),
        ((0.0, 1.0, [0.0, float("nan")]), r"bins holds nan after 0, expected"),
        ((1.5, 1.0, [0.0, 2.0]), r"low is 1.5 and high 1, expected low <= high"),
        ((0.5, [1.0, 0.25], [0.0, 2.0]), r"low is 0.5 and high 0.25, expected low <= high"),
    ],
)
def test_what_has_an_order_is_refused_in_another(arguments, message):
    ordered(0.0, [1.0, 0.0], [[0.0, 2.0], [3.0, 4.0]])
    assert_refuses(f"ordered: {message}", ordered, *arguments)
