"""Proximal policy optimisation (Schulman et al., 2017), with a memory where there is something to remember.

The details follow Huang et al. (2022), "The 37 implementation details of proximal policy optimization":
orthogonal initialisation, advantages normalised per minibatch, Adam with epsilon 1e-5, the learning rate
annealed per iteration, the gradient's global norm clipped; log-probabilities of unclipped actions, running
normalisation of observations and rewards.

With a cost of the divergence and an endless clip range, this is the penalised kind of section 4, whose cost adapts to
a target; another surrogate is another loss, as in `dpo`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, policies, random, struct
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.on_policy import Model, PassesHParams, value_metrics
from rl_fn.learning import Rollout, Sequences, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class PPOHParams(PassesHParams, AdamHParams):
    learning_rate: Scalar = 2.5e-4
    anneal_learning_rate: bool = True
    adam_epsilon: Scalar = 1e-5
    max_grad_norm: Scalar = 0.5
    clip_epsilon: Scalar = field(0.2, "Clip range of the probability ratio; 1e6 for none.", low=0.0)
    anneal_clip_epsilon: bool = field(False, "Whether the clip range falls linearly to zero over the run.")
    clip_value_loss: bool = field(False, "Whether the value loss is clipped by clip_epsilon too.")
    kl_cost: Scalar = field(0.0, "Weight of the divergence from the old policy, at the start.", low=0.0)
    kl_target: Scalar | None = field(None, "Divergence per update that kl_cost adapts to.", above=0.0)
    stop_kl: Scalar | None = field(None, "Approximate KL beyond which an update takes no further steps.", above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_target is not None and not self.is_penalised:
            raise ValueError(f"kl_target is {self.kl_target} and kl_cost is 0, expected a kl_cost that can adapt to it")
        if self.kl_target is not None and self.gradient_steps == 1 and not self.actor_lag:
            raise ValueError(
                f"kl_target is {self.kl_target} and num_epochs and num_minibatches are 1, expected more of them: the "
                "divergence is measured before each gradient step, and before the first one it is 0"
            )

    @property
    def is_penalised(self) -> bool:
        return tf.is_tensor(self.kl_cost) or self.kl_cost > 0

    def at(self, learner: PPOLearner) -> PPOHParams:
        """With the values of the learner's next update."""
        clip_epsilon = optimizers.linear_schedule(self.clip_epsilon, 0.0, self.num_iterations)
        clip = {"clip_epsilon": clip_epsilon(learner.num_updates)} if self.anneal_clip_epsilon else {}
        return self.override(**clip, **({"kl_cost": learner.kl_cost} if self.is_penalised else {}))


class PPOLearner(NamedTuple):
    params: Nest
    opt_state: Nest
    num_updates: tf.Tensor  # int32[]
    kl_cost: tf.Tensor  # float32[]


def clipped(log_ratio: tf.Tensor, advantage: tf.Tensor, hparams: Any) -> tf.Tensor:
    """Schulman et al. (2017), equation 7, `[L, N]`."""
    return losses.clipped_surrogate_pg_loss(tf.exp(log_ratio), advantage, hparams.clip_epsilon)


def loss(
    network: networks.ActorCritic,
    head: policies.PolicyHead,
    params: Nest,
    batch: Sequences,
    hparams: PPOHParams,
    surrogate: Callable[[tf.Tensor, tf.Tensor, Any], tf.Tensor] = clipped,
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a minibatch: Schulman et al. (2017), equations 8 and 9, to be minimised.

    Args:
      network: from `params` and `batch.inputs` to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      params: what is learned.
      batch: the minibatch.
      hparams: the agent's, with the values of this update.
      surrogate: `(log_ratio [L, N], advantage [L, N], hparams) -> losses [L, N]`.
    """
    outputs, value = network.unroll(params, struct.at(batch.recurrent_state, 0), batch.inputs, batch.is_first)
    distribution = head.distribution(outputs)
    log_ratio = distribution.log_prob(batch.raw_action) - batch.log_prob
    advantage = learning.normalized(batch.advantage) if hparams.normalize_advantages else batch.advantage
    policy_loss = tf.reduce_mean(surrogate(log_ratio, advantage, hparams))
    target = batch.advantage + batch.value
    if hparams.clip_value_loss:
        value_loss = tf.reduce_mean(losses.clipped_value_loss(value, batch.value, target, hparams.clip_epsilon))
    else:
        value_loss = tf.reduce_mean(losses.l2_loss(value - target))
    entropy = tf.reduce_mean(distribution.entropy())
    total = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "value": tf.reduce_mean(value),
        "entropy": entropy,
        "approx_kl": learning.approx_kl(log_ratio),
        "clip_fraction": learning.clip_fraction(log_ratio, hparams.clip_epsilon),
    }
    if hparams.is_penalised:
        metrics["kl"] = tf.reduce_mean(head.distribution(batch.outputs).kl_divergence(distribution))
        total += hparams.kl_cost * metrics["kl"]
    return total, metrics


def learner(
    model: Model, hparams: PPOHParams, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss
) -> tuple[
    Callable[[random.Key], PPOLearner],
    Callable[[PPOLearner, Rollout, random.Key], tuple[PPOLearner, Metrics]],
]:
    """Makes what begins to learn, and what learns from a rollout; see `PassesHParams.make_agent`."""

    def init(key: random.Key) -> PPOLearner:
        params = model.network.init(key, model.input_spec)
        return PPOLearner(
            params, hparams.make_optimizer().init(params), tf.constant(0), tf.cast(hparams.kl_cost, tf.float32)
        )

    def learn(before: PPOLearner, rollout: Rollout, key: random.Key) -> tuple[PPOLearner, Metrics]:
        now, optimizer = hparams.at(before), hparams.make_optimizer(num_updates=before.num_updates)

        def gradient_step(trained: Trained, batch: Sequences) -> tuple[Trained, Metrics]:
            mine = lambda params: loss(model.network, model.head, params, batch, now)
            return learning.minimise(mine, optimizer, trained)

        advantage = hparams.advantages(model, before.params, rollout)
        stop = None if hparams.stop_kl is None else lambda metrics: metrics["approx_kl"] > hparams.stop_kl
        trained = Trained(before.params, before.opt_state)
        (params, opt_state), metrics = hparams.passes(gradient_step, trained, rollout, advantage, key, stop)
        kl_cost = before.kl_cost
        if hparams.is_penalised and hparams.kl_target is not None:
            last_pass = tf.reduce_mean(metrics["kl"][-hparams.num_minibatches :])
            kl_cost = losses.adaptive_kl_coefficient(kl_cost, last_pass, hparams.kl_target)
        metrics = {**tf.nest.map_structure(tf.reduce_mean, metrics), **value_metrics(rollout, advantage)}
        return PPOLearner(params, opt_state, before.num_updates + 1, kl_cost), metrics

    return init, learn


@takes_network
def make(spec: EnvSpec, hparams: PPOHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes a PPO agent, of the loss above or another; raises ValueError without a policy for the action space."""
    model = hparams.make_model(spec)
    return hparams.make_agent(model, *learner(model, hparams, loss))
