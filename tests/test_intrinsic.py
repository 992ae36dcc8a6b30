import functools

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import intrinsic
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

rng = np.random.default_rng(0)
POINTS, QUERIES = rng.normal(size=(6, 3)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
PREDICTION, TARGET = rng.normal(size=(2, 4, 3)).astype(np.float32)
REWARD, NOVELTY = np.float32([0.5, 0.2, 1.0]), np.float32([0.3, 2.0, 9.0])


def neighbors(points, queries):
    return intrinsic.nearest_neighbors(points, queries, 3)


def memory_rewards(points, queries):
    memory = intrinsic.EpisodicMemory(points, tf.constant(5), points[0, 0] ** 2 + 1, tf.cast(4.0, points.dtype))
    return intrinsic.episodic_memory_rewards(memory, queries, 3)


def rewards_only(points, queries):
    return memory_rewards(points, queries)[0]


CASES = {
    "nearest_neighbors": (neighbors, (POINTS, QUERIES), [0, 1]),
    "episodic_memory_rewards": (memory_rewards, (POINTS, QUERIES), None),
    "never_give_up_rewards": (intrinsic.never_give_up_rewards, (REWARD, NOVELTY), []),
    "random_network_distillation_loss": (intrinsic.random_network_distillation_loss, (PREDICTION, TARGET), [0]),
    "random_network_distillation_rewards": (intrinsic.random_network_distillation_rewards, (PREDICTION, TARGET), []),
}


@pytest.mark.parametrize("name", CASES)
def test_modes_agree(name):
    function, args, _ = CASES[name]
    assert_modes_agree(function, *args)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, args, with_gradient = CASES[name]
    if with_gradient is None:
        function, args, with_gradient = lambda queries: rewards_only(POINTS.astype(np.float64), queries), args[1:], []
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", ["never_give_up_rewards", "random_network_distillation_loss"])
def test_bfloat16(name):
    function, args, _ = CASES[name]
    assert_bfloat16(function, *args)


def test_bfloat16_memory():
    rewards, memory = memory_rewards(tf.cast(POINTS, tf.bfloat16), tf.cast(QUERIES, tf.bfloat16))
    assert rewards.dtype == memory.embeddings.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(rewards, tf.float32), rewards_only(POINTS, QUERIES), rtol=0.1)


def test_nearest_neighbors_follow_the_definition():
    distances = ((QUERIES[:, None] - POINTS[None]) ** 2).sum(-1)
    order = np.argsort(distances, axis=-1)[:, :3]
    actual = neighbors(POINTS, QUERIES)
    np.testing.assert_array_equal(actual.indices, order)
    np.testing.assert_allclose(actual.squared_distances, np.take_along_axis(distances, order, -1), rtol=1e-6)
    np.testing.assert_array_equal(actual.points, POINTS[order])


def test_nearest_neighbors_of_batches_and_of_few_points():
    batch = intrinsic.nearest_neighbors(np.stack([POINTS, -POINTS]), np.stack([QUERIES, QUERIES]), 2)
    for leaf, expected in zip(batch, intrinsic.nearest_neighbors(-POINTS, QUERIES, 2), strict=True):
        np.testing.assert_allclose(leaf[1], expected, rtol=1e-6)
    assert intrinsic.nearest_neighbors(POINTS[:2], QUERIES, 5).indices.shape == (2, 2)


def test_episodic_memory_follows_the_definition():
    states = rng.normal(size=(12, 2))
    states[7:] = states[3]  # too familiar after a few times
    memory = intrinsic.episodic_memory(5, 2, tf.float64)
    step = tf.function(functools.partial(intrinsic.episodic_memory_rewards, max_similarity=1.2))
    seen, mean, count, familiar = [], 0.0, 0, 0
    for state in states:
        reward, memory = step(memory, tf.constant([state]), 3)
        if seen:
            distances = np.sort([((state - point) ** 2).sum() for point in seen])[:3]
            mean = (mean * count + distances.sum()) / (count + len(distances))
            count += len(distances)
            similarity = np.sqrt((1e-4 / (np.maximum(distances / mean - 8e-3, 0) + 1e-4)).sum()) + 1e-3
            np.testing.assert_allclose(reward, [1 / similarity if similarity <= 1.2 else 0.0], rtol=1e-9)
            familiar += similarity > 1.2
        else:
            np.testing.assert_array_equal(reward, [0.0])
        seen = [*seen, state][-5:]
    assert familiar >= 3
    np.testing.assert_allclose(memory.mean_distance, mean)
    assert memory.next_index == 12 % 5


def test_a_new_episode_forgets_the_states_and_keeps_the_scale():
    _, memory = memory_rewards(POINTS, QUERIES)
    fresh = intrinsic.new_episode(memory)
    assert not np.any(np.isfinite(fresh.embeddings))
    assert (fresh.next_index, fresh.mean_distance) == (0, memory.mean_distance)


def test_several_embeddings_go_around_the_ring():
    _, memory = memory_rewards(POINTS, QUERIES)  # six slots, the next one is 5
    np.testing.assert_array_equal(memory.embeddings, np.concatenate([QUERIES[1:], POINTS[1:5], QUERIES[:1]]))
    assert memory.next_index == 1


def test_never_give_up_by_hand():
    np.testing.assert_allclose(intrinsic.never_give_up_rewards(REWARD, NOVELTY), [0.5, 0.4, 5.0])


def test_random_network_distillation_by_hand():
    loss = intrinsic.random_network_distillation_loss([[1.0, 2.0]], [[3.0, 2.5]])
    np.testing.assert_allclose(loss, [(4 + 0.25) / 2])
    np.testing.assert_allclose(intrinsic.random_network_distillation_rewards([[1.0, 2.0]], [[3.0, 2.5]]), loss)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"num_neighbors is 0", intrinsic.nearest_neighbors, POINTS, QUERIES, 0)
    assert_refuses(r"queries has shape \(2, 2\).*D = 3", intrinsic.nearest_neighbors, POINTS, QUERIES[:, :2], 1)
    small = intrinsic.episodic_memory(1, 3)
    assert_refuses(r"embeddings has shape \(2, 3\).*\(1, 3\)", intrinsic.episodic_memory_rewards, small, QUERIES, 1)
