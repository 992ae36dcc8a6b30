"""Losses and temporal-difference errors: one value per example, unreduced.

Time-step functions take `[...]` and `[..., A]`: any batch axes, or none. Sequence functions are
time-major, `[T, ...]`. Weighting and averaging belong to the caller. The dtype follows the inputs.
"""

from rl_fn.losses.action_value_gradient import (
    dpg_loss,
    qpg_loss,
    rm_loss,
    rpg_loss,
)
from rl_fn.losses.actor_critic import (
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
from rl_fn.losses.elementwise import (
    batched_index,
    huber_loss,
    l2_loss,
)
from rl_fn.losses.mpo import (
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
from rl_fn.losses.policy_gradient import (
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
from rl_fn.losses.value import (
    double_q_learning,
    q_learning,
    td_learning,
)

__all__ = [
    "GaussianKL",
    "KLConstraint",
    "KLPenalty",
    "MPOLoss",
    "MPOWeights",
    "VMPOWeights",
    "adaptive_kl_coefficient",
    "advantage_weighted_regression_loss",
    "advantage_weights",
    "batched_index",
    "categorical_sac_actor_loss",
    "categorical_sac_critic_error",
    "categorical_sac_temperature_loss",
    "clipped_double_q_learning",
    "clipped_surrogate_pg_loss",
    "clipped_value_loss",
    "cql_loss",
    "discovered_policy_optimisation_loss",
    "double_q_learning",
    "dpg_loss",
    "entropy_loss",
    "expectile_value_loss",
    "gaussian_kl",
    "huber_loss",
    "kl_penalised_surrogate_loss",
    "kl_penalty",
    "l2_loss",
    "mpo_loss",
    "mpo_weights",
    "policy_gradient_loss",
    "q_learning",
    "qpg_loss",
    "rm_loss",
    "rpg_loss",
    "sac_actor_loss",
    "sac_critic_error",
    "sac_temperature_loss",
    "sampled_cql_loss",
    "target_policy_smoothing",
    "td_learning",
    "vmpo_loss",
    "vmpo_weights",
]
