"""How target parameters follow the parameters that are learned. All functions take and return nests.

They raise ValueError where the two nests differ in structure, or a leaf in shape.
"""

from __future__ import annotations

import tensorflow as tf

from rl_fn import struct
from rl_fn._src.signature import signature
from rl_fn.struct import Nest


@signature(step_size="float in [0, 1]")
def incremental_update(new: Nest, old: Nest, step_size: float | tf.Tensor) -> Nest:
    """Moves `old` a part of the way to `new`: step_size new + (1 - step_size) old.

    Lillicrap et al. (2016), "Continuous control with deep reinforcement learning", algorithm 1, where
    step_size is tau (0.001 there).

    Args:
      new: a nest of floating-point tensors, the parameters.
      old: a nest of the same structure, the target parameters.
      step_size: a scalar in [0, 1].

    Returns:
      The next target parameters.
    """
    new, old = _alike("incremental_update", new, old)

    def towards(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        weight = tf.cast(step_size, new.dtype)
        return weight * new + (1 - weight) * old

    return tf.nest.map_structure(towards, new, old)


@signature(is_time="bool")
def conditional_update(new: Nest, old: Nest, is_time: bool | tf.Tensor) -> Nest:
    """`new` where `is_time` is true, else `old`.

    Args:
      new: a nest of tensors, the parameters.
      old: a nest of the same structure, the target parameters.
      is_time: a scalar.

    Returns:
      The next target parameters.
    """
    return struct.where(is_time, *_alike("conditional_update", new, old))


@signature(steps="any", period="int in [1, inf)")
def periodic_update(new: Nest, old: Nest, steps: int | tf.Tensor, period: int | tf.Tensor) -> Nest:
    """`new` where `steps` is a multiple of `period`, 0 included, else `old`.

    Mnih et al. (2015), "Human-level control through deep reinforcement learning", algorithm 1.

    Args:
      new: a nest of tensors, the parameters.
      old: a nest of the same structure, the target parameters.
      steps: a scalar, how many steps were made.
      period: a positive scalar, the steps between two copies.

    Returns:
      The next target parameters.
    """
    return conditional_update(new, old, tf.cast(steps, tf.int64) % tf.cast(period, tf.int64) == 0)


def _alike(function: str, new: Nest, old: Nest) -> tuple[Nest, Nest]:
    """The nests as tensors, none of which broadcasts against its counterpart."""
    tf.nest.assert_same_structure(new, old)
    new, old = tf.nest.map_structure(tf.convert_to_tensor, (new, old))
    for (path, one), (_, other) in zip(struct.named_leaves(new), struct.named_leaves(old), strict=True):
        if not one.shape.is_compatible_with(other.shape):
            raise ValueError(
                f"{function}: {path or 'the tensor'} has shape {tuple(one.shape)} in new and {tuple(other.shape)} "
                "in old, expected the same"
            )
    return new, old
