"""Auxiliary tasks: rewards for changing what is seen, and their loss."""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from rl_fn._src.losses.elementwise import batched_index, l2_loss
from rl_fn._src.shapes import sizes_of
from rl_fn._src.signature import signature
from rl_fn.returns import lambda_returns

Cumulant = Literal["feature", "absolute_change", "increase", "decrease", "potential"]


@signature(observations="float S ... H W C")
def pixel_control_rewards(observations: tf.Tensor, cell_size: int) -> tf.Tensor:
    """The mean absolute change of the pixels of each cell of a grid, from one observation to the next.

    Jaderberg et al. (2017), "Reinforcement learning with unsupervised auxiliary tasks", section 3.1. The
    observations should be scaled to [0, 1] and belong to one episode.

    Args:
      observations: `[T + 1, ..., H, W, C]`.
      cell_size: the side of a cell in pixels; divides H and W.

    Returns:
      `[T, ..., H / cell_size, W / cell_size]` rewards.
    """
    length, *batch, height, width, channels = sizes_of(observations)
    if not all(isinstance(size, int) for size in (height, width, channels)):
        raise ValueError(
            f"pixel_control_rewards: observations has shape {tuple(observations.shape)}, "
            "expected [T + 1, ..., H, W, C] with H, W and C known"
        )
    if cell_size < 1 or height % cell_size or width % cell_size:
        raise ValueError(
            f"pixel_control_rewards: cell_size is {cell_size}, expected a divisor of H = {height} and W = {width}"
        )
    change = tf.abs(observations[1:] - observations[:-1])
    cells = [height // cell_size, cell_size, width // cell_size, cell_size, channels]
    change = tf.reshape(change, [length - 1, *batch, *cells])
    return tf.reduce_mean(change, axis=[-4, -2, -1])


@signature(features="float S ... D", discount="float")
def feature_control_rewards(
    features: tf.Tensor, cumulant: Cumulant = "absolute_change", discount: float | tf.Tensor | None = None
) -> tf.Tensor:
    """A reward per feature, from the change of the features from one step to the next.

    Jaderberg et al. (2017), "Reinforcement learning with unsupervised auxiliary tasks", section 3.1.

    Args:
      features: `[T + 1, ..., D]` of one episode.
      cumulant: `feature` for f_t, `absolute_change` for |f_t - f_{t-1}|, `increase` for f_t - f_{t-1},
        `decrease` for its negative, `potential` for discount f_t - f_{t-1}.
      discount: a scalar, for `potential`.

    Returns:
      `[T, ..., D]` rewards.
    """
    before, after = features[:-1], features[1:]
    match cumulant:
        case "feature":
            return after
        case "absolute_change":
            return tf.abs(after - before)
        case "increase":
            return after - before
        case "decrease":
            return before - after
        case "potential" if discount is not None:
            return discount * after - before
        case "potential":
            raise ValueError("feature_control_rewards: discount is None, expected a scalar for potential")
    allowed = "feature, absolute_change, increase, decrease or potential"
    raise ValueError(f"feature_control_rewards: cumulant is {cumulant!r}, expected {allowed}")


def _check_pixel_control(
    observations: tf.Tensor, actions: tf.Tensor, action_values: tf.Tensor, discount_t: tf.Tensor, cell_size: int
) -> None:
    del discount_t
    rewards = tf.TensorShape([length and length - 1 for length in observations.shape[:1]])
    cells = [size and size // max(cell_size, 1) for size in observations.shape[-3:-1]]
    if not (actions.shape[:1].is_compatible_with(rewards) and action_values.shape[-3:-1].is_compatible_with(cells)):
        raise ValueError(
            f"pixel_control_loss: actions has shape {tuple(actions.shape)} and action_values "
            f"{tuple(action_values.shape)}, expected [T, ...] and [T + 1, ..., {cells[0]}, {cells[1]}, A] with "
            f"T = {rewards[0]}"
        )


@signature(
    _check_pixel_control,
    observations="float S ... H W C",
    actions="int T ... in [0, A)",
    action_values="float S ... I J A",
    discount_t="float | T ...",
)
def pixel_control_loss(
    observations: tf.Tensor,
    actions: tf.Tensor,
    action_values: tf.Tensor,
    discount_t: float | tf.Tensor,
    cell_size: int,
) -> tf.Tensor:
    """The loss of the action values of pixel control, 0.5 (target - q)**2 for each cell.

    Jaderberg et al. (2017), "Reinforcement learning with unsupervised auxiliary tasks", section 3.1. The
    target is the discounted sum of the cell's rewards up to the end of the sequence, and the largest
    action value there; it gets no gradient.

    Args:
      observations: `[T + 1, ..., H, W, C]` in [0, 1], of one episode.
      actions: `int[T, ...]` actions taken.
      action_values: `[T + 1, ..., H / cell_size, W / cell_size, A]`.
      discount_t: a scalar or `[T, ...]`.
      cell_size: the side of a cell in pixels.

    Returns:
      `[T, ..., H / cell_size, W / cell_size]` losses.
    """
    rewards = pixel_control_rewards(observations, cell_size)
    each_cell = (..., tf.newaxis, tf.newaxis)
    discount_t = tf.convert_to_tensor(discount_t)[each_cell] + tf.zeros_like(rewards)
    target = lambda_returns(rewards, discount_t, tf.reduce_max(action_values[1:], axis=-1))
    return l2_loss(tf.stop_gradient(target) - batched_index(action_values[:-1], actions[each_cell]))
