"""Exploration that agents share."""

from __future__ import annotations

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
