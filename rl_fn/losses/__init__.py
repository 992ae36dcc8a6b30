"""Losses and temporal-difference errors: one value per example, unreduced.

Time-step functions take `[...]` and `[..., A]`: any batch axes, or none. Sequence functions are
time-major, `[T, ...]`. Weighting and averaging belong to the caller. The dtype follows the inputs.
"""

from rl_fn.losses.distributional import (
    categorical_double_q_learning,
    categorical_l2_project,
    categorical_q_learning,
    categorical_td_learning,
    quantile_expected_sarsa,
    quantile_q_learning,
    quantile_regression_loss,
)
from rl_fn.losses.elementwise import (
    batched_index,
    clip_gradient,
    expectile_loss,
    huber_loss,
    l2_loss,
    lhs_broadcast,
    likelihood,
    log_loss,
    masked_mean,
)
from rl_fn.losses.hl_gauss import hl_gauss_loss, hl_gauss_targets, hl_gauss_values
from rl_fn.losses.multi_step import q_lambda, retrace, retrace_continuous, sarsa_lambda, td_lambda
from rl_fn.losses.policy_gradient import (
    clipped_surrogate_pg_loss,
    clipped_value_loss,
    entropy_loss,
    policy_gradient_loss,
)
from rl_fn.losses.value import (
    double_q_learning,
    expected_sarsa,
    munchausen_q_learning,
    persistent_q_learning,
    q_learning,
    qv_learning,
    qv_max,
    sarsa,
    td_learning,
)

__all__ = [
    "batched_index",
    "categorical_double_q_learning",
    "categorical_l2_project",
    "categorical_q_learning",
    "categorical_td_learning",
    "clip_gradient",
    "clipped_surrogate_pg_loss",
    "clipped_value_loss",
    "double_q_learning",
    "entropy_loss",
    "expected_sarsa",
    "expectile_loss",
    "hl_gauss_loss",
    "hl_gauss_targets",
    "hl_gauss_values",
    "huber_loss",
    "l2_loss",
    "lhs_broadcast",
    "likelihood",
    "log_loss",
    "masked_mean",
    "munchausen_q_learning",
    "persistent_q_learning",
    "policy_gradient_loss",
    "q_lambda",
    "q_learning",
    "quantile_expected_sarsa",
    "quantile_q_learning",
    "quantile_regression_loss",
    "qv_learning",
    "qv_max",
    "retrace",
    "retrace_continuous",
    "sarsa",
    "sarsa_lambda",
    "td_lambda",
    "td_learning",
]
