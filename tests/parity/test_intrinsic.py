import rlax
import tensorflow as tf
from rlax._src.exploration import IntrinsicRewardState

from rl_fn import intrinsic, losses
from tests.parity.support import CASES, assert_parity


def points_args(rng):
    n, m, d = (int(rng.choice(sizes)) for sizes in ([4, 9], [1, 3], [1, 5]))
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


def test_nearest_neighbors():
    def theirs(points, queries):
        found = rlax.knn_query(points, queries, 3)
        return found.neighbors, found.neighbor_indices, -found.neighbor_neg_distances

    assert_parity(lambda *args: intrinsic.nearest_neighbors(*args, 3), theirs, points_args, ())


def test_episodic_memory_rewards():
    """With constant 0: rlax adds it to the mean of negative distances, which turns its sign around."""

    def theirs(points, queries):
        state = IntrinsicRewardState(memory=points, next_memory_index=1, distance_sum=-5.0, distance_count=4)
        rewards, state = rlax.episodic_memory_intrinsic_rewards(
            queries, 3, 1.0, state, constant=0.0, max_memory_size=len(points)
        )
        return rewards, state.memory, -state.distance_sum / state.distance_count

    def ours(points, queries):
        memory = intrinsic.EpisodicMemory(points, 1, tf.constant(1.25, tf.float64), tf.constant(4.0, tf.float64))
        rewards, memory = intrinsic.episodic_memory_rewards(memory, queries, 3, constant=0.0)
        return rewards, memory.embeddings, memory.mean_distance

    assert_parity(ours, theirs, points_args, ())


def frames_args(rng):
    t, cells = int(rng.choice([1, 4])), int(rng.choice([1, 2]))
    observations = rng.random((t + 1, 2 * cells, 4, 3))
    return observations, rng.integers(3, size=t), rng.normal(size=(t + 1, cells, 2, 3)), rng.random(t)


def test_pixel_control():
    def rewards(observations, *_):
        return losses.pixel_control_rewards(observations, 2)

    assert_parity(rewards, lambda x, *_: rlax.pixel_control_rewards(x, 2), frames_args, (0,))
    assert_parity(
        lambda *args: losses.pixel_control_loss(*args, 2),
        lambda *args: rlax.pixel_control_loss(*args, 2),
        frames_args,
        (2,),
    )


def test_feature_control():
    for cumulant in ("feature", "absolute_change", "increase", "decrease", "potential"):
        assert_parity(
            lambda x, kind=cumulant: losses.feature_control_rewards(x, kind, 0.9),
            lambda x, kind=cumulant: rlax.feature_control_rewards(x, kind, 0.9),
            lambda rng: (rng.normal(size=(int(rng.choice([2, 5])), 3)),),
            (0,),
            cases=CASES // 5,
        )
