"""Twin delayed deep deterministic policy gradients, TD3 (Fujimoto, van Hoof and Meger, 2018), for Box actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, random, replay, updates
from rl_fn.agents.base import Agent
from rl_fn.agents.control import POLICY_METRICS, NoisyControlHParams, bounded_box, init_critics
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import Learned, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar

Values = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (inputs [N, F], actions [N, A] in [-1, 1]) -> [N, 2]
Loss = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class TD3HParams(NoisyControlHParams):
    policy_delay: int = field(2, "Gradient steps of the critics between two of the policy.", low=1)
    smoothing_noise: Scalar = field(0.2, "Deviation of the noise of the target's actions.", low=0.0)
    smoothing_clip: Scalar = field(0.5, "The largest noise of the target's actions.", low=0.0)


class TD3Learner(NamedTuple):
    actor: Trained
    critics: Trained
    target_params: tuple[Nest, Nest]  # of policy and critics
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        return self.actor.params, self.critics.params["encoder"]


def critic_loss(q_tm1: tf.Tensor, q_t: tf.Tensor, sample: replay.Sample) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of both critics, of values `[N, 2]`: Fujimoto et al. (2018), algorithm 1; a scalar, and the errors."""
    error = losses.clipped_double_q_learning(q_tm1, sample.items.reward, sample.items.discount, q_t)
    return tf.reduce_mean(sample.weights * tf.reduce_sum(losses.l2_loss(error), axis=-1)), error


def actor_loss(values: Values, inputs: tf.Tensor, unit_action: tf.Tensor, taken: tf.Tensor | None = None) -> tf.Tensor:
    """The loss of the policy, minus the first critic's value of its actions: Fujimoto et al. (2018), algorithm 1.

    What was `taken` in the sample, `[N, A]` in [-1, 1], is nothing to TD3, but to what is made of it.
    """
    del taken
    return -tf.reduce_mean(values(inputs, unit_action)[:, 0])


@takes_network
def make(
    spec: EnvSpec,
    hparams: TD3HParams,
    *,
    critic_loss: Loss = critic_loss,
    actor_loss: Loss = actor_loss,
    name: str = "td3",
) -> Agent:
    """Makes a TD3 agent, of the losses above or others.

    Raises:
      ValueError: for actions not in a Box with bounds; it says whose (`name`).
    """
    bounded_box(name, spec)
    unit, encoder = learning.direct_policy(name, spec, 1.0), hparams.make_encoder(spec)
    actor_network, critic_network = hparams.make_mlp(unit.size), learning.critics(hparams.make_mlp(1))
    first_critic = learning.critics(hparams.make_mlp(1), 1)
    rates = hparams.actor_learning_rate, hparams.critic_learning_rate
    actor_optimizer, critic_optimizer = map(optimizers.adam, rates)

    def init(key: random.Key) -> TD3Learner:
        actor_key, critic_key = tf.unstack(random.split(key))
        critic_spec = tf.TensorSpec([encoder.spec.shape[0] + unit.size], tf.float32)
        critics = init_critics(encoder, critic_network, critic_spec, critic_key)
        params = actor_network.init(actor_key, encoder.spec), critics
        trained = learning.init_trained(params[0], actor_optimizer), learning.init_trained(params[1], critic_optimizer)
        return TD3Learner(*trained, params, gradient_steps=tf.constant(0))

    def policy(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        return tf.tanh(actor_network.apply(params, inputs))

    def values(params: Nest, network: networks.Network = critic_network) -> Values:
        return lambda *inputs: tf.squeeze(network.apply(params["values"], learning.with_action(*inputs)), axis=-1)

    def outputs(params: tuple[Nest, Nest], observation: Nest) -> tf.Tensor:
        return actor_network.apply(params[0], encoder.apply(params[1], observation))

    def gradient_step(learner: TD3Learner, sample: replay.Sample, key: random.Key) -> tuple[TD3Learner, Learned]:
        target_actor, target_critics = learner.target_params
        next_inputs = encoder.apply(target_critics["encoder"], sample.items.next_observation)
        taken, next_action = unit.to_vector(sample.items.action), policy(target_actor, next_inputs)
        noise = hparams.smoothing_noise, hparams.smoothing_clip
        next_action = losses.target_policy_smoothing(key, next_action, -1.0, 1.0, *noise)
        q_t = values(target_critics)(next_inputs, next_action)

        def of_critics(params: Nest) -> tuple[tf.Tensor, Nest]:
            inputs = encoder.apply(params["encoder"], sample.items.observation)
            q_tm1 = values(params)(inputs, taken)
            value, error = critic_loss(q_tm1, q_t, sample)
            return value, (inputs, error, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)})

        critics, (inputs, error, metrics) = learning.minimise(of_critics, critic_optimizer, learner.critics, "critic_")

        def of_actor(params: Nest) -> tuple[tf.Tensor, Nest]:
            value = actor_loss(values(critics.params, first_critic), inputs, policy(params, inputs), taken)
            return value, {"actor_loss": value}

        def policy_step(old: tuple[Trained, Nest]) -> tuple[tuple[Trained, Nest], Metrics]:
            actor, metrics = learning.minimise(of_actor, actor_optimizer, old[0], "actor_")
            params = actor.params, critics.params
            return (actor, updates.incremental_update(params, old[1], hparams.target_step_size)), metrics

        count, old = learner.gradient_steps + 1, (learner.actor, learner.target_params)
        (actor, targets), more = learning.every(hparams.policy_delay, count, policy_step, old, POLICY_METRICS)
        return TD3Learner(actor, critics, targets, count), Learned(
            metrics | more, tf.reduce_mean(tf.abs(error), axis=-1)
        )

    return hparams.make_noisy(spec, unit, init, outputs, gradient_step)
