"""Deep deterministic policy gradients, DDPG (Lillicrap et al., 2016), for Box actions and for discrete ones.

Discrete actions are one-hot vectors, through which straight-through Gumbel-softmax passes the gradient (Lowe et al.,
2017, "Multi-agent actor-critic for mixed cooperative-competitive environments", section 5).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, optimizers, random, replay, updates
from rl_fn.agents.base import Agent
from rl_fn.agents.control import NoisyControlHParams, init_critics
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import Learned, Trained
from rl_fn.struct import EnvSpec, Nest, Scalar

Loss = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class DDPGHParams(NoisyControlHParams):
    gumbel_temperature: Scalar = field(1.0, "Of the relaxed draws of discrete actions.", above=0.0)
    output_cost: Scalar = field(
        1e-3, "Weight of the mean square of the policy's outputs, so that it stays soft.", low=0.0
    )


class DDPGLearner(NamedTuple):
    actor: Trained
    critic: Trained
    target_params: tuple[Nest, Nest]  # of policy and critic

    @property
    def actor_params(self) -> Nest:
        return self.actor.params, self.critic.params["encoder"]


def value_of(critic_outputs: tf.Tensor) -> tf.Tensor:
    """The action values `[N]` that a critic's outputs `[N, 1]` stand for."""
    return tf.squeeze(critic_outputs, axis=-1)


def critic_loss(
    outputs_tm1: tf.Tensor, outputs_t: tf.Tensor, sample: replay.Sample
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """The loss of the critic: Lillicrap et al. (2016), equation 4.

    Args:
      outputs_tm1: `[N, 1]` of the critic, for the actions taken.
      outputs_t: `[N, 1]` of the target critic, for the actions of the target policy.
      sample: N items `replay.NStepTransition` and their weights `[N]`.

    Returns:
      A scalar; the errors `[N]` and the values `[N]` of the actions taken.
    """
    q_tm1, items = value_of(outputs_tm1), sample.items
    error = losses.td_learning(q_tm1, items.reward, items.discount, value_of(outputs_t))
    return tf.reduce_mean(sample.weights * losses.l2_loss(error)), (error, q_tm1)


def actor_loss(value: tf.Tensor, outputs: tf.Tensor, output_cost: Scalar) -> tf.Tensor:
    """The loss of the policy, a scalar: Lillicrap et al. (2016), equation 6.

    Args:
      value: `[N]` of the policy's actions.
      outputs: `[N, A]` of the policy's network.
      output_cost: the weight of their mean square; Lowe et al. (2017) keep Gumbel-softmax soft with it.
    """
    return output_cost * tf.reduce_mean(tf.square(outputs)) - tf.reduce_mean(value)


@takes_network
def make(
    spec: EnvSpec,
    hparams: DDPGHParams,
    *,
    critic_loss: Loss = critic_loss,
    actor_loss: Loss = actor_loss,
    value_of: Callable[[tf.Tensor], tf.Tensor] = value_of,
    critic_outputs: int = 1,
    name: str = "ddpg",
) -> Agent:
    """Makes a DDPG agent, of the losses above or others, and of a critic of so many outputs.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds; it says whose (`name`).
    """
    policy, encoder = learning.direct_policy(name, spec, hparams.gumbel_temperature), hparams.make_encoder(spec)
    actor = hparams.make_mlp(policy.size)
    critic = learning.action_critic(policy, hparams.make_mlp, encoder.spec.shape[0], critic_outputs)
    rates = hparams.actor_learning_rate, hparams.critic_learning_rate
    actor_optimizer, critic_optimizer = map(optimizers.adam, rates)

    def init(key: random.Key) -> DDPGLearner:
        actor_key, critic_key = tf.unstack(random.split(key))
        params = actor.init(actor_key, encoder.spec), init_critics(encoder, critic, encoder.spec, critic_key)
        trained = learning.init_trained(params[0], actor_optimizer), learning.init_trained(params[1], critic_optimizer)
        return DDPGLearner(*trained, params)

    def encode(params: Nest, observation: Nest) -> tf.Tensor:
        return encoder.apply(params["encoder"], observation)

    def outputs(params: tuple[Nest, Nest], observation: Nest) -> tf.Tensor:
        return actor.apply(params[0], encoder.apply(params[1], observation))

    def gradient_step(learner: DDPGLearner, sample: replay.Sample, key: random.Key) -> tuple[DDPGLearner, Learned]:
        (actor_key, next_key), (target_actor, target_critic) = tf.unstack(random.split(key)), learner.target_params
        next_inputs = encode(target_critic, sample.items.next_observation)
        following = policy.draw(actor.apply(target_actor, next_inputs), next_key)
        outputs_t = critic.apply(target_critic["values"], next_inputs, following)

        def of_critic(params: Nest) -> tuple[tf.Tensor, Nest]:
            inputs = encode(params, sample.items.observation)
            outputs_tm1 = critic.apply(params["values"], inputs, policy.to_vector(sample.items.action))
            value, (error, q_tm1) = critic_loss(outputs_tm1, outputs_t, sample)
            return value, (inputs, error, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)})

        trained, (inputs, error, metrics) = learning.minimise(of_critic, critic_optimizer, learner.critic, "critic_")

        def of_actor(params: Nest) -> tuple[tf.Tensor, Nest]:
            outputs = actor.apply(params, inputs)
            q_t = critic.value(trained.params["values"], inputs, policy.draw(outputs, actor_key), value_of)
            value = actor_loss(q_t, outputs, hparams.output_cost)
            return value, {"actor_loss": value}

        acting, more = learning.minimise(of_actor, actor_optimizer, learner.actor, "actor_")
        params = acting.params, trained.params
        targets = updates.incremental_update(params, learner.target_params, hparams.target_step_size)
        return DDPGLearner(acting, trained, targets), Learned(metrics | more, tf.abs(error))

    return hparams.make_noisy(spec, policy, init, outputs, gradient_step)
