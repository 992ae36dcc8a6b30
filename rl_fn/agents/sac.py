"""Soft actor-critic with a learned temperature, for Box actions and for discrete ones.

Haarnoja et al. (2018), "Soft actor-critic algorithms and applications"; Christodoulou (2019), "Soft
actor-critic for discrete action settings".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, random, replay, updates
from rl_fn.agents.base import Agent
from rl_fn.agents.control import POLICY_METRICS, EntropyHParams, SoftTargetHParams, init_critics
from rl_fn.agents.hparams import takes_network
from rl_fn.learning import Learned, SoftPolicy, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar

Critics = Callable[[tf.Tensor], tf.Tensor]  # inputs [N, F] to values [N, C, ...]
Loss = Callable[..., tuple[tf.Tensor, Any]]


@dataclasses.dataclass(frozen=True)
class SACHParams(EntropyHParams, SoftTargetHParams):
    def make_critics(self, num_outputs: int) -> networks.KeyedNetwork:
        """Makes the critics, from inputs `[N, F]` to `[N, C, num_outputs]`."""
        return learning.keyless(learning.critics(self.make_mlp(num_outputs)))


class SACLearner(NamedTuple):
    actor: Trained
    critics: Trained
    target_params: Nest  # of the critics
    log_temperature: Trained  # float32[]
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        return self.actor.params, self.critics.params["encoder"]


class Batch(NamedTuple):
    sample: replay.Sample  # of N `replay.NStepTransition`s
    inputs: tf.Tensor  # [N, F]
    next_inputs: tf.Tensor  # [N, F]
    next_outputs: tf.Tensor  # [N, P]: of the policy's network


def critic_loss(
    policy: SoftPolicy, critics: Critics, targets: Critics, batch: Batch, alpha: tf.Tensor, key: random.Key
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """The loss of all critics: Haarnoja et al. (2018), equation 5; Christodoulou (2019), equation 10.

    Args:
      policy: what depends on the kind of actions.
      critics: those that learn.
      targets: those that value the successors.
      batch: what was sampled, and the outputs of the policy's network for the successors.
      alpha: the temperature.
      key: of the successors' actions.

    Returns:
      A scalar; the errors `[N, C]` and the values of the actions taken.
    """
    sample, inputs, next_inputs, next_outputs = batch
    error, q_tm1 = policy.critic_error(critics, targets, sample.items, inputs, next_inputs, next_outputs, alpha, key)
    return tf.reduce_mean(sample.weights * tf.reduce_sum(losses.l2_loss(error), axis=-1)), (error, q_tm1)


def actor_loss(
    policy: SoftPolicy, critics: Critics, inputs: tf.Tensor, outputs: tf.Tensor, alpha: tf.Tensor, key: random.Key
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of the policy: Haarnoja et al. (2018), equation 9; Christodoulou (2019), equation 12.

    Returns:
      A scalar, for outputs `[N, P]` of the policy's network; and log-probabilities `[N]`, minus the entropy.
    """
    each, log_prob = policy.actor_loss(critics, inputs, outputs, alpha, key)
    return tf.reduce_mean(each), log_prob


def temperature_loss(log_temperature: tf.Tensor, log_prob: tf.Tensor, target_entropy: Scalar) -> tf.Tensor:
    """The loss of the temperature, a scalar: Haarnoja et al. (2018), equation 18."""
    return tf.reduce_mean(losses.sac_temperature_loss(tf.exp(log_temperature), log_prob, target_entropy))


@takes_network
def make(
    spec: EnvSpec,
    hparams: SACHParams,
    *,
    critic_loss: Loss = critic_loss,
    actor_loss: Loss = actor_loss,
    name: str = "sac",
) -> Agent:
    """Makes a SAC agent, of the losses above or others, and of the critics that `hparams` make.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds; it says whose (`name`). Where no
        policy has the entropy that is aimed at.
    """
    encoder = hparams.make_encoder(spec)
    policy = learning.soft_policy(name, spec, encoder.spec)
    actor, critics = hparams.make_mlp(policy.num_outputs), hparams.make_critics(policy.critic_outputs)
    rates = hparams.actor_learning_rate, hparams.critic_learning_rate, hparams.temperature_learning_rate
    actor_optimizer, critic_optimizer, temperature_optimizer = (optimizers.adam(rate) for rate in rates)
    target_entropy = hparams.target_entropy(policy)

    def init(key: random.Key) -> SACLearner:
        actor_key, critic_key = tf.unstack(random.split(key))
        critic_params = init_critics(encoder, critics, policy.critic_spec, critic_key)
        log_temperature = tf.math.log(tf.cast(hparams.initial_temperature, tf.float32))
        return SACLearner(
            learning.init_trained(actor.init(actor_key, encoder.spec), actor_optimizer),
            learning.init_trained(critic_params, critic_optimizer),
            critic_params,
            learning.init_trained(log_temperature, temperature_optimizer),
            gradient_steps=tf.constant(0),
        )

    def gradient_step(learner: SACLearner, sample: replay.Sample, key: random.Key) -> tuple[SACLearner, Learned]:
        actor_key, critic_key = tf.unstack(random.split(key))
        drop = tf.unstack(random.split(random.fold_in(key, 1), 3), num=3)
        alpha = tf.exp(learner.log_temperature.params)
        of = lambda params, key: lambda inputs: critics.apply(params["values"], inputs, key)
        encode = lambda params, observation: encoder.apply(params["encoder"], observation)
        targets, following = learner.target_params, sample.items.next_observation
        next_outputs = actor.apply(learner.actor.params, encode(learner.critics.params, following))

        def of_critics(params: Nest) -> tuple[tf.Tensor, Nest]:
            batch = Batch(sample, encode(params, sample.items.observation), encode(targets, following), next_outputs)
            value, more = critic_loss(policy, of(params, drop[0]), of(targets, drop[1]), batch, alpha, critic_key)
            error, q_tm1 = more
            return value, (batch.inputs, error, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)})

        trained, (inputs, error, metrics) = learning.minimise(of_critics, critic_optimizer, learner.critics, "critic_")

        def of_actor(params: Nest) -> tuple[tf.Tensor, Nest]:
            outputs = actor.apply(params, inputs)
            value, log_prob = actor_loss(policy, of(trained.params, drop[2]), inputs, outputs, alpha, actor_key)
            return value, (log_prob, {"actor_loss": value, "entropy": -tf.reduce_mean(log_prob)})

        def policy_step(old: tuple[Trained, Trained]) -> tuple[tuple[Trained, Trained], Metrics]:
            acting, (log_prob, metrics) = learning.minimise(of_actor, actor_optimizer, old[0], "actor_")
            of_temperature = lambda params: (temperature_loss(params, log_prob, target_entropy), ())
            log_temperature, _ = learning.minimise(of_temperature, temperature_optimizer, old[1])
            return (acting, log_temperature), metrics

        count, old = learner.gradient_steps + 1, (learner.actor, learner.log_temperature)
        names = *POLICY_METRICS, "entropy"
        (acting, log_temperature), more = learning.every(hparams.policy_delay, count, policy_step, old, names)
        targets = updates.incremental_update(trained.params, targets, hparams.target_step_size)
        learned = Learned({**metrics, **more, "temperature": alpha}, tf.reduce_mean(tf.abs(error), axis=-1))
        return SACLearner(acting, trained, targets, log_temperature, count), learned

    return hparams.make_stochastic(spec, encoder, actor, policy.act, policy.noise_size, init, gradient_step)
