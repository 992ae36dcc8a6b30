import numpy as np
import pytest
import tensorflow as tf

from rl_fn import losses, random
from rl_fn._src.scan import scan
from tests.losses import definitions
from tests.losses.definitions import Case, by_example
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses, reference_case

rng = np.random.default_rng(0)
B, A, K, J, N, M, L = 4, 3, 5, 4, 3, 4, 2


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


ATOMS_TM1, ATOMS_T = np.float32([-2.0, -0.8, 0.1, 1.3, 2.1]), np.float32([-1.1, 0.3, 0.9, 1.6])
V_LOGITS_TM1, V_LOGITS_T, LOGITS_TM1, LOGITS_T = normal(B, K), normal(B, J), normal(B, A, K), normal(B, A, J)
A_TM1, R_T, SELECTOR = np.array([0, 2, 1, 1]), normal(B), normal(B, A)
DISCOUNT_T = np.array([0.9, 0.0, 1.0, 0.5], np.float32)
DIST_TM1, DIST_T, DIST_SELECTOR = normal(B, N, A), normal(B, M, A), normal(B, L, A)
TAU = rng.random((B, N)).astype(np.float32)  # as drawn for implicit quantiles
PROBS_A_T = rng.dirichlet(np.ones(A), B).astype(np.float32)
VALUES, EDGES = np.float32([-0.9, 0.2, 3.0, 0.97]), np.float32([-1.0, -0.4, 0.0, 0.5, 1.2, 1.9])
KAPPA, SIGMA = np.float32(0.7), np.float32(0.4)
SCALAR_LAST = lambda count: (0,) * count + (None,)


def case(name, args, axes=0, with_gradient=(0,), function=None, definition=None):
    return Case(function or getattr(losses, name), definition or getattr(definitions, name), args, axes, with_gradient)


ATOM_AXES = (None, 0, 0, 0, None, 0)
ACTION_AXES = (None, 0, 0, 0, 0, None, 0)
CATEGORICAL_V = (ATOMS_TM1, V_LOGITS_TM1, R_T, DISCOUNT_T, ATOMS_T, V_LOGITS_T)
CATEGORICAL_Q = (ATOMS_TM1, LOGITS_TM1, A_TM1, R_T, DISCOUNT_T, ATOMS_T, LOGITS_T)
QUANTILE_LOSS = (DIST_TM1[..., 0], TAU, DIST_T[..., 0], KAPPA)
QUANTILE_Q = (DIST_TM1, TAU, A_TM1, R_T, DISCOUNT_T, DIST_SELECTOR, DIST_T, KAPPA)
QUANTILE_SARSA = (DIST_TM1, TAU, A_TM1, R_T, DISCOUNT_T, DIST_T, PROBS_A_T, KAPPA)

CASES = {
    "categorical_l2_project": case(
        "categorical_l2_project", (normal(B, J), PROBS_A_T[:, [0, 1, 2, 0]], ATOMS_TM1), (0, 0, None), (0, 1, 2)
    ),
    "categorical_td_learning": case("categorical_td_learning", CATEGORICAL_V, ATOM_AXES, (1,)),
    "categorical_q_learning": case("categorical_q_learning", CATEGORICAL_Q, ACTION_AXES, (1,)),
    "categorical_double_q_learning": case(
        "categorical_double_q_learning", (*CATEGORICAL_Q, SELECTOR), (*ACTION_AXES, 0), (1,)
    ),
    "quantile_regression_loss": case("quantile_regression_loss", QUANTILE_LOSS, SCALAR_LAST(3), (0, 1, 3)),
    "quantile_regression_loss_divided": case(
        "",
        QUANTILE_LOSS,
        SCALAR_LAST(3),
        (0, 1, 3),
        lambda *x: losses.quantile_regression_loss(*x, divide_by_huber_param=True),
        lambda *x: definitions.quantile_regression_loss(*x, divide=True),
    ),
    "quantile_regression_loss_absolute": case(
        "quantile_regression_loss", (*QUANTILE_LOSS[:3], np.float32(0.0)), SCALAR_LAST(3), (0, 1)
    ),
    "quantile_q_learning": case("quantile_q_learning", QUANTILE_Q, SCALAR_LAST(7), (0, 1, 7)),
    "quantile_expected_sarsa": case("quantile_expected_sarsa", QUANTILE_SARSA, SCALAR_LAST(7), (0, 1, 7)),
    "hl_gauss_targets": case(
        "hl_gauss_targets", (np.float32([-0.9, 0.2, 1.7, 0.97]), EDGES, SIGMA), (0, None, None), (0, 1, 2)
    ),
    "hl_gauss_loss": case("hl_gauss_loss", (V_LOGITS_TM1, VALUES, EDGES, SIGMA), (0, 0, None, None)),
    "hl_gauss_values": case(
        "hl_gauss_values",
        (V_LOGITS_TM1, EDGES),
        (0, None),
        (0, 1),
        definition=lambda logits, edges: sum(definitions.softmax(logits) * (edges[1:] + edges[:-1]) / 2),
    ),
}
THROUGH_TARGETS = {
    "categorical_td_learning": (*CATEGORICAL_V, [0, 1, 2, 3, 4, 5]),
    "categorical_q_learning": (*CATEGORICAL_Q, [0, 1, 3, 4, 5, 6]),
    "categorical_double_q_learning": (*CATEGORICAL_Q, SELECTOR, [0, 1, 3, 4, 5, 6]),
    "quantile_regression_loss": (*QUANTILE_LOSS, [0, 1, 2, 3]),
    "quantile_q_learning": (*QUANTILE_Q, [0, 1, 3, 4, 6, 7]),
    "quantile_expected_sarsa": (*QUANTILE_SARSA, [0, 1, 3, 4, 5, 6, 7]),
    "hl_gauss_loss": (V_LOGITS_TM1, VALUES, EDGES, SIGMA, [0, 1, 2, 3]),
}


@pytest.mark.parametrize("name", CASES)
def test_definition(name):
    function, definition, args, axes, _ = CASES[name]
    args = [arg.astype(np.float64) if arg.dtype == np.float32 else arg for arg in map(np.asarray, args)]
    np.testing.assert_allclose(function(*args), by_example(definition, args, axes), rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    assert_modes_agree(CASES[name].function, *CASES[name].args)


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_the_prediction_and_not_the_target(name):
    assert_gradients(CASES[name].function, CASES[name].args, CASES[name].with_gradient)


@pytest.mark.parametrize("name", THROUGH_TARGETS)
def test_gradients_reach_the_target_where_asked(name):
    *args, with_gradient = THROUGH_TARGETS[name]
    function = getattr(losses, name)
    assert_gradients(lambda *x: function(*x, stop_target_gradients=False), args, with_gradient)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16(name):
    assert_bfloat16(CASES[name].function, *CASES[name].args)


def test_quantile_regression_can_be_differentiated_twice():
    source = tf.constant([0.0, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(source)
        with tf.GradientTape() as inner:
            inner.watch(source)
            loss = losses.quantile_regression_loss(source, [0.25, 0.75], [0.5, -0.5, 9.0, 2.5], 1.0)
        gradient = inner.gradient(loss, source)
    # Errors of the first source are 0.5, -0.5, 9 and 2.5, of the second -2.5, -3.5, 6 and -0.5.
    np.testing.assert_allclose(gradient, [-(0.25 * 2.5 - 0.75 * 0.5) / 4, -(0.75 - 0.25 * 2.5) / 4], rtol=1e-6)
    np.testing.assert_allclose(outer.gradient(gradient, source), [(0.25 + 0.75) / 4, 0.25 / 4], rtol=1e-6)


def test_projection_by_hand():
    project = lambda z, probs: losses.categorical_l2_project(z, probs, [0.0, 1.0, 3.0]).numpy().tolist()
    assert project([0.25, 2.0], [0.5, 0.5]) == [0.375, 0.375, 0.25]
    assert project([0.0, 1.0, 3.0], [0.25, 0.5, 0.25]) == [0.25, 0.5, 0.25]  # onto itself
    assert project([3.0, 0.0, 1.0], [0.25, 0.5, 0.25]) == [0.5, 0.25, 0.25]  # in any order
    assert project([-5.0, 9.0, float("inf")], [0.25, 0.5, 0.25]) == [0.25, 0.0, 0.75]  # outside
    assert losses.categorical_l2_project([1.0, 2.0], [0.5, 0.5], [7.0]).numpy().tolist() == [1.0]


def test_categorical_td_learning_reference_case():
    x, expected = reference_case("categorical_td")
    args = (x["atoms"], x["logits_tm1"], x["r_t"], x["discount_t"], x["atoms"], x["logits_t"])
    np.testing.assert_allclose(losses.categorical_td_learning(*args), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["quantile_regression_k0", "quantile_regression_huber2"])
def test_quantile_regression_reference_cases(name):
    x, expected = reference_case(name)
    actual = losses.quantile_regression_loss(x["dist_src"], x["tau"], x["dist_target"], float(x.get("k", 0)))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_an_impossible_category_counts_nothing_unless_the_target_has_it():
    logits_t = np.float32([0.0, -np.inf, 0.0])
    atoms = np.float32([0.0, 1.0, 2.0])
    loss = lambda logits: losses.categorical_td_learning(atoms, logits, 0.0, 1.0, atoms, logits_t)
    np.testing.assert_allclose(loss(np.float32([0.0, -np.inf, 0.0])), np.log(2), rtol=1e-6)
    assert loss(np.float32([0.0, 0.0, -np.inf])) == np.inf
    with tf.GradientTape() as tape:
        logits = tf.constant([0.0, -np.inf, 0.0])
        tape.watch(logits)
        value = loss(logits)
    np.testing.assert_allclose(tape.gradient(value, logits), [0, 0, 0], atol=1e-7)


def test_quantiles_of_a_sample_minimise_the_loss():
    target = np.arange(101.0)[None]
    at_quantiles, elsewhere = np.float64([[25.0, 75.0]]), np.float64([[30.0, 70.0]])
    loss = lambda source: losses.quantile_regression_loss(source, [[0.25, 0.75]], target)[0]
    assert loss(at_quantiles) < loss(elsewhere)


def test_implicit_quantiles_learn_the_quantile_function_from_fractions_drawn_anew():
    # The quantile function of the uniform distribution on [0, 2) is 2 tau: a line fits it.
    def loss(line, key):
        tau_key, sample_key = tf.unstack(random.split(key))
        tau, samples = random.uniform(tau_key, (16, 8)), 2 * random.uniform(sample_key, (16, 8))
        of_one_action = lambda values: values[..., tf.newaxis]
        dist_q_tm1, dist_q_t = of_one_action(line[0] * tau + line[1]), of_one_action(samples)
        actions = tf.zeros([16], tf.int32)
        return tf.reduce_mean(losses.quantile_q_learning(dist_q_tm1, tau, actions, 0.0, 1.0, dist_q_t, dist_q_t, 0.02))

    def step(line, key):
        return line - 2 * tf.gradients(loss(line, key), line)[0], None

    keys = random.split(random.key(0), 400)
    line, _ = tf.function(lambda: scan(step, tf.constant([0.5, 0.5]), keys))()
    np.testing.assert_allclose(line, [2.0, 0.0], atol=0.1)


def test_batched_atoms_and_fewer_axes():
    args = (ATOMS_TM1, LOGITS_TM1, A_TM1, R_T, DISCOUNT_T, ATOMS_T, LOGITS_T)
    expected = losses.categorical_q_learning(*args)
    batched = (np.tile(ATOMS_TM1, (B, 1)), *args[1:5], np.tile(ATOMS_T, (B, 1)), LOGITS_T)
    np.testing.assert_array_equal(losses.categorical_q_learning(*batched), expected)
    single = losses.categorical_q_learning(ATOMS_TM1, *(x[1] for x in args[1:5]), ATOMS_T, LOGITS_T[1])
    np.testing.assert_allclose(single, expected[1], rtol=1e-6)
    single = losses.quantile_q_learning(*(x[1] for x in QUANTILE_Q[:-1]))
    np.testing.assert_allclose(single, losses.quantile_q_learning(*QUANTILE_Q[:-1])[1], rtol=1e-6)


def test_hl_gauss_values_invert_the_targets_inside_the_support():
    edges, values = np.linspace(-10, 10, 51), np.linspace(-7, 7, 9)
    probs = losses.hl_gauss_targets(values, edges, 0.75 * 0.4)
    np.testing.assert_allclose(tf.reduce_sum(probs, -1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(losses.hl_gauss_values(tf.math.log(probs), edges), values, atol=1e-3)


def test_hl_gauss_far_outside_the_support_is_the_nearest_edge():
    for dtype in (np.float32, np.float64):
        far = losses.hl_gauss_targets(np.array([1e30, -1e30, np.inf], dtype), EDGES.astype(dtype), 0.01)
        np.testing.assert_allclose(far, [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], atol=1e-6)


def test_bad_inputs_are_refused_by_name():
    refuses = lambda match, name, args: assert_refuses(match, getattr(losses, name), *args)
    refuses(r"project: probs has shape \(3,\).*P = 2", "categorical_l2_project", ([0.0, 1.0], [0.5] * 3, [0.0, 1.0]))
    refuses(r"project: probs holds -1", "categorical_l2_project", ([0.0, 1.0], [-1.0, 2.0], [0.0, 1.0]))
    refuses(r"td_learning: v_logits_tm1 .*K = 4", "categorical_td_learning", (ATOMS_T, *CATEGORICAL_V[1:]))
    refuses(r"a_tm1 holds 3.*\[0, 3\)", "categorical_q_learning", (*CATEGORICAL_Q[:2], A_TM1 + 1, *CATEGORICAL_Q[3:]))
    refuses(
        r"q_t_selector has shape \(4, 2\).*A = 3", "categorical_double_q_learning", (*CATEGORICAL_Q, SELECTOR[:, 1:])
    )
    refuses(r"loss: tau_src holds 2", "quantile_regression_loss", (QUANTILE_LOSS[0], TAU * 0 + 2, QUANTILE_LOSS[2]))
    refuses(r"loss: huber_param holds -1", "quantile_regression_loss", (*QUANTILE_LOSS[:3], -1.0))
    refuses(r"tau_q_tm1 has shape \(4, 2\).*N = 3", "quantile_q_learning", (DIST_TM1, TAU[:, 1:], *QUANTILE_Q[2:]))
    refuses(r"probs_a_t holds -", "quantile_expected_sarsa", (*QUANTILE_SARSA[:6], -PROBS_A_T))
    refuses(r"hl_gauss_targets: sigma holds 0", "hl_gauss_targets", (VALUES, EDGES, 0.0))
    refuses(r"hl_gauss_loss: edges has shape \(5,\).*K = 5", "hl_gauss_loss", (V_LOGITS_TM1, VALUES, EDGES[1:], 0.1))
    refuses(r"hl_gauss_values: edges has shape \(5,\).*K = 5", "hl_gauss_values", (V_LOGITS_TM1, EDGES[1:]))


def test_atoms_and_edges_are_in_increasing_order():
    wrong, right, logits = [0.0, 2.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]
    assert_refuses("z_q holds 1 after 2", losses.categorical_l2_project, right, [0.2, 0.3, 0.5], wrong)
    assert_refuses("v_atoms_tm1 holds 1", losses.categorical_td_learning, wrong, logits, 1.0, 0.9, right, logits)
    assert_refuses("q_atoms_tm1 holds 1", losses.categorical_q_learning, wrong, [logits], 0, 1.0, 0.9, right, [logits])
    assert_refuses("edges holds 1 after 2", losses.hl_gauss_targets, 1.0, wrong, 0.5)
    assert_refuses("edges holds 1 after 2", losses.hl_gauss_values, [0.0, 0.0], wrong)
    assert_refuses("bins holds 1 after 2", losses.twohot_loss, logits, 1.0, wrong)
