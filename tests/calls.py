"""One call of every public function of tensors: what its arguments look like.

Each argument is a word: capital letters are its axes, and what stands before them its kind: nothing for any
floating-point number, `p` for numbers in (0, 1), `i` for indices in {0, 1}, `b` for booleans, `s` for an
increasing row, `k` for a key. A kind alone is a scalar; `f` is a floating-point one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import intrinsic, losses, normalization, policies, random, returns, transforms

SIZES = {"T": 5, "B": 3, "A": 4, "K": 6, "J": 7, "N": 2, "S": 6, "H": 6, "W": 8, "C": 2, "I": 3}
PAIR = transforms.SIGNED_HYPERBOLIC_PAIR


class Argument(NamedTuple):
    kind: str
    axes: str

    @property
    def num_batch_axes(self) -> int:
        """Of time and batch, which come first."""
        return len(re.match("[TSB]*", self.axes)[0])

    def value(self, seed: int) -> tf.Tensor:
        shape, generator = [SIZES[axis] for axis in self.axes], np.random.default_rng(seed)
        match self.kind:
            case "k":
                return random.key(seed)
            case "i":
                return tf.constant(generator.integers(0, 2, shape), tf.int32)
            case "b":
                return tf.constant(generator.random(shape) < 0.7)
            case "s":
                return tf.constant(np.cumsum(generator.random(shape) + 0.1, axis=-1), tf.float32)
            case "p":
                return tf.constant(0.1 + 0.8 * generator.random(shape), tf.float32)
        return tf.constant(generator.normal(size=shape), tf.float32)


class Call(NamedTuple):
    function: Callable[..., Any]
    arguments: list[Argument]

    def values(self) -> list[tf.Tensor]:
        return [argument.value(seed) for seed, argument in enumerate(self.arguments)]


def of_distribution(make: Callable[..., policies.Distribution]) -> Callable[..., tuple]:
    """What one does with a policy's distribution: draw, ask for the likeliest action, for log-probabilities."""

    def use(key: tf.Tensor, *args: tf.Tensor) -> tuple:
        distribution = make(*args)
        draw = policies.sample(key, distribution)
        if hasattr(distribution, "bijector"):
            of_kind = policies.squashed_entropy(key, distribution), policies.squashed_sample(key, distribution)
        else:
            of_kind = distribution.entropy(), distribution.log_prob(draw)
        return draw, policies.mode(distribution), of_kind

    return use


def kl_constrained(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda log_prob, q, temperature, kl, alpha: loss(
        log_prob, q, temperature, 0.1, [losses.KLConstraint(kl, alpha, 0.01)]
    )


def with_pop_art(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(shift: tf.Tensor, scale: tf.Tensor, *args: tf.Tensor) -> Any:
        return function(normalization.PopArtState(shift, scale, scale + 1), *args)

    return call


_WORDS = {
    losses.advantage_weighted_regression_loss: "B B",
    losses.advantage_weights: "B",
    losses.adaptive_kl_coefficient: "p p p",
    losses.balanced_kl: "BAK BAK p",
    losses.batched_index: "TBA iTB",
    losses.categorical_double_q_learning: "sK BAK iB B pB sJ BAJ BA",
    losses.categorical_l2_project: "sBK pBK sJ",
    losses.categorical_q_learning: "sK BAK iB B pB sJ BAJ",
    losses.categorical_sac_actor_loss: "BA BNA p",
    losses.categorical_sac_critic_error: "BNA iB B pB BNA BA p",
    losses.categorical_sac_temperature_loss: "p BA f",
    losses.categorical_td_learning: "sK BK B pB sJ BJ",
    losses.clip_gradient: "B f p",
    losses.clipped_double_q_learning: "BN B pB BN",
    losses.clipped_surrogate_pg_loss: "TB TB p",
    losses.clipped_value_loss: "TB TB TB p",
    losses.cql_loss: "BA iB",
    losses.discovered_policy_optimisation_loss: "B B",
    losses.double_q_learning: "BA iB B pB BA BA",
    losses.dpg_loss: "BA BA p",
    losses.entropy_loss: "BA",
    losses.expectile_loss: "B B p",
    losses.expectile_value_loss: "B B p",
    losses.expected_sarsa: "BA iB B pB BA pBA",
    losses.feature_control_rewards: "SBA",
    losses.gaussian_kl: "BA pBA BA pBA",
    losses.hl_gauss_loss: "BK B sJ p",
    losses.hl_gauss_targets: "B sJ p",
    losses.hl_gauss_values: "BK sJ",
    losses.huber_loss: "B p",
    losses.kl_penalised_surrogate_loss: "B B B p",
    losses.kl_penalty: "B p p",
    losses.l2_loss: "B",
    losses.lhs_broadcast: "B BA",
    losses.likelihood: "pB pB",
    losses.log_loss: "pB pB",
    losses.masked_mean: "TB bTB",
    losses.mixture_log_likelihood: "BA BAK BAK BAK",
    losses.mpo_weights: "BA p p",
    losses.munchausen_q_learning: "BA iB B pB BA BA",
    losses.persistent_q_learning: "BA iB B pB BA p",
    losses.policy_gradient_loss: "BA iB B",
    losses.q_lambda: "TBA iTB TB pTB TBA p bTB iTB",
    losses.q_learning: "BA iB B pB BA",
    losses.qpg_loss: "BA BA",
    losses.quantile_expected_sarsa: "BKA pK iB B pB BJA pBA",
    losses.quantile_q_learning: "BKA pBK iB B pB BNA BJA",
    losses.quantile_regression_loss: "BK pK BJ p",
    losses.qv_learning: "BA iB B pB B",
    losses.qv_max: "B B pB BA",
    losses.retrace: "TBA TBA iTB iTB TB pTB pTBA pTB p bTB",
    losses.retrace_continuous: "TB TB TB TB pTB TB p bTB",
    losses.rm_loss: "BA BA",
    losses.rpg_loss: "BA BA",
    losses.sac_actor_loss: "B B p",
    losses.sac_critic_error: "BN B pB BN B p",
    losses.sac_temperature_loss: "p B f",
    losses.sampled_cql_loss: "BA BA B",
    losses.sarsa: "BA iB B pB BA iB",
    losses.sarsa_lambda: "TBA iTB TB pTB TBA iTB p bTB",
    losses.standard_gaussian_kl: "BA BA",
    losses.target_policy_smoothing: "k BA f p",
    losses.td_lambda: "TB TB pTB TB p bTB",
    losses.td_learning: "B B pB B",
    losses.twohot_loss: "BK B sK",
    losses.twohot_values: "BK sK",
    losses.variational_loss: "BA BA BK BK",
    losses.vmpo_weights: "B p p",
    returns.categorical_importance_sampling_ratios: "BA BA iB",
    returns.discounted_returns: "TB pTB TB bTB bTB",
    returns.generalized_advantage_estimation: "TB pTB TB TB p bTB bTB",
    returns.importance_corrected_td_errors: "TB TB TB pTB pTB p bTB bTB",
    returns.importance_sampling_ratios: "B B",
    returns.lambda_returns: "TB pTB TB p bTB bTB",
    returns.leaky_vtrace: "TB TB TB pTB pTB p p",
    returns.off_policy_returns_from_action_values: "TBA iTB TB pTB pTB pTBA bTB bTB",
    returns.off_policy_returns_from_q_and_v: "TB TB TB pTB pTB bTB bTB",
    returns.reverse_recurrence: "TB pTB",
    returns.vtrace: "TB TB TB pTB pTB p p p bTB bTB",
    policies.adaptive_noise_stddev: "pB pB p",
    policies.add_dirichlet_noise: "k pBA p p",
    policies.add_gaussian_noise: "k BA p f p",
    policies.boltzmann: "k BA p",
    policies.boltzmann_probs: "BA p",
    policies.clipped_gaussian: "k BA pBA",
    policies.epsilon_greedy: "k BA pB",
    policies.epsilon_greedy_probs: "BA pB",
    policies.greedy: "k BA",
    policies.greedy_probs: "BA",
    policies.gumbel_softmax: "k BA p",
    policies.ornstein_uhlenbeck: "k BA bB",
    policies.perturb: "k BA p",
    policies.state_dependent_action: "BA BK KA",
    policies.state_dependent_noise: "k pKA",
    intrinsic.never_give_up_rewards: "B B",
    intrinsic.random_network_distillation_loss: "BA BA",
    intrinsic.random_network_distillation_rewards: "BA BA",
    transforms.identity: "B",
    transforms.hyperbolic_arcsin: "B",
    transforms.hyperbolic_sin: "B",
    transforms.logit: "pB",
    transforms.power: "B p",
    transforms.sigmoid: "B",
    transforms.signed_expm1: "B",
    transforms.signed_hyperbolic: "B",
    transforms.signed_logp1: "B",
    transforms.signed_parabolic: "B",
    transforms.two_hot: "B sK",
}

# Functions with arguments that are no tensors.
_ADAPTED = {
    "losses.mpo_loss": (kl_constrained(losses.mpo_loss), "BA BA p BN pN"),
    "losses.pixel_control_loss": (lambda *args: losses.pixel_control_loss(*args, cell_size=2), "SBHWC iTB SBIAA p"),
    "losses.pixel_control_rewards": (lambda x: losses.pixel_control_rewards(x, 2), "SBHWC"),
    "losses.vmpo_loss": (kl_constrained(losses.vmpo_loss), "B B p BN pN"),
    "returns.n_step_returns": (lambda r, d, v, t, m: returns.n_step_returns(r, d, v, 3, t, m), "TB pTB TB bTB bTB"),
    "returns.transformed_lambda_returns": (
        lambda *args: returns.transformed_lambda_returns(PAIR, *args),
        "TB pTB TB p bTB",
    ),
    "returns.transformed_n_step_q_learning": (
        lambda *args: returns.transformed_n_step_q_learning(*args, n=2, pair=PAIR),
        "TBA iTB TBA iTB TB pTB",
    ),
    "returns.transformed_n_step_returns": (
        lambda *args: returns.transformed_n_step_returns(PAIR, *args, n=9),
        "TB pTB TB",
    ),
    "returns.transformed_off_policy_returns_from_action_values": (
        lambda *args: returns.transformed_off_policy_returns_from_action_values(PAIR, *args),
        "TBA iTB TB pTB pTB pTBA bTB",
    ),
    "returns.transformed_q_lambda": (
        lambda *args: returns.transformed_q_lambda(*args, pair=PAIR),
        "TBA iTB TB pTB TBA p",
    ),
    "returns.transformed_retrace": (
        lambda *args: returns.transformed_retrace(*args, pair=PAIR),
        "TBA TBA iTB iTB TB pTB pTBA pTB p",
    ),
    "policies.categorical": (of_distribution(policies.categorical), "k BA"),
    "policies.gaussian": (of_distribution(policies.gaussian), "k BA pBA"),
    "policies.multi_binary": (of_distribution(policies.multi_binary), "k BA"),
    "policies.multi_discrete": (of_distribution(lambda logits: policies.multi_discrete(logits, (1, 3))), "k BA"),
    "policies.squashed_gaussian": (of_distribution(policies.squashed_gaussian), "k BA pBA"),
    "policies.state_dependent_gaussian": (of_distribution(policies.state_dependent_gaussian), "k BA BK pKA"),
    "intrinsic.nearest_neighbors": (lambda *args: intrinsic.nearest_neighbors(*args, 2), "BKA BJA"),
    "normalization.art": (with_pop_art(normalization.art), "N pN B iB p p f"),
    "normalization.normalize": (with_pop_art(normalization.normalize), "N pN B iB"),
    "normalization.unnormalize": (with_pop_art(normalization.unnormalize), "N pN B iB"),
    "normalization.unnormalize_linear": (with_pop_art(normalization.unnormalize_linear), "N pN BN iB"),
    "transforms.transform_from_2hot": (lambda x: transforms.transform_from_2hot(x, -1.0, 1.0, 4), "pBA"),
    "transforms.transform_to_2hot": (lambda x: transforms.transform_to_2hot(x, -1.0, 1.0, 4), "B"),
}


def _call(function: Callable[..., Any], words: str) -> Call:
    return Call(function, [Argument(*re.match("([a-z]?)([A-Z]*)", word).groups()) for word in words.split()])


CALLS: dict[str, Call] = {
    f"{function.__module__.removeprefix('rl_fn.').removeprefix('_src.').split('.')[0]}.{function.__name__}": _call(
        function, words
    )
    for function, words in _WORDS.items()
} | {name: _call(*call) for name, call in _ADAPTED.items()}
