"""Losses and temporal-difference errors: one value per example, unreduced.

Time-step functions take `[...]` and `[..., A]`: any batch axes, or none. Sequence functions are
time-major, `[T, ...]`. The arguments of a call have equally many batch axes, and an axis of size one counts for all
of that axis; an argument without any counts for the whole batch. Anything else is refused: `[B, 1]` beside `[B]` would
be `[B, B]`. Sizes may be unknown. Weighting and averaging belong to the caller. The dtype follows the inputs.
"""

from typing import TYPE_CHECKING

from rl_fn._src import pages
from rl_fn._src.losses.action_value_gradient import dpg_loss, qpg_loss, rm_loss, rpg_loss
from rl_fn._src.losses.actor_critic import (
    categorical_sac_actor_loss,
    categorical_sac_critic_error,
    categorical_sac_temperature_loss,
    clipped_double_q_learning,
    cql_loss,
    expectile_value_loss,
    sac_actor_loss,
    sac_critic_error,
    sac_temperature_loss,
    sampled_cql_loss,
    target_policy_smoothing,
)
from rl_fn._src.losses.auxiliary import feature_control_rewards, pixel_control_loss, pixel_control_rewards
from rl_fn._src.losses.distributional import (
    categorical_double_q_learning,
    categorical_l2_project,
    categorical_q_learning,
    categorical_td_learning,
    quantile_expected_sarsa,
    quantile_q_learning,
    quantile_regression_loss,
)
from rl_fn._src.losses.elementwise import (
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
from rl_fn._src.losses.hl_gauss import hl_gauss_loss, hl_gauss_targets, hl_gauss_values
from rl_fn._src.losses.latents import BalancedKL, balanced_kl
from rl_fn._src.losses.mpo import (
    GaussianKL,
    KLConstraint,
    KLPenalty,
    MPOLoss,
    MPOWeights,
    VMPOWeights,
    gaussian_kl,
    kl_penalty,
    mpo_loss,
    mpo_weights,
    vmpo_loss,
    vmpo_weights,
)
from rl_fn._src.losses.policy_gradient import (
    adaptive_kl_coefficient,
    advantage_weighted_regression_loss,
    advantage_weights,
    clipped_surrogate_pg_loss,
    clipped_value_loss,
    discovered_policy_optimisation_loss,
    entropy_loss,
    kl_penalised_surrogate_loss,
    policy_gradient_loss,
)
from rl_fn._src.losses.temporal_difference import q_lambda, retrace, retrace_continuous, sarsa_lambda, td_lambda
from rl_fn._src.losses.twohot import symexp_bins, twohot_loss, twohot_values
from rl_fn._src.losses.value import (
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
from rl_fn._src.losses.world_models import (
    VariationalLoss,
    mixture_log_likelihood,
    standard_gaussian_kl,
    variational_loss,
)

__all__ = [
    "BalancedKL",
    "GaussianKL",
    "KLConstraint",
    "KLPenalty",
    "MPOLoss",
    "MPOWeights",
    "VMPOWeights",
    "VariationalLoss",
    "adaptive_kl_coefficient",
    "advantage_weighted_regression_loss",
    "advantage_weights",
    "balanced_kl",
    "batched_index",
    "categorical_double_q_learning",
    "categorical_l2_project",
    "categorical_q_learning",
    "categorical_sac_actor_loss",
    "categorical_sac_critic_error",
    "categorical_sac_temperature_loss",
    "categorical_td_learning",
    "clip_gradient",
    "clipped_double_q_learning",
    "clipped_surrogate_pg_loss",
    "clipped_value_loss",
    "cql_loss",
    "discovered_policy_optimisation_loss",
    "double_q_learning",
    "dpg_loss",
    "entropy_loss",
    "expected_sarsa",
    "expectile_loss",
    "expectile_value_loss",
    "feature_control_rewards",
    "gaussian_kl",
    "hl_gauss_loss",
    "hl_gauss_targets",
    "hl_gauss_values",
    "huber_loss",
    "kl_penalised_surrogate_loss",
    "kl_penalty",
    "l2_loss",
    "lhs_broadcast",
    "likelihood",
    "log_loss",
    "masked_mean",
    "mixture_log_likelihood",
    "mpo_loss",
    "mpo_weights",
    "munchausen_q_learning",
    "persistent_q_learning",
    "pixel_control_loss",
    "pixel_control_rewards",
    "policy_gradient_loss",
    "q_lambda",
    "q_learning",
    "qpg_loss",
    "quantile_expected_sarsa",
    "quantile_q_learning",
    "quantile_regression_loss",
    "qv_learning",
    "qv_max",
    "retrace",
    "retrace_continuous",
    "rm_loss",
    "rpg_loss",
    "sac_actor_loss",
    "sac_critic_error",
    "sac_temperature_loss",
    "sampled_cql_loss",
    "sarsa",
    "sarsa_lambda",
    "standard_gaussian_kl",
    "symexp_bins",
    "target_policy_smoothing",
    "td_lambda",
    "td_learning",
    "twohot_loss",
    "twohot_values",
    "variational_loss",
    "vmpo_loss",
    "vmpo_weights",
]

if not TYPE_CHECKING:
    __getattr__ = pages.attribute_of(__name__)
