"""Action selection, policy distributions and exploration noise.

Functions that take a key consume it. Distributions are those of tensorflow-probability, for their
log-probabilities, entropies and divergences; samples are drawn by `sample` from an explicit key, so
that they do not depend on device or mode. `legal` masks the actions that may be taken; at least one
must be legal for each example.
"""

from typing import TYPE_CHECKING

from rl_fn._src import pages
from rl_fn._src.policies.distributions import (
    ClippedSample,
    Distribution,
    SquashedSample,
    categorical,
    clipped_gaussian,
    gaussian,
    mode,
    multi_binary,
    multi_discrete,
    sample,
    squash,
    squashed_entropy,
    squashed_gaussian,
    squashed_log_prob,
    squashed_sample,
)
from rl_fn._src.policies.heads import PolicyHead, UnitBox, policy_head, uniform_action, unit_box
from rl_fn._src.policies.noise import (
    adaptive_noise_stddev,
    add_dirichlet_noise,
    add_gaussian_noise,
    ornstein_uhlenbeck,
    perturb,
    state_dependent_action,
    state_dependent_gaussian,
    state_dependent_noise,
)
from rl_fn._src.policies.selection import (
    boltzmann,
    boltzmann_probs,
    epsilon_greedy,
    epsilon_greedy_probs,
    greedy,
    greedy_probs,
    gumbel_softmax,
)

__all__ = [
    "ClippedSample",
    "Distribution",
    "PolicyHead",
    "SquashedSample",
    "UnitBox",
    "adaptive_noise_stddev",
    "add_dirichlet_noise",
    "add_gaussian_noise",
    "boltzmann",
    "boltzmann_probs",
    "categorical",
    "clipped_gaussian",
    "epsilon_greedy",
    "epsilon_greedy_probs",
    "gaussian",
    "greedy",
    "greedy_probs",
    "gumbel_softmax",
    "mode",
    "multi_binary",
    "multi_discrete",
    "ornstein_uhlenbeck",
    "perturb",
    "policy_head",
    "sample",
    "squash",
    "squashed_entropy",
    "squashed_gaussian",
    "squashed_log_prob",
    "squashed_sample",
    "state_dependent_action",
    "state_dependent_gaussian",
    "state_dependent_noise",
    "uniform_action",
    "unit_box",
]

if not TYPE_CHECKING:
    __getattr__ = pages.attribute_of(__name__)
