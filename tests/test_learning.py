"""What agents are put together from."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, loops, networks, optimizers, random, replay, struct

KEY = random.key(0)


def test_minimise_takes_one_step_and_hands_through_what_the_loss_says():
    # The gradient of x ** 2 is 2 x, and its norm is clipped to 1: from 3 by 0.5 to 2.5.
    optimizer = optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.sgd(0.5))
    trained = learning.init_trained(tf.constant(3.0), optimizer)
    trained, more = learning.minimise(lambda x: (x**2, {"x": x}), optimizer, trained)
    assert (float(trained.params), float(more["x"])) == (2.5, 3.0)
    trained, more = learning.minimise(lambda x: (x**2, {"x": x}), optimizer, trained)
    assert (float(trained.params), float(more["x"])) == (2.0, 2.5)


def test_minimise_measures_the_gradient_and_the_step():
    # The gradient of x ** 2 + 4 y at (3, 0) is (6, 4), before it is clipped; the step size falls by a tenth a step.
    falling = optimizers.sgd(lambda count: 0.5 - 0.1 * tf.cast(count, tf.float32))
    optimizer = optimizers.flatten(optimizers.chain(optimizers.clip_by_global_norm(1.0), falling))
    trained = learning.init_trained((tf.constant(3.0), tf.constant(0.0)), optimizer)
    loss = lambda params: (params[0] ** 2 + 4 * params[1], (params[0], {"own": 1.0}))
    trained, (_, metrics) = learning.minimise(loss, optimizer, trained)
    assert sorted(metrics) == ["grad_norm", "learning_rate", "own"]
    np.testing.assert_allclose([metrics["grad_norm"], metrics["learning_rate"]], [np.sqrt(36 + 16), 0.5], rtol=1e-6)
    _, (_, metrics) = learning.minimise(loss, optimizer, trained, "critic_")
    np.testing.assert_allclose(metrics["critic_learning_rate"], 0.4, rtol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optimizers.adam(0.1), 0.1),
        (optimizers.adamw(0.2, mask=True), 0.2),
        (optimizers.rmsprop(0.3, momentum=0.9), 0.3),
        (optimizers.chain(optimizers.scale_by_adam(), optimizers.scale_by_learning_rate(0.4)), 0.4),
        (optimizers.partition({"a": optimizers.sgd(0.1), "b": optimizers.sgd(0.2)}, ("a", "b")), None),
        (optimizers.clip_by_global_norm(1.0), None),
    ],
)
def test_an_optimiser_tells_its_step_size_where_it_is_one_for_all(optimizer, expected):
    trained = learning.init_trained((tf.constant(3.0), tf.constant(0.0)), optimizer)
    _, metrics = learning.minimise(lambda params: (params[0] + params[1], {}), optimizer, trained)
    assert ("learning_rate" in metrics) == (expected is not None)
    if expected is not None:
        np.testing.assert_allclose(metrics["learning_rate"], expected, rtol=1e-6)


def steps_of(target_update):
    """Parameters and target parameters after each of three steps from 0, each of which adds 1."""
    optimizer = optimizers.sgd(1.0)
    step = learning.target_gradient_step(lambda params, target, sample, key: (-params, ()), optimizer, target_update)
    learner, seen = learning.init_target_learner(tf.constant(0.0), optimizer), []
    for _ in range(3):
        learner, _ = step(learner, (), KEY)
        seen.append((float(learner.actor_params), float(learner.target_params)))
    return seen


def test_a_periodic_target_is_copied_now_and_then():
    assert steps_of(learning.periodic(2)) == [(1.0, 0.0), (2.0, 2.0), (3.0, 2.0)]


def test_an_incremental_target_moves_a_part_of_the_way():
    assert steps_of(learning.incremental(0.5)) == [(1.0, 0.5), (2.0, 1.25), (3.0, 2.125)]


def test_critics_differ_and_stand_side_by_side():
    critics = learning.critics(networks.mlp((8, 3)))
    params = critics.init(KEY, tf.TensorSpec([2], tf.float32))
    outputs = critics.apply(params, tf.ones([5, 2]))
    assert outputs.shape == (5, 2, 3)
    assert np.all(outputs[:, 0] != outputs[:, 1])


def test_sequences_stay_whole():
    steps = {"step": tf.reshape(tf.range(12 * 2), [12, 2])}  # two environments: 0, 2, 4 ... and 1, 3, 5 ...
    sequences = learning.in_sequences(steps, 4)["step"].numpy()
    assert sequences.shape == (4, 6)
    for column in sequences.T:
        np.testing.assert_array_equal(np.diff(column), [2, 2, 2])
    assert sorted(sequences.ravel()) == list(range(24))


def test_each_pass_over_minibatches_sees_every_sequence_once_in_an_order_of_its_own():
    sequences = tf.range(6)[tf.newaxis]  # one step each
    step = lambda count, batch: (count + 1, batch[0])
    count, seen = tf.function(lambda: learning.over_minibatches(step, tf.constant(0), sequences, KEY, 2, 3))()
    assert (int(count), seen.shape) == (6, (6, 2))
    first, second = seen[:3].numpy().ravel(), seen[3:].numpy().ravel()
    assert sorted(first) == sorted(second) == list(range(6))
    assert first.tolist() != second.tolist()


def test_actions_are_uniform_until_learning_starts():
    space, chosen = spaces.Discrete(4), tf.zeros([1000], tf.int32)
    before, after = (
        learning.uniform_at_first(KEY, space, chosen, tf.constant(num_steps), learning_starts=100).numpy()
        for num_steps in (99, 100)
    )
    assert np.all(np.bincount(before, minlength=4) > 200)
    assert not after.any()


@pytest.mark.parametrize("make", [replay.uniform_from, replay.prioritized_from])
@pytest.mark.parametrize("compiled", [False, True])
def test_no_gradient_step_is_taken_before_there_are_enough_items(make, compiled):
    number, flag = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.bool)
    step_spec = struct.Transition(number, number, number, flag, flag, number, extras={})
    buffer = make(replay.n_step_items(20, step_spec, num_streams=1, n=3, gamma=0.9))

    def gradient_step(steps, sample, key):
        del key
        return steps + 1, learning.Learned({"reward": tf.reduce_mean(sample.items.reward)}, tf.ones([4]))

    update = learning.update_from_replay(buffer, gradient_step, batch_size=4, gradient_steps=2, min_items=2)
    update = tf.function(update, jit_compile=True) if compiled else update
    state = learning.OffPolicyState(tf.constant(0), buffer.init(), tf.constant(0))
    ones, no = tf.ones([1, 1]), tf.zeros([1, 1], tf.bool)
    steps, counts = [], []
    for _ in range(5):  # an item is there with the third step, two with the fourth
        state, metrics = update(state, struct.Transition(ones, ones, ones, no, no, ones, extras={}), KEY)
        steps.append(int(state.learner))
        counts.append(float(metrics["reward"].count) if metrics else 0)
    assert (steps, counts) == ([0, 0, 0, 2, 4], [0, 0, 0, 1, 1])
    np.testing.assert_allclose(metrics["reward"].total, 1 + 0.9 + 0.81, rtol=1e-6)


def test_what_is_told_of_steps_that_are_not_always_taken_is_their_mean():
    number, flag = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.bool)
    buffer = replay.uniform(10, struct.Transition(number, number, number, flag, flag, number, extras={}))

    def gradient_step(steps, sample, key):
        del sample, key
        of_policy = lambda state: (state, {"actor_loss": tf.constant(-5.0)})
        _, metrics = learning.every(2, steps + 1, of_policy, tf.constant(0.0), ("actor_loss",))
        return steps + 1, learning.Learned({"critic_loss": tf.constant(3.0), **metrics}, tf.ones([4]))

    ones, no = tf.ones([1]), tf.zeros([1], tf.bool)
    step = struct.Transition(ones, ones, ones, no, no, ones, extras={})
    for gradient_steps, expected in ((1, [0, 0]), (2, [-5, 1]), (4, [-10, 2])):
        update = learning.update_from_replay(buffer, gradient_step, batch_size=4, gradient_steps=gradient_steps)
        state = learning.OffPolicyState(tf.constant(0), buffer.init(), tf.constant(0))
        _, metrics = tf.function(update)(state, step, KEY)
        assert [float(part) for part in metrics["actor_loss"]] == expected
        assert [float(part) for part in metrics["critic_loss"]] == [3, 1]


def test_the_passes_end_where_a_step_says_so():
    sequences, limit = tf.range(6)[tf.newaxis], 2
    step = lambda count, batch: (count + 1, count)
    stop = lambda output: output >= limit  # the third step and all behind it
    run = tf.function(lambda: learning.over_minibatches(step, tf.constant(0), sequences, KEY, 2, 3, stop))
    count, outputs = run()
    assert (int(count), outputs.numpy().tolist()) == (2, [0, 1, 2, 2, 2, 2])


def test_what_is_said_of_an_update():
    ratios = tf.math.log([1.0, 2.0, 0.5, 1.1])
    estimates = [0, 1 - np.log(2), -0.5 + np.log(2), 0.1 - np.log(1.1)]
    np.testing.assert_allclose(learning.approx_kl(ratios), np.mean(estimates), rtol=1e-5)
    small = tf.constant([1e-4, -1e-4])  # whose ratios differ from 1 by little more than rounding
    np.testing.assert_allclose(learning.approx_kl(small), 5e-9, rtol=1e-3)
    np.testing.assert_allclose(tf.function(learning.approx_kl, jit_compile=True)(small), 5e-9, rtol=1e-3)
    np.testing.assert_allclose(learning.clip_fraction(ratios, 0.2), 0.5)
    target = tf.constant([1.0, 2.0, 3.0])
    for value, explained in [(target, 1), (target + 5, 1), (tf.zeros([3]), 0), (2 * target, 0), (-target, -3)]:
        np.testing.assert_allclose(learning.explained_variance(value, target), explained, atol=1e-6)
    assert learning.explained_variance(target, tf.ones([3])) == 0


MATRIX = np.float32([[4, 1, 0, 0], [1, 3, 0, 0], [0, 0, 2, 0.5], [0, 0, 0.5, 1]])
SLOPE = np.float32([1, -2, 0.5, 3])


def test_conjugate_gradients_solve_as_many_equations_as_they_take_steps():
    product = lambda x: tf.linalg.matvec(MATRIX, x)
    solution = tf.function(lambda: learning.conjugate_gradient(product, tf.constant(SLOPE), 6))()
    np.testing.assert_allclose(solution, np.linalg.solve(MATRIX, SLOPE), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("is_refused", "fraction"), [(lambda x: False, 1.0), (lambda x: x[3] < -0.1, 0.8**2)])
def test_a_step_in_a_trust_region_is_as_long_as_the_bound_allows_and_improves(is_refused, fraction):
    flat = lambda params: tf.concat([params["a"], params["b"]], axis=0)
    start = {"a": tf.zeros([2]), "b": tf.zeros([2])}

    def loss(params):
        worse = tf.where(is_refused(flat(params)), 100.0, 0.0)
        return tf.reduce_sum(SLOPE * flat(params)) + worse

    kl = lambda params: 0.5 * tf.reduce_sum(flat(params) * tf.linalg.matvec(MATRIX, flat(params)))
    run = tf.function(lambda: learning.trust_region_step(loss, kl, start, max_kl=0.010001, damping=0.0))
    step = run()
    natural = np.linalg.solve(MATRIX, SLOPE)
    longest = -natural * np.sqrt(0.02 / (SLOPE @ natural))
    np.testing.assert_allclose(step.fraction, fraction, rtol=1e-5)
    np.testing.assert_allclose(flat(step.params), fraction * longest, rtol=1e-3)
    np.testing.assert_allclose(step.kl, 0.01 * fraction**2, rtol=1e-3)
    np.testing.assert_allclose(step.improvement, -fraction * SLOPE @ longest, rtol=1e-3)


@pytest.mark.parametrize(("lambda_", "expected"), [(0.0, [0, 0, 4, 0, 4]), (1.0, [4, 4, 4, 4, 4])])
def test_advantages_are_not_moved_by_what_values_learned_since_the_actors_have_them(lambda_, expected):
    # The actors' values were 1 and the learner's are 5, of every state. An episode is cut after the third step.
    network = networks.ActorCritic(
        init=None,
        initial_state=None,
        step=lambda params, state, inputs: ((inputs, params + 0.0 * inputs), state),
        unroll=None,
    )
    fields = dict.fromkeys(learning.Rollout._fields, tf.zeros([5, 1]))
    is_last = tf.constant([False, False, True, False, False])[:, tf.newaxis]
    fields |= {"value": tf.ones([5, 1]), "discount": tf.ones([5, 1]), "is_last": is_last}
    rollout = learning.Rollout(**fields)
    advantage = learning.advantages(network, tf.constant(5.0), rollout, lambda_)
    np.testing.assert_array_equal(advantage[:, 0], expected)


def growing(state):
    return state + 1.0, {"before": state}


@pytest.mark.parametrize(("period", "after"), [(1, [1, 2, 3, 4, 5, 6]), (3, [0, 0, 1, 1, 1, 2])])
def test_every_takes_a_step_when_its_time_has_come(period, after):
    state, states, seen = tf.constant(0.0), [], []
    for steps in range(1, 7):
        state, metrics = learning.every(period, tf.constant(steps), growing, state, ("before",))
        states.append(float(state))
        seen.append(metrics["before"])
    assert states == after
    if period == 3:
        assert [(float(mean.total), float(mean.count)) for mean in seen[2::3]] == [(0, 1), (1, 1)]
        assert [float(mean.count) for mean in seen] == [0, 0, 1, 0, 0, 1]


def test_copies_take_their_step_each_when_its_time_has_come():
    one = lambda both: learning.every(2, both[1], growing, both[0], ("before",))[0]
    compiled = tf.function(loops.vectorize(one), jit_compile=True)
    states = compiled((tf.constant([1.0, 2.0, 3.0]), tf.constant([2, 3, 4])))
    np.testing.assert_array_equal(states, [2.0, 2.0, 4.0])


@pytest.mark.parametrize("period", [1, 2])
def test_a_step_whose_time_has_not_come_costs_nothing(period):
    square = lambda state: (state @ state, {})
    compiled = tf.function(lambda *inputs: learning.every(period, *inputs, ()), jit_compile=True, autograph=False)
    inputs = tf.constant(1), square, tf.random.normal([128, 128], seed=0)
    text = compiled.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    apart, _, always = text.partition("ENTRY")
    # Its product stands in a loop that may not be entered, and not among what is always done.
    assert (" dot(" in apart, " dot(" in always) == (period == 2, period == 1)
