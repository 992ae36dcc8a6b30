"""The newest steps of several environments as plain rows of time, which may be read and rewritten as a whole."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.struct import Nest


class Recording(NamedTuple):
    """A ring of rows; a row holds one step of each of B environments."""

    steps: Nest  # [R, B, ...]
    count: tf.Tensor  # int32[]: rows written so far, also those that were overwritten

    @property
    def num_rows(self) -> tf.Tensor:
        """How many rows hold steps, int32[]."""
        return tf.minimum(self.count, tf.nest.flatten(self.steps)[0].shape[0])

    def row_of(self, age: tf.Tensor) -> tf.Tensor:
        """The rows of steps, counted from the oldest one at 0."""
        rows = tf.nest.flatten(self.steps)[0].shape[0]
        return (self.count - self.num_rows + age) % rows


def empty_recording(spec: Nest, num_rows: int, num_envs: int) -> Recording:
    """A recording of nothing yet.

    Args:
      spec: a nest of `tf.TensorSpec`, one step.
      num_rows: R, how many steps of each environment are kept.
      num_envs: B.
    """
    zeros = lambda leaf: tf.zeros([num_rows, num_envs, *leaf.shape], leaf.dtype)
    return Recording(tf.nest.map_structure(zeros, spec), tf.constant(0))


def record(recording: Recording, steps: Nest) -> Recording:
    """Adds steps `[T, B, ...]`, over the oldest ones where the recording is full; T divides R."""
    length = tf.nest.flatten(steps)[0].shape[0]
    rows = tf.nest.flatten(recording.steps)[0].shape[0]
    at = ((recording.count + tf.range(length)) % rows)[:, tf.newaxis]
    put = lambda kept, new: tf.tensor_scatter_nd_update(kept, at, tf.cast(new, kept.dtype))
    return Recording(tf.nest.map_structure(put, recording.steps, steps), recording.count + length)


def sample_windows(recording: Recording, steps: Nest, key: random.Key, number: int, length: int) -> Nest:
    """Successive steps of one environment each, all as likely; none reaches from the newest step to the oldest.

    Args:
      recording: which rows there are; at least `length` of them.
      steps: what is read, its steps or a part of them, `[R, B, ...]`.
      key: `uint32[2]`.
      number: N.
      length: L.

    Returns:
      `[L, N, ...]`. Episodes may end inside.
    """
    first_key, env_key = tf.unstack(random.split(key))
    num_envs = tf.nest.flatten(steps)[0].shape[1]
    share = random.uniform(first_key, [number])
    possible = tf.maximum(recording.num_rows - length + 1, 1)
    first = tf.minimum(tf.cast(share * tf.cast(possible, tf.float32), tf.int32), possible - 1)
    envs = random.randint(env_key, [number], 0, num_envs)
    rows = recording.row_of(first + tf.range(length)[:, tf.newaxis])
    at = tf.stack([rows, tf.broadcast_to(envs, [length, number])], axis=-1)
    return tf.nest.map_structure(lambda kept: tf.gather_nd(kept, at), steps)


def sample_firsts(recording: Recording, steps: Nest, is_last: tf.Tensor, key: random.Key, number: int) -> Nest:
    """First steps of episodes, all as likely; any steps where none is recorded after the end of another episode.

    Args:
      recording: which rows there are.
      steps: what is read, its steps or a part of them, `[R, B, ...]`.
      is_last: bool[R, B], where episodes end.
      key: `uint32[2]`.
      number: N.

    Returns:
      `[N, ...]`.
    """
    rows, num_envs = is_last.shape
    by_age = recording.row_of(tf.range(rows))
    follows_end = tf.concat([tf.zeros_like(is_last[:1]), tf.gather(is_last, by_age)[:-1]], axis=0)
    is_there = tf.broadcast_to(tf.range(rows)[:, tf.newaxis] < recording.num_rows, [rows, num_envs])
    is_first = follows_end & is_there
    possible = tf.where(tf.reduce_any(is_first), is_first, is_there)
    counted = tf.cumsum(tf.cast(tf.reshape(possible, [-1]), tf.int32))
    chosen = tf.cast(random.uniform(key, [number]) * tf.cast(counted[-1], tf.float32), tf.int32)
    chosen = tf.minimum(chosen, counted[-1] - 1)  # a product may be rounded up
    place = tf.reduce_sum(tf.cast(counted <= chosen[:, tf.newaxis], tf.int32), axis=-1)
    at = tf.stack([tf.gather(by_age, place // num_envs), place % num_envs], axis=-1)
    return tf.nest.map_structure(lambda kept: tf.gather_nd(kept, at), steps)
