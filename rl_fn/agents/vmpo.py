"""V-MPO: on-policy maximum a posteriori policy optimisation (Song et al., 2020).

The policy imitates the better half of what it did, within bounds on the divergence from the policy that did it; the
temperature and the multipliers of the bounds are learned beside it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, struct
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.on_policy import PassesHParams, value_metrics
from rl_fn.learning import Rollout, Sequences, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar

_LARGEST_LOG = math.log(1e8)  # of temperature and multipliers, and minus that of their inverse


@dataclasses.dataclass(frozen=True)
class VMPOHParams(PassesHParams, AdamHParams):
    learning_rate: Scalar = 5e-4
    max_grad_norm: Scalar = 0.5
    entropy_cost: Scalar = 0.0
    normalize_advantages: bool = False
    top_fraction: float = field(
        0.5, "Share of the steps, of the best advantages, that are imitated.", above=0.0, high=1.0
    )
    temperature_epsilon: Scalar = field(0.02, "Bound of the divergence of the weights.", above=0.0)
    kl_epsilon: Scalar = field(0.01, "Bound of the divergence of the policy; of means, in a Box.", above=0.0)
    deviation_epsilon: Scalar = field(0.001, "Bound of the divergence of the deviations in a Box.", above=0.0)
    initial_temperature: Scalar = field(1.0, "Of the weights, at the start.", above=0.0)
    initial_multiplier: Scalar = field(1.0, "Of the bounds on the policy, at the start.", above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        num_steps = self.schedule.steps // self.num_minibatches
        if int(self.top_fraction * num_steps) < 1:
            raise ValueError(
                f"top_fraction is {self.top_fraction:g}, expected at least {1 / num_steps:g}: one of the {num_steps} "
                "steps of a minibatch"
            )


class Dual(NamedTuple):
    """Logarithms of what is positive."""

    temperature: tf.Tensor  # float32[]
    multipliers: list[tf.Tensor]  # of each bound, float32[]


class VMPOLearner(NamedTuple):
    params: Nest
    dual_params: Dual
    opt_state: Nest  # of both


def divergences(old: policies.Distribution, new: policies.Distribution) -> list[tf.Tensor]:
    """What is bounded, `[L, N]`: of Gaussians the mean and the deviation apart, of all else the whole divergence."""
    if not hasattr(getattr(new, "distribution", None), "scale"):
        return [old.kl_divergence(new)]
    gaussians = (part(x.distribution) for x in (old, new) for part in (lambda d: d.loc, lambda d: d.scale))
    return [tf.reduce_sum(kl, axis=-1) for kl in losses.gaussian_kl(*gaussians)]


def loss(
    network: networks.ActorCritic,
    head: policies.PolicyHead,
    params: Nest,
    dual: Dual,
    batch: Sequences,
    hparams: VMPOHParams,
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a minibatch: Song et al. (2020), equations 2 to 5, to be minimised.

    Args:
      network: from `params` and `batch.inputs` to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      params: what is learned.
      dual: the temperature and the multipliers, learned beside it.
      batch: the minibatch.
      hparams: the agent's.
    """
    outputs, value = network.unroll(params, struct.at(batch.recurrent_state, 0), batch.inputs, batch.is_first)
    distribution, old = head.distribution(outputs), head.distribution(batch.outputs)
    epsilons = hparams.kl_epsilon, hparams.deviation_epsilon
    kls = divergences(old, distribution)
    bounds = [losses.KLConstraint(kl, tf.exp(a), e) for kl, a, e in zip(kls, dual.multipliers, epsilons, strict=False)]
    advantage = learning.normalized(batch.advantage) if hparams.normalize_advantages else batch.advantage
    parts = losses.vmpo_loss(
        distribution.log_prob(batch.raw_action),
        advantage,
        tf.exp(dual.temperature),
        hparams.temperature_epsilon,
        bounds,
        hparams.top_fraction,
    )
    value_loss = tf.reduce_mean(losses.l2_loss(value - batch.advantage - batch.value))
    entropy = tf.reduce_mean(distribution.entropy())
    total = tf.reduce_mean(parts.policy_loss + parts.kl_loss + parts.alpha_loss) + parts.temperature_loss
    total += hparams.value_cost * value_loss - hparams.entropy_cost * entropy
    return total, {
        "policy_loss": tf.reduce_mean(parts.policy_loss),
        "value_loss": value_loss,
        "value": tf.reduce_mean(value),
        "entropy": entropy,
        "kl": tf.reduce_mean(tf.add_n(kls)),
        "temperature": tf.exp(dual.temperature),
        "multiplier": tf.exp(dual.multipliers[0]),
    }


@takes_network
def make(spec: EnvSpec, hparams: VMPOHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes a V-MPO agent, of the loss above or another; raises ValueError without a policy for the action space."""
    model = hparams.make_model(spec)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)
    any_policy = model.head.distribution(tf.zeros([1, 1, model.head.num_outputs]))
    num_bounds = len(divergences(any_policy, any_policy))

    def init(key: random.Key) -> VMPOLearner:
        params = model.network.init(key, model.input_spec)
        multiplier = tf.math.log(tf.cast(hparams.initial_multiplier, tf.float32))
        dual = Dual(tf.math.log(tf.cast(hparams.initial_temperature, tf.float32)), [multiplier] * num_bounds)
        return VMPOLearner(params, dual, optimizer.init((params, dual)))

    def gradient_step(trained: Trained, batch: Sequences) -> tuple[Trained, Metrics]:
        mine = lambda both: loss(model.network, model.head, *both, batch, hparams)
        trained, metrics = learning.minimise(mine, optimizer, trained)
        params, dual = trained.params
        within = lambda log: tf.clip_by_value(log, -_LARGEST_LOG, _LARGEST_LOG)
        return trained._replace(params=(params, tf.nest.map_structure(within, dual))), metrics

    def learn(learner: VMPOLearner, rollout: Rollout, key: random.Key) -> tuple[VMPOLearner, Metrics]:
        advantage = hparams.advantages(model, learner.params, rollout)
        trained = Trained((learner.params, learner.dual_params), learner.opt_state)
        # The best half of a minibatch is not that of its parts.
        passed, metrics = hparams.passes(gradient_step, trained, rollout, advantage, key, shared=False)
        (params, dual), opt_state = passed
        metrics = {**tf.nest.map_structure(tf.reduce_mean, metrics), **value_metrics(rollout, advantage)}
        return VMPOLearner(params, dual, opt_state), metrics

    return hparams.make_agent(model, init, learn)
