import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import policies, random


def test_discrete_actions_are_draws_counted_from_the_start_of_the_space():
    head = policies.policy_head(spaces.Discrete(3, start=5))
    assert head.num_outputs == 3
    draw = policies.sample(random.key(0), head.distribution(tf.constant([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])))
    np.testing.assert_array_equal(head.to_action(draw), [5, 7])


def test_several_choices_are_independent():
    head = policies.policy_head(spaces.MultiDiscrete([2, 3]))
    assert head.num_outputs == 5
    draw = policies.mode(head.distribution(tf.constant([[0.0, 9.0, 0.0, 0.0, 9.0]])))
    np.testing.assert_array_equal(head.to_action(draw), [[1, 2]])


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
    counts = np.bincount(policies.uniform_action(random.key(0), spaces.Discrete(3, start=5), 3_000))
    np.testing.assert_allclose(counts, [1_000] * 3, atol=110)  # four standard deviations
    box = spaces.Box(np.array([[-1.0, 0.0]]), np.array([[3.0, 0.5]]), dtype=np.float64)
    actions = policies.uniform_action(random.key(1), box, 3_000).numpy()
    assert actions.dtype == np.float64
    assert all(action in box for action in actions)
    np.testing.assert_allclose(actions.mean(axis=0), [[1.0, 0.25]], atol=4 * 2 / np.sqrt(3 * 3_000))
    np.testing.assert_allclose(actions.min(axis=0), box.low, atol=0.02)
    np.testing.assert_allclose(actions.max(axis=0), box.high, atol=0.02)


def test_boxes_without_bounds_are_refused():
    space = spaces.Box(-np.inf, np.inf, [2])
    with pytest.raises(ValueError, match="neither Discrete nor a Box with finite bounds"):
        policies.uniform_action(random.key(0), space, 1)
    with pytest.raises(ValueError, match=r"unit_box: Box.* has no finite bounds"):
        policies.unit_box(space)
