"""What would broadcast by accident is refused, whatever holds numbers is taken, and six shapes are no news."""

import inspect
import logging

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import (
    intrinsic,
    losses,
    networks,
    normalization,
    policies,
    random,
    returns,
    struct,
    transforms,
    updates,
)
from tests.calls import CALLS
from tests.support import assert_nests_close, assert_refuses

MODULES = {"losses": losses, "returns": returns, "policies": policies, "transforms": transforms, "intrinsic": intrinsic}
KEY = random.key(0)


def test_the_table_has_every_function_of_tensors():
    others = {
        "losses": {"symexp_bins"},
        "policies": {"mode", "sample", "squash", "squashed_entropy", "squashed_log_prob", "squashed_sample"}
        | {"policy_head", "uniform_action", "unit_box"},
        "transforms": {"compose", "muzero_pair", "twohot_pair", "unbiased_transform_pair"},
        "intrinsic": {"episodic_memory", "episodic_memory_rewards", "new_episode"},
    }
    for name, module in MODULES.items():
        functions = {n: value for n, value in vars(module).items() if inspect.isfunction(value)}
        public = {n for n, value in functions.items() if name in value.__module__ and not n.startswith("_")}
        listed = {call.split(".")[1] for call in CALLS if call.startswith(f"{name}.")}
        assert listed == public - others.get(name, set()), name


def test_a_column_beside_a_row_is_refused_by_name():
    message = r"r_t has shape \(3,\) and v_tm1 has shape \(3, 1\), whose batch axes \[3\] and \[3, 1\] differ in number"
    assert_refuses(message, losses.td_learning, tf.ones([3, 1]), tf.ones([3]), tf.ones([3]), tf.ones([3]))
    rows, columns = tf.ones([5, 3]), tf.ones([5, 3, 1])
    message = r"v_tm1 has shape \(5, 3, 1\) and r_t has shape \(5, 3\)"
    assert_refuses(message, returns.generalized_advantage_estimation, rows, rows, columns, columns, 0.9)
    with pytest.raises(ValueError, match="differ in number"):
        tf.function(losses.td_learning).get_concrete_function(
            *[tf.TensorSpec(shape) for shape in ([None, 1], [None], [None], [None])]
        )


def batched(call):
    """The positions of arguments with batch axes."""
    return [i for i, argument in enumerate(call.arguments) if "B" in argument.axes]


SEVERAL = [name for name, call in CALLS.items() if len(batched(call)) > 1 and name != "losses.lhs_broadcast"]


@pytest.mark.parametrize("name", SEVERAL)
def test_one_more_axis_on_one_argument_is_refused(name):
    call = CALLS[name]
    for position in batched(call):
        args = call.values()
        args[position] = tf.expand_dims(args[position], call.arguments[position].num_batch_axes)
        with pytest.raises(ValueError, match="has shape"):
            call.function(*args)


def test_axes_of_size_one_broadcast_where_all_have_as_many():
    errors = losses.td_learning(tf.zeros([3, 1]), tf.ones([1, 2]), 0.9, [[1.0, 2.0]])
    np.testing.assert_allclose(errors, [[1.9, 2.8]] * 3, rtol=1e-6)
    np.testing.assert_allclose(returns.lambda_returns([[1.0], [1.0]], [0.5, 0.5], [[0.0, 2.0]] * 2)[0], [1.5, 2.0])


def test_one_example_counts_for_a_whole_batch():
    q, a = tf.constant([1.0, 2.0]), [0, 1, 1]
    np.testing.assert_allclose(losses.batched_index(q, a), [1, 2, 2])
    atoms, logits = tf.constant([0.0, 1.0]), tf.zeros([3, 2])
    assert losses.categorical_q_learning(atoms, logits, a, 0.0, 1.0, atoms, logits).shape == (3,)
    quantiles, tau = tf.zeros([2, 2]), [0.25, 0.75]
    assert losses.quantile_q_learning(quantiles, tau, a, 1.0, 0.9, quantiles, quantiles).shape == (3,)


def test_each_example_has_a_draw_of_its_own_where_only_another_argument_has_a_batch():
    num = 1_000
    explored = policies.epsilon_greedy(KEY, [0.0, 1.0], tf.fill([num], 0.5))
    assert 200 < np.sum(explored == 0) < 300
    relaxed = policies.gumbel_softmax(KEY, [0.0, 0.0], tf.fill([num], 1.0))
    assert 400 < np.sum(relaxed[:, 0] > 0.5) < 600
    noisy = policies.add_dirichlet_noise(KEY, [0.5, 0.5], 1.0, 0.5, tf.ones([num, 2], tf.bool))
    assert 400 < np.sum(noisy[:, 0] > 0.5) < 600


def test_nests_and_statistics_of_other_shapes_are_refused():
    new, old = {"kernel": tf.ones([3, 2]), "bias": tf.ones([2])}, {"kernel": tf.ones([3, 2]), "bias": tf.ones([1])}
    message = r"bias has shape \(2,\) in new and \(1,\) in old"
    assert_refuses(message, updates.incremental_update, new, old, 0.5)
    assert_refuses(message, updates.conditional_update, new, old, True)
    assert_refuses(message, updates.periodic_update, new, old, 1, 1)
    assert_refuses(r"where: leaves", struct.where, tf.constant([[True]] * 3), tf.ones([3]), tf.zeros([3]))
    moments = normalization.RunningMoments.init(tf.TensorSpec([4]))
    assert_refuses(r"normalize: a leaf has shape \(3, 1\), expected \[..., 4\]", moments.normalize, tf.ones([3, 1]))
    rewards = normalization.RewardNormalizer.init(3)
    assert_refuses(r"reward has shape \(5, 3, 1\)", rewards.update, tf.ones([5, 3, 1]), tf.ones([5, 3], tf.bool), 0.9)
    art = normalization.pop_art(2, 0.1)
    assert_refuses("kernel has shape", normalization.pop, {"kernel": tf.ones([3, 1])}, art.init(), art.init())
    gru = networks.gru(4)
    params = gru.init(KEY, tf.TensorSpec([5]))
    assert_refuses(r"recurrent_state has shape \(1, 4\)", gru.step, params, gru.initial_state(1), tf.ones([3, 5]))


def test_draws_have_the_shape_that_was_asked_for():
    column = tf.fill([3, 1], 0.5)
    assert_refuses(r"bernoulli: p has shape \(3, 1\)", random.bernoulli, KEY, column, (3,))
    assert_refuses(r"uniform: low has shape \(3, 1\)", random.uniform, KEY, (3,), column, 1.0)
    assert_refuses(r"randint: high has shape \(3, 1\)", random.randint, KEY, (3,), 0, tf.fill([3, 1], 5))
    assert random.uniform(KEY, (3, 2), column, 1.0).shape == (3, 2)


TD = ([1.0, 2.0], [0.5, 0.5], 0.5, [2.0, 1.0])


@pytest.mark.parametrize(
    "numbers",
    [
        TD,
        ((1.0, 2.0), [np.float64(0.5), np.float32(0.5)], np.float64(0.5), (2.0, 1.0)),
        (np.float32([1, 2]), [0.5, 0.5], np.float16(0.5), [np.int64(2), 1]),
        (tf.Variable([1.0, 2.0]), tf.constant(0.5), np.float32(0.5), np.float32([2, 1])),
    ],
)
def test_any_kind_of_number_is_taken(numbers):
    np.testing.assert_allclose(losses.td_learning(*numbers), [0.5, -1.0])


@pytest.mark.parametrize("one", [1, True, np.int64(1), np.uint8(1), np.array(1), tf.constant(1, tf.int64)])
def test_any_kind_of_integer_is_taken(one):
    if one is not True:
        assert losses.batched_index([3.0, 4.0], one) == 4
        assert losses.batched_index([[3.0, 4.0]] * 2, [one, one]).numpy().tolist() == [4, 4]
    if isinstance(one, int | np.integer):
        rewards = [1.0, 2.0, 4.0]
        assert returns.n_step_returns(rewards, [1.0] * 3, [8.0] * 3, one).numpy().tolist() == [9, 10, 12]
        neighbors = intrinsic.nearest_neighbors([[0.0], [3.0]], [[1.0]], one)
        assert neighbors.indices.numpy().tolist() == [[0]]
        assert policies.multi_discrete([0.0, 0.0], (one, one)).event_shape == (2,)


@pytest.mark.parametrize("mask", [[True, False], (True, False), np.array([1, 0], bool), tf.constant([True, False])])
def test_any_kind_of_mask_is_taken(mask):
    assert losses.masked_mean([3.0, 5.0], mask) == 3
    assert policies.greedy(KEY, [3.0, 5.0], mask) == 0
    assert policies.greedy(KEY, [3.0, 5.0], [np.bool_(True), np.bool_(False)]) == 0
    assert returns.lambda_returns([1.0, 1.0], [1.0, 1.0], [5.0, 5.0], truncated_t=mask).numpy().tolist() == [6, 6]


def test_nothing_where_a_tensor_is_needed_is_refused_by_name():
    assert_refuses("td_learning: v_t is None", losses.td_learning, [1.0], [1.0], [1.0], None)


def warnings_of(caplog, call):
    """What TensorFlow logs while the call is made with batches of six sizes."""
    caplog.clear()
    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)
    try:
        for size in range(2, 8):
            call(size)
    finally:
        logger.removeHandler(caplog.handler)
    return [record.getMessage() for record in caplog.records]


def q(size):
    return np.cos(np.arange(3.0 * size)).astype(np.float32).reshape(size, 3)


SIX_SIZES = {
    "td_learning": lambda size: losses.td_learning(q(size)[:, 0], q(size)[:, 1], 0.9, q(size)[:, 2]),
    "q_learning": lambda size: losses.q_learning(q(size), [1] * size, q(size)[:, 1], 0.9, q(size)),
    "advantages": lambda size: returns.generalized_advantage_estimation(q(size), q(size), q(size), q(size), 0.9),
    "n-step returns": lambda size: returns.n_step_returns(q(size), q(size), q(size), size),
    "greedy": lambda size: policies.greedy(KEY, q(size)),
    "actions": lambda size: losses.entropy_loss(q(3 * size).reshape(3, -1)),
    "updates": lambda size: updates.incremental_update({"kernel": q(size)}, {"kernel": q(size)}, 0.1),
    "settings": lambda size: losses.huber_loss(q(3), 1.0 + size),
}


@pytest.mark.parametrize("name", SIX_SIZES)
def test_six_sizes_make_no_noise_and_no_difference(name, caplog):
    assert warnings_of(caplog, SIX_SIZES[name]) == []
    for size in (2, 5):
        alone = tf.function(lambda n=size: SIX_SIZES[name](n), autograph=False)()
        assert_nests_close(SIX_SIZES[name](size), alone, rtol=1e-6)


def test_noise_would_be_heard(caplog):
    noisy = tf.function(lambda x: x + 1)
    assert any("retracing" in message for message in warnings_of(caplog, lambda size: noisy(q(size))))
