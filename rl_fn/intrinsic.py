"""Rewards for what is new: episodic memory and random network distillation."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.shapes import sizes_of
from rl_fn._src.signature import signature


class Neighbors(NamedTuple):
    """The nearest points of each query, nearest first."""

    points: tf.Tensor  # [..., M, K, D]
    indices: tf.Tensor  # int32[..., M, K]: into the points searched
    squared_distances: tf.Tensor  # [..., M, K]


class EpisodicMemory(NamedTuple):
    """The embeddings of one episode, and the scale of the distances between them."""

    embeddings: tf.Tensor  # [N, D]; infinity where nothing was written yet
    next_index: tf.Tensor  # int32[]: the slot to be written next
    mean_distance: tf.Tensor  # []: running mean of squared distances to neighbours, over episodes
    distance_count: tf.Tensor  # []: how many are in that mean


@signature(points="float ... N D", queries="float ... M D")
def nearest_neighbors(points: tf.Tensor, queries: tf.Tensor, num_neighbors: int) -> Neighbors:
    """The K points nearest to each query, by squared Euclidean distance.

    Args:
      points: `[..., N, D]`.
      queries: `[..., M, D]`.
      num_neighbors: K; where there are fewer points, all of them.

    Returns:
      `Neighbors`, nearest first.
    """
    if num_neighbors < 1:
        raise ValueError(f"nearest_neighbors: num_neighbors is {num_neighbors}, expected at least 1")
    differences = queries[..., :, tf.newaxis, :] - points[..., tf.newaxis, :, :]
    distances = tf.reduce_sum(tf.square(differences), axis=-1)
    *batch, _, num_points = sizes_of(distances)
    known = isinstance(num_points, int)
    negative, indices = tf.math.top_k(-distances, (min if known else tf.minimum)(num_neighbors, num_points))
    points = tf.broadcast_to(points, [*batch, *sizes_of(points)[-2:]])
    return Neighbors(tf.gather(points, indices, batch_dims=len(batch)), indices, -negative)


def episodic_memory(size: int, features: int, dtype: tf.DType = tf.float32) -> EpisodicMemory:
    """An empty memory of `size` embeddings with `features` numbers each."""
    empty = tf.fill([size, features], tf.constant(float("inf"), dtype))
    return EpisodicMemory(empty, tf.constant(0), tf.zeros([], dtype), tf.zeros([], dtype))


def new_episode(memory: EpisodicMemory) -> EpisodicMemory:
    """Forgets the embeddings and keeps the scale of the distances."""
    empty = tf.fill(sizes_of(memory.embeddings), tf.constant(float("inf"), memory.embeddings.dtype))
    return memory._replace(embeddings=empty, next_index=tf.zeros_like(memory.next_index))


@signature(
    embeddings="float M D",
    epsilon="float in (0, inf)",
    cluster_distance="float in [0, inf)",
    constant="float in [0, inf)",
    max_similarity="float in (0, inf]",
)
def episodic_memory_rewards(
    memory: EpisodicMemory,
    embeddings: tf.Tensor,
    num_neighbors: int,
    epsilon: float | tf.Tensor = 1e-4,
    cluster_distance: float | tf.Tensor = 8e-3,
    constant: float | tf.Tensor = 1e-3,
    max_similarity: float | tf.Tensor = 8.0,
) -> tuple[tf.Tensor, EpisodicMemory]:
    """Rewards for states unlike those of the same episode, 1 / s with s = sqrt(sum_k K(x, x_k)) + constant.

    Badia et al. (2020), "Never give up: learning directed exploration strategies", equation 2 and
    algorithm 1: the kernel is K = epsilon / (d + epsilon), d the squared distance to a neighbour over
    its running mean, less `cluster_distance` and at least zero. Where s exceeds `max_similarity` the
    reward is zero. The embeddings of a call are compared with those of the calls before, then written,
    over the oldest ones once the memory is full. Rewards get no gradient.

    Args:
      memory: `EpisodicMemory` of N embeddings.
      embeddings: `[M, D]`, M at most N: of the next M steps, or of one.
      num_neighbors: the number of neighbours that count.
      epsilon: of the kernel.
      cluster_distance: relative squared distances below this count as zero.
      constant: added to the similarity.
      max_similarity: the largest similarity that is rewarded.

    Returns:
      `[M]` rewards, and the next memory.
    """
    size, count = sizes_of(memory.embeddings)[0], sizes_of(embeddings)[0]
    too_many = isinstance(count, int) and isinstance(size, int) and count > size
    if too_many or not embeddings.shape[1:].is_compatible_with(memory.embeddings.shape[1:]):
        raise ValueError(
            f"episodic_memory_rewards: embeddings has shape {tuple(embeddings.shape)}, expected [M, D] that fits "
            f"into a memory of shape {tuple(memory.embeddings.shape)}"
        )
    embeddings = tf.stop_gradient(embeddings)
    distances = nearest_neighbors(memory.embeddings, embeddings, num_neighbors).squared_distances
    written = tf.math.is_finite(distances)
    found = tf.where(written, distances, tf.zeros_like(distances))

    added = tf.reduce_sum(tf.cast(written, distances.dtype))
    total = memory.distance_count + added
    mean = memory.mean_distance + (tf.reduce_sum(found) - added * memory.mean_distance) / tf.maximum(total, 1)
    relative = tf.math.divide_no_nan(found, mean)
    kernel = epsilon / (tf.nn.relu(relative - cluster_distance) + epsilon)
    kernel = tf.where(written, kernel, tf.zeros_like(kernel))
    similarity = tf.sqrt(tf.reduce_sum(kernel, axis=-1)) + constant
    # An empty memory has nothing to compare with: no similarity, and no reward either.
    rewarded = (similarity <= max_similarity) & tf.reduce_any(written, axis=-1)
    rewards = tf.where(
        rewarded, 1 / tf.where(rewarded, similarity, tf.ones_like(similarity)), tf.zeros_like(similarity)
    )

    slots = (memory.next_index + tf.range(count)) % size
    contents = tf.tensor_scatter_nd_update(memory.embeddings, slots[:, tf.newaxis], embeddings)
    return rewards, EpisodicMemory(contents, (memory.next_index + count) % size, mean, total)


@signature(episodic_reward_t="float ...", novelty_t="float ...", max_modulation="float in [1, inf]")
def never_give_up_rewards(
    episodic_reward_t: tf.Tensor, novelty_t: tf.Tensor, max_modulation: float | tf.Tensor = 5.0
) -> tf.Tensor:
    """Episodic rewards times how new a state is over the whole life, within [1, max_modulation].

    Badia et al. (2020), "Never give up: learning directed exploration strategies", equation 1.

    Args:
      episodic_reward_t: `[...]` from `episodic_memory_rewards`.
      novelty_t: `[...]`, 1 + (error - mean) / standard deviation of `random_network_distillation_rewards`.
      max_modulation: the largest factor.

    Returns:
      `[...]` rewards, without gradient.
    """
    return tf.stop_gradient(episodic_reward_t * tf.clip_by_value(novelty_t, 1, max_modulation))


@signature(prediction_t="float ... D", target_t="float ... D")
def random_network_distillation_loss(prediction_t: tf.Tensor, target_t: tf.Tensor) -> tf.Tensor:
    """The mean over features of (prediction - target)**2; the target gets no gradient.

    Burda et al. (2019), "Exploration by random network distillation", section 2.2.

    Args:
      prediction_t: `[..., D]` outputs of the network that learns.
      target_t: `[..., D]` outputs of the fixed, randomly initialised network.

    Returns:
      `[...]` losses.
    """
    return tf.reduce_mean(tf.math.squared_difference(prediction_t, tf.stop_gradient(target_t)), axis=-1)


@signature(prediction_t="float ... D", target_t="float ... D")
def random_network_distillation_rewards(prediction_t: tf.Tensor, target_t: tf.Tensor) -> tf.Tensor:
    """Intrinsic rewards: the value of `random_network_distillation_loss`, `[...]`, without gradient.

    Divide them by the running standard deviation of their returns, as Burda et al. (2019) do in section
    2.4, with `rl_fn.normalization.RunningMoments`.
    """
    return tf.stop_gradient(random_network_distillation_loss(prediction_t, target_t))
