import numpy as np
import pytest

from rl_fn import losses
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

rng = np.random.default_rng(0)
B, A = 5, 3
Q_TM1, Q_T, SELECTOR = (rng.normal(size=(B, A)).astype(np.float32) for _ in range(3))
V_TM1, V_T, R_T = (rng.normal(size=B).astype(np.float32) for _ in range(3))
A_TM1 = np.array([0, 2, 1, 1, 0])
DISCOUNT_T = np.array([0.9, 0.0, 1.0, 0.5, 0.99], np.float32)

CASES = {
    "td_learning": (losses.td_learning, (V_TM1, R_T, DISCOUNT_T, V_T), [0]),
    "q_learning": (losses.q_learning, (Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T), [0]),
    "double_q_learning": (losses.double_q_learning, (Q_TM1, A_TM1, R_T, DISCOUNT_T, Q_T, SELECTOR), [0]),
}


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    function, args, _ = CASES[name]
    assert_modes_agree(function, *args)


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_the_prediction_and_not_the_target(name):
    function, args, with_gradient = CASES[name]
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    function, args, _ = CASES[name]
    assert_bfloat16(function, *args)


def test_td_learning_by_hand():
    np.testing.assert_allclose(losses.td_learning([1.0, 2.0], [0.5, -1.0], [0.9, 0.0], [3.0, 4.0]), [2.2, -3.0])


def test_q_learning_by_hand():
    error = losses.q_learning([[1.0, 2.0], [3.0, 4.0]], [0, 1], [1.0, 1.0], [0.5, 0.0], [[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_allclose(error, [1 + 0.5 * 6 - 1, 1 - 4])


def test_double_q_learning_values_the_action_that_the_selector_prefers():
    error = losses.double_q_learning([1.0, 2.0], 0, 1.0, 0.5, [5.0, 6.0], [9.0, 8.0])
    np.testing.assert_allclose(error, 1 + 0.5 * 5 - 1)


def test_gradient_flows_through_the_target_where_asked():
    def q_learning(*args):
        return losses.q_learning(*args, stop_target_gradients=False)

    assert_gradients(q_learning, CASES["q_learning"][1], [0, 2, 3, 4])


def test_float64_in_float64_out():
    error = losses.td_learning(np.float64([1.0]), 0.5, 0.9, np.float64([3.0]))
    assert error.dtype == np.float64
    np.testing.assert_allclose(error, [0.5 + 0.9 * 3.0 - 1.0], rtol=1e-15)


def test_bad_inputs_are_refused_by_name():
    good = {"q_tm1": Q_TM1, "a_tm1": A_TM1, "r_t": R_T, "discount_t": DISCOUNT_T, "q_t": Q_T}
    assert_refuses(r"q_learning: q_t has shape \(5, 2\).*A = 3", losses.q_learning, **{**good, "q_t": Q_T[:, :2]})
    assert_refuses(r"q_learning: r_t has shape \(4,\).*broadcast", losses.q_learning, **{**good, "r_t": R_T[:4]})
    assert_refuses(r"q_learning: a_tm1 is float32", losses.q_learning, **{**good, "a_tm1": R_T})
    assert_refuses(r"q_learning: a_tm1 holds 3.*\[0, 3\)", losses.q_learning, **{**good, "a_tm1": A_TM1 + 1})
    assert_refuses(r"r_t is float64", losses.q_learning, **{**good, "r_t": R_T.astype(np.float64)})
    assert_refuses(r"q_learning: q_t has shape \(\)", losses.q_learning, **{**good, "q_t": 1.0})
