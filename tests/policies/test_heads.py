import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import policies, random


def test_discrete_actions_are_draws_counted_from_zero():
    head = policies.policy_head(spaces.Discrete(3))
    assert head.num_outputs == 3
    draw = policies.sample(random.key(0), head.distribution(tf.constant([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])))
    np.testing.assert_array_equal(head.to_action(draw), [0, 2])


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=5), spaces.MultiDiscrete([2, 3], start=[0, 1])])
def test_spaces_that_count_from_elsewhere_are_converted_at_the_border_only(space):
    for function in (policies.policy_head, lambda space: policies.uniform_action(random.key(0), space, 1)):
        with pytest.raises(ValueError, match=r"does not count from 0: rl_fn.envs.border|neither Discrete nor"):
            function(space)


def test_several_choices_are_independent():
    head = policies.policy_head(spaces.MultiDiscrete([2, 3]))
    assert head.num_outputs == 5
    draw = policies.mode(head.distribution(tf.constant([[0.0, 9.0, 0.0, 0.0, 9.0]])))
    np.testing.assert_array_equal(head.to_action(draw), [[1, 2]])
    square = policies.policy_head(spaces.MultiDiscrete([[2, 3], [2, 2]]))
    assert square.num_outputs == 9
    np.testing.assert_array_equal(square.to_action(tf.constant([[1, 2, 0, 1]])), [[[1, 2], [0, 1]]])


def test_box_actions_are_clipped_and_their_probabilities_are_not():
    space = spaces.Box(np.array([[-1.0, 0.0]]), np.array([[3.0, 0.5]]), dtype=np.float64)
    head = policies.policy_head(space)
    assert head.num_outputs == 4
    distribution = head.distribution(tf.constant([[5.0, 0.2, 0.0, np.log(2.0)]]))
    draw = tf.constant([[6.0, -1.0]])
    action = head.to_action(draw)
    assert action.dtype == tf.float64
    np.testing.assert_allclose(action, [[[3.0, 0.0]]])
    expected = -0.5 * (1 + (1.2 / 2) ** 2) - np.log(2) - np.log(2 * np.pi)
    np.testing.assert_allclose(distribution.log_prob(draw), [expected], rtol=1e-5)


def test_draws_for_a_box_count_in_half_widths_from_its_middle():
    space = spaces.Box(np.float32([-1.0, 0.0, -np.inf, 0.0]), np.float32([3.0, 0.05, np.inf, np.inf]))
    head = policies.policy_head(space)
    np.testing.assert_allclose(head.to_action(tf.constant([[0.5, -0.5, 0.5, 7.0]])), [[2.0, 0.0125, 0.5, 7.0]])


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match=r"no policy for action space Text.*expected Discrete, MultiDiscrete or Box"):
        policies.policy_head(spaces.Text(3))


def test_a_box_becomes_the_unit_cube_and_back():
    space = spaces.Box(np.array([[-1.0, 0.0]]), np.array([[3.0, 0.5]]), dtype=np.float64)
    box = policies.unit_box(space)
    assert box.size == 2
    actions = box.to_action(tf.constant([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    assert actions.dtype == tf.float64
    np.testing.assert_allclose(actions, [[[-1.0, 0.0]], [[1.0, 0.25]], [[3.0, 0.5]]])
    np.testing.assert_allclose(box.to_unit(actions), [[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])


def test_uniform_actions_fill_the_space():
    counts = np.bincount(policies.uniform_action(random.key(0), spaces.Discrete(3), 3_000))
    np.testing.assert_allclose(counts, [1_000] * 3, atol=110)  # four standard deviations
    box = spaces.Box(np.array([[-1.0, 0.0]]), np.array([[3.0, 0.5]]), dtype=np.float64)
    actions = policies.uniform_action(random.key(1), box, 3_000).numpy()
    assert actions.dtype == np.float64
    assert all(action in box for action in actions)
    np.testing.assert_allclose(actions.mean(axis=0), [[1.0, 0.25]], atol=4 * 2 / np.sqrt(3 * 3_000))
    np.testing.assert_allclose(actions.min(axis=0), box.low, atol=0.02)
    np.testing.assert_allclose(actions.max(axis=0), box.high, atol=0.02)


@pytest.mark.parametrize("bound", [np.inf, np.finfo(np.float32).max, 1.1e15])
def test_bounds_that_are_none_are_refused(bound):
    space = spaces.Box(np.float32([-1, -bound]), np.float32([1, bound]))
    message = r"Box.* has a bound that is not finite or beyond 1e\+15, expected all within -1e\+15 and 1e\+15"
    with pytest.raises(ValueError, match="uniform_action: " + message):
        policies.uniform_action(random.key(0), space, 1)
    with pytest.raises(ValueError, match="unit_box: " + message):
        policies.unit_box(space)
    head = policies.policy_head(space)  # a Gaussian needs none
    np.testing.assert_array_equal(head.to_action(tf.constant([[3.0, -7.0]])), [[1, -7]])
    with pytest.raises(ValueError, match="policy_head: " + message):
        policies.policy_head(spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, [1], np.int64))


def test_constant_axes_are_constant_and_no_part_of_the_cube():
    space = spaces.Box(np.float32([[2, -1], [7, 0]]), np.float32([[2, 3], [7, 0.5]]))
    box = policies.unit_box(space)
    assert box.size == 2
    actions = box.to_action(tf.constant([[-1.0, 1.0], [0.0, 0.5]]))
    np.testing.assert_array_equal(actions, [[[2, -1], [7, 0.5]], [[2, 1], [7, 0.375]]])
    np.testing.assert_array_equal(box.to_unit(actions), [[-1, 1], [0, 0.5]])
    drawn = policies.uniform_action(random.key(0), space, 100).numpy()
    np.testing.assert_array_equal(drawn[:, :, 0], [[2, 7]] * 100)
    assert all(len(np.unique(drawn[:, row, 1])) > 90 for row in range(2))
    head = policies.policy_head(space)
    np.testing.assert_array_equal(head.to_action(tf.constant([[5.0, 0.5, -5.0, 0.0]])), [[[2, 2], [7, 0.25]]])
    with pytest.raises(ValueError, match=r"unit_box: Box.* has one value only, expected an axis with low < high"):
        policies.unit_box(spaces.Box(3, 3, [2]))


INTEGERS = {
    "uint8": spaces.Box(0, 255, [1], np.uint8),
    "int8": spaces.Box(-128, 127, [1], np.int8),
    "int32": spaces.Box(-3, 3, [1], np.int32),
    "all of int32": spaces.Box(-(2**31), 2**31 - 1, [1], np.int32),
    "int64": spaces.Box(10**9, 10**9 + 5, [1], np.int64),
    "bool": spaces.Box(0, 1, [1], bool),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_the_nearest_and_stay_in_their_bounds(name):
    space = INTEGERS[name]
    low, high = int(space.low[0]), int(space.high[0])
    box, head = policies.unit_box(space), policies.policy_head(space)
    outside = tf.constant([[-1.0], [1.0], [-1.5], [1.5]])
    np.testing.assert_array_equal(box.to_action(outside), [[low], [high], [low], [high]])
    far = tf.constant([[-1e20], [1e20]])
    np.testing.assert_array_equal(head.to_action(far), [[low], [high]])
    assert box.to_action(outside).dtype == head.to_action(far).dtype == space.dtype
    if high - low < 1_000:
        every = np.arange(low, high + 1)[:, np.newaxis].astype(space.dtype)
        np.testing.assert_array_equal(box.to_action(box.to_unit(every)), every)
        if low > -(2**23) and high < 2**23:  # float32 has halves there
            near = every.astype(np.float32) + np.float32([[-0.4], [0.4]])[:, np.newaxis]
            np.testing.assert_array_equal(head.to_action(box.to_unit(tf.constant(near))), [*every, *every])


def test_every_integer_is_drawn_as_often():
    space = spaces.Box(np.int8([-128, -1]), np.int8([127, 2]), dtype=np.int8)
    actions = policies.uniform_action(random.key(0), space, 40_000).numpy().astype(int)
    counts = np.bincount(actions[:, 1] + 1)
    np.testing.assert_allclose(counts, [10_000] * 4, atol=4 * 87)  # standard deviations
    counts = np.bincount(actions[:, 0] + 128)
    np.testing.assert_allclose(counts, [40_000 / 256] * 256, atol=5 * 12.5)
    wide = policies.uniform_action(random.key(0), INTEGERS["all of int32"], 1_000).numpy()
    np.testing.assert_allclose([wide.min(), wide.max()], [-(2**31), 2**31], rtol=0.01)
    np.testing.assert_array_equal(
        np.bincount(policies.uniform_action(random.key(0), INTEGERS["int64"], 6_000)[:, 0] - 10**9) > 850, [True] * 6
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_never_leave_a_box_by_rounding(dtype):
    space = spaces.Box(dtype([0.1, -0.3, 1e7]), dtype([0.7, 0.1, 1e7 + 3]), dtype=dtype)
    box = policies.unit_box(space)
    actions = box.to_action(tf.constant([[1.0] * 3, [-1.0] * 3])).numpy()
    assert all(action in space for action in actions)
    assert policies.policy_head(space).to_action(tf.constant([[9.0] * 3]))[0].numpy() in space
