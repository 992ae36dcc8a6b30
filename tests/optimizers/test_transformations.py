import numpy as np
import pytest
import tensorflow as tf

from rl_fn import optimizers
from rl_fn.optimizers import (
    add_decayed_weights,
    chain,
    clip,
    clip_by_global_norm,
    flatten,
    masked,
    partition,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_rms,
    scale_by_schedule,
    trace,
)
from tests.optimizers.test_optimizers import PARAMS, trajectory

NET = {
    "torso": {"kernel": tf.ones([2, 2]), "bias": tf.ones(2)},
    "head": {"kernel": tf.ones([2, 1]), "bias": tf.ones(1)},
}
GRADS = tf.nest.map_structure(lambda leaf: 10 * tf.ones_like(leaf), NET)
KERNELS = lambda nest: tf.nest.map_structure(lambda leaf: leaf.shape.rank > 1, nest)


def steps_of(optimizer, *grads, params=None):
    """The updates for these gradients of one vector, one after the other."""
    state, updates = optimizer.init(tf.zeros_like(tf.constant(grads[0]))), []
    for grad in grads:
        update, state = optimizer.update(tf.constant(grad), state, params)
        updates.append(update.numpy().tolist())
    return updates


def numbers(nest):
    """Every leaf as one number; all its elements must be equal."""

    def one(leaf):
        assert len(set(leaf.numpy().ravel())) == 1
        return float(leaf.numpy().ravel()[0])

    return tf.nest.map_structure(one, nest)


def test_scaling():
    assert steps_of(scale(-0.5), [2.0, -4.0]) == [[-1.0, 2.0]]
    assert steps_of(scale(tf.constant(0.0)), [2.0]) == [[0.0]]
    rising = lambda count: tf.cast(count, tf.float32)
    assert steps_of(scale_by_schedule(rising), [3.0], [3.0], [3.0]) == [[0.0], [3.0], [6.0]]
    assert steps_of(scale_by_learning_rate(rising), [3.0], [3.0]) == [[0.0], [-3.0]]
    assert steps_of(scale_by_learning_rate(0.5), [3.0]) == [[-1.5]]


def test_traces():
    assert steps_of(trace(0.5), [1.0], [1.0], [0.0]) == [[1.0], [1.5], [0.75]]
    assert steps_of(trace(0.5, nesterov=True), [1.0], [1.0], [0.0]) == [[1.5], [1.75], [0.375]]


def test_scaling_by_adam_and_by_rms():
    # Of the first gradient only its sign is left; of the second, 3 after 1, the means are 1.095 / 0.19 / ...
    first, second = steps_of(scale_by_adam(0.9, 0.99, epsilon=0.0), [1.0, -2.0], [3.0, -2.0])
    np.testing.assert_allclose(first, [1.0, -1.0], rtol=1e-5)
    mean, square = (0.9 * 0.1 * 1 + 0.1 * 3) / 0.19, (0.99 * 0.01 * 1 + 0.01 * 9) / 0.0199
    np.testing.assert_allclose(second, [mean / np.sqrt(square), -1.0], rtol=1e-5)
    first, second = steps_of(scale_by_rms(0.75, epsilon=0.0), [2.0], [4.0])
    np.testing.assert_allclose(first, [2.0], rtol=1e-6)  # 2 / sqrt(0.25 * 4)
    np.testing.assert_allclose(second, [4 / np.sqrt(0.75 + 4)], rtol=1e-6)


def test_clipping():
    assert steps_of(clip(1.5), [-3.0, 1.0, 2.0]) == [[-1.5, 1.0, 1.5]]
    of = lambda limit, nest: clip_by_global_norm(limit).update(nest, ())[0]
    grads = {"a": tf.constant([3.0, 4.0]), "b": tf.zeros(2)}
    np.testing.assert_array_equal(of(10.0, grads)["a"], [3.0, 4.0])
    np.testing.assert_allclose(of(1.0, grads)["a"], [0.6, 0.8])
    np.testing.assert_array_equal(of(10.0, {"a": tf.zeros(2)})["a"], [0.0, 0.0])
    # Leaves of different types have one norm, here 5, and keep their types.
    mixed = of(1.0, {"a": tf.constant([3.0]), "b": tf.constant([4.0], tf.bfloat16)})
    np.testing.assert_allclose(mixed["a"], [0.6], rtol=1e-6)
    assert mixed["b"].dtype == tf.bfloat16
    assert optimizers.global_norm({}) == 0.0


def test_decayed_weights():
    assert steps_of(add_decayed_weights(0.5), [1.0, 1.0], params=tf.constant([2.0, -4.0])) == [[2.0, -1.0]]


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        (optimizers.sgd(0.1, 0.9), (scale_by_learning_rate(0.1), trace(0.9))),
        (optimizers.rmsprop(0.1), (scale_by_rms(), scale_by_learning_rate(0.1))),
        (optimizers.adam(0.1), (scale_by_adam(), scale_by_learning_rate(0.1))),
        (
            optimizers.adamw(optimizers.linear_schedule(0.1, 0.0, 10), weight_decay=0.02),
            (
                scale_by_adam(),
                add_decayed_weights(0.02),
                scale_by_learning_rate(optimizers.linear_schedule(0.1, 0.0, 10)),
            ),
        ),
    ],
)
def test_a_whole_optimizer_is_the_chain_of_its_parts(whole, parts):
    for expected, actual in zip(trajectory(whole), trajectory(chain(*parts)), strict=True):
        for name in PARAMS:
            np.testing.assert_allclose(actual[name], expected[name], rtol=2e-5, atol=1e-6)


def test_the_gradients_of_others_pass_a_mask():
    expected = {"torso": {"kernel": -1.0, "bias": 10.0}, "head": {"kernel": -1.0, "bias": 10.0}}
    full = {"torso": {"kernel": True, "bias": False}, "head": {"kernel": True, "bias": False}}
    for mask in (KERNELS, full):
        optimizer = masked(scale(-0.1), mask)
        assert numbers(optimizer.update(GRADS, optimizer.init(NET), NET)[0]) == expected
    optimizer = masked(scale(-0.1), {"torso": False, "head": {"kernel": True, "bias": False}})
    updates, _ = optimizer.update(GRADS, optimizer.init(NET), NET)
    assert numbers(updates) == {"torso": {"kernel": 10.0, "bias": 10.0}, "head": {"kernel": -1.0, "bias": 10.0}}


def test_a_masked_optimizer_keeps_and_sees_only_its_own():
    optimizer = masked(chain(clip_by_global_norm(1.0), optimizers.adam(0.1)), {"torso": False, "head": True})
    state = optimizer.init(NET)
    assert len(tf.nest.flatten(state[1].mean)) == 2
    updates, state = tf.function(optimizer.update, jit_compile=True)(GRADS, state, NET)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.1 * np.ones([2, 1]), rtol=1e-5)
    np.testing.assert_array_equal(updates["torso"]["bias"], [10.0, 10.0])
    np.testing.assert_allclose(state[1].mean["head"]["bias"], [0.1 / np.sqrt(3)], rtol=1e-5)  # the norm of three tens
    every = masked(scale(-0.1), False)
    assert numbers(every.update(GRADS, every.init(NET), NET)[0]) == numbers(GRADS)


def test_each_group_has_an_optimizer_of_its_own():
    optimizer = partition(
        {"slow": optimizers.sgd(0.1), "fast": optimizers.sgd(0.5, momentum=0.5), "frozen": scale(0.0)},
        {"torso": "slow", "head": {"kernel": "fast", "bias": "frozen"}},
    )
    state, update = optimizer.init(NET), tf.function(optimizer.update, jit_compile=True)
    updates, state = update(GRADS, state, NET)
    assert numbers(updates) == {"torso": {"kernel": -1.0, "bias": -1.0}, "head": {"kernel": -5.0, "bias": 0.0}}
    updates, state = update(GRADS, state, NET)
    assert numbers(updates) == {"torso": {"kernel": -1.0, "bias": -1.0}, "head": {"kernel": -7.5, "bias": 0.0}}
    by_function = partition(
        {"kernels": optimizers.sgd(0.1), "others": scale(0.0)},
        lambda nest: tf.nest.map_structure(lambda leaf: "kernels" if leaf.shape.rank > 1 else "others", nest),
    )
    updates, _ = by_function.update(GRADS, by_function.init(NET), NET)
    assert numbers(updates) == {"torso": {"kernel": -1.0, "bias": 0.0}, "head": {"kernel": -1.0, "bias": 0.0}}


def test_parameters_may_be_a_tuple_or_a_single_tensor():
    pair = (tf.ones(2), [tf.ones(1)])
    optimizer = masked(scale(-1.0), (True, False))
    updates, _ = optimizer.update(pair, optimizer.init(pair), pair)
    assert numbers(updates) == (-1.0, [1.0])
    alone = partition({"all": scale(3.0)}, "all")
    assert numbers(alone.update(tf.ones(2), alone.init(tf.ones(2)))[0]) == 3.0


def test_groups_are_flattened_inside_and_not_outside():
    groups = {"decayed": optimizers.adamw(0.1, weight_decay=0.3), "plain": optimizers.adam(0.2)}
    labels = {"kernel": "decayed", "bias": "plain"}
    inside = partition({name: flatten(optimizer) for name, optimizer in groups.items()}, labels)
    for expected, actual in zip(trajectory(partition(groups, labels)), trajectory(inside), strict=True):
        for name in PARAMS:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-6)
    for optimizer in (inside, chain(clip(1.0), inside), optimizers.adamw(0.1, mask=KERNELS), masked(scale(1.0), True)):
        with pytest.raises(ValueError, match="flatten: the optimiser tells parameters apart"):
            flatten(optimizer)


def test_labels_that_do_not_fit_are_refused_by_name():
    cases = [
        (
            masked(scale(1.0), {"torso": True, "haed": False}),
            r"masked: mask: the whole is a dict \['haed', 'torso'\], expected a label or a dict \['head', 'torso'\]",
        ),
        (masked(scale(1.0), {"torso": (True, False), "head": True}), "masked: mask: torso is a tuple"),
        (masked(scale(1.0), {"torso": 1.0, "head": True}), "the mask of torso/bias is 1.0, expected True or False"),
        (
            partition({"slow": scale(1.0)}, {"torso": "slow", "head": "fats"}),
            r"partition: the label of head/bias is 'fats', expected one of \['slow'\]",
        ),
    ]
    for optimizer, message in cases:
        with pytest.raises((TypeError, ValueError), match=message):
            optimizer.init(NET)


def test_laprop_takes_the_mean_of_normalised_gradients():
    optimizer = optimizers.laprop(0.1, beta_1=0.5, beta_2=0.75)
    state = optimizer.init({"x": tf.zeros([2])})
    np.testing.assert_allclose(optimizer.learning_rate(state), 0.1)
    mean, square = np.zeros(2), np.zeros(2)
    for step, g in enumerate([np.float32([3.0, -1e-6]), np.float32([-1.0, 4e-6])], start=1):
        updates, state = optimizer.update({"x": tf.constant(g)}, state)
        square = 0.75 * square + 0.25 * g.astype(np.float64) ** 2
        mean = 0.5 * mean + 0.5 * g / np.sqrt(square / (1 - 0.75**step))
        np.testing.assert_allclose(updates["x"], -0.1 * mean / (1 - 0.5**step), rtol=1e-4)
        if step == 1:
            np.testing.assert_allclose(updates["x"], [-0.1, 0.1], rtol=1e-5)  # whatever the scale of a gradient is


def test_an_adaptive_clip_limits_each_gradient_by_the_norm_of_its_parameter():
    params = {"large": tf.constant([3.0, 4.0]), "small": tf.constant([0.6, 0.8]), "zero": tf.zeros([2])}
    grads = {name: tf.constant([0.0, 1.0]) for name in params}
    clipped, _ = optimizers.adaptive_grad_clip(0.3, 1e-3).update(grads, (), params)
    np.testing.assert_allclose(clipped["large"], [0.0, 1.0])  # 1 is less than 0.3 * 5
    np.testing.assert_allclose(clipped["small"], [0.0, 0.3], rtol=1e-6)
    np.testing.assert_allclose(clipped["zero"], [0.0, 3e-4], rtol=1e-6)
    nothing, _ = optimizers.adaptive_grad_clip(0.3).update({"x": tf.zeros([2])}, (), {"x": tf.zeros([2])})
    np.testing.assert_array_equal(nothing["x"], [0.0, 0.0])
    with pytest.raises(ValueError, match="needs params"):
        optimizers.adaptive_grad_clip(0.3).update(grads, ())
