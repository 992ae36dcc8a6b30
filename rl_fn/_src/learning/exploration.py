"""Exploration that agents share."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium
import tensorflow as tf

from rl_fn import policies, random
from rl_fn._src.shapes import sizes_of


def uniform_at_first(
    key: random.Key, space: gymnasium.Space, action: tf.Tensor, num_steps: tf.Tensor, learning_starts: int
) -> tf.Tensor:
    """Actions of which each is as likely as any other, until learning starts.

    Args:
      key: `uint32[2]`.
      space: of the actions, Discrete or a Box with finite bounds.
      action: `[B, ...]`, what the policy chooses.
      num_steps: how many steps have been taken so far.
      learning_starts: from how many on the policy acts.

    Returns:
      `[B, ...]` actions.
    """
    return tf.where(num_steps < learning_starts, policies.uniform_action(key, space, sizes_of(action)[0]), action)


class HeldNoise(NamedTuple):
    """Draws that an actor keeps for a number of steps; zeros where an episode begins."""

    draws: tf.Tensor  # float32[B, N], standard normal
    steps: tf.Tensor  # int32[B]: since the episode began


def no_noise(batch_size: int, size: int) -> HeldNoise:
    """Where episodes begin: draws are made with the first step."""
    return HeldNoise(tf.zeros([batch_size, size]), tf.zeros([batch_size], tf.int32))


def held_noise(key: random.Key, noise: HeldNoise, period: int) -> HeldNoise:
    """The draws for the next step: new ones with every `period`-th step of an episode, the first one too."""
    fresh = random.normal(key, sizes_of(noise.draws))
    is_due = (noise.steps % period == 0)[:, tf.newaxis]
    return HeldNoise(tf.where(is_due, fresh, noise.draws), noise.steps + 1)
