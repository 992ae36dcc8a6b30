"""Losses and temporal-difference errors: one value per example, unreduced.

Time-step functions take `[...]` and `[..., A]`: any batch axes, or none. Sequence functions are
time-major, `[T, ...]`. Weighting and averaging belong to the caller. The dtype follows the inputs.
"""

from rl_fn.losses.auxiliary import feature_control_rewards, pixel_control_loss, pixel_control_rewards
from rl_fn.losses.elementwise import batched_index, huber_loss, l2_loss
from rl_fn.losses.policy_gradient import (
    clipped_surrogate_pg_loss,
    clipped_value_loss,
    entropy_loss,
    policy_gradient_loss,
)
from rl_fn.losses.value import double_q_learning, q_learning, td_learning

__all__ = [
    "batched_index",
    "clipped_surrogate_pg_loss",
    "clipped_value_loss",
    "double_q_learning",
    "entropy_loss",
    "feature_control_rewards",
    "huber_loss",
    "l2_loss",
    "pixel_control_loss",
    "pixel_control_rewards",
    "policy_gradient_loss",
    "q_learning",
    "td_learning",
]
