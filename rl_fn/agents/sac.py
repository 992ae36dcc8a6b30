"""Soft actor-critic with a learned temperature, for Box actions and for discrete ones.

Haarnoja et al. (2018), "Soft actor-critic algorithms and applications"; Christodoulou (2019), "Soft
actor-critic for discrete action settings".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import losses, networks, optimizers, policies, random, replay, struct, updates
from rl_fn.agents.base import ActorStep, Agent, Mode, field
from rl_fn.agents.off_policy import (
    Learned,
    OffPolicyHParams,
    OffPolicyPolicy,
    OffPolicyState,
    Sampled,
    update_from_replay,
)
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class SACHParams(OffPolicyHParams):
    num_envs: int = field(1, "Environments stepped side by side.", low=1)
    replay_capacity: int = field(100_000, "Transitions kept for replay.", low=1)
    batch_size: int = field(256, "Transitions per gradient step.", low=1)
    hidden_sizes: tuple[int, ...] = field((256, 256), "Widths of the hidden layers of policy and critics.")
    actor_learning_rate: Scalar = field(3e-4, "Adam's step size for the policy.", above=0.0)
    critic_learning_rate: Scalar = field(1e-3, "Adam's step size for the critics.", above=0.0)
    temperature_learning_rate: Scalar = field(1e-3, "Adam's step size for the temperature.", above=0.0)
    initial_temperature: Scalar = field(1.0, "Weight of the entropy at the start.", above=0.0)
    target_entropy_scale: Scalar = field(
        1.0, "Of the entropy aimed at: -1 per dimension of a Box, or half that of uniform discrete actions."
    )
    target_step_size: Scalar = field(0.005, "How far the target critics move per gradient step.", above=0.0, high=1.0)


class SACLearner(NamedTuple):
    actor_params: Nest
    critic_params: Nest
    target_params: Nest  # of the critics
    log_temperature: tf.Tensor  # float32[]
    opt_states: tuple[Nest, Nest, Nest]  # of actor, critics and temperature


class Variant(NamedTuple):
    """What differs between Box and discrete actions; a critic's outputs are `[N, 2, ...]`, for both critics."""

    policy_outputs: int
    critic_outputs: int  # one per discrete action, or one for the action among the inputs
    critic_spec: tf.TensorSpec
    target_entropy: float  # the usual one
    # (outputs [B, P], key, mode) -> actions
    act: Callable[[tf.Tensor, random.Key, Mode], tf.Tensor]
    # (critics, inputs [N, F], outputs [N, P], alpha, key) -> losses [N], log_prob [N]: minus the entropy
    actor_loss: Callable[..., tuple[tf.Tensor, tf.Tensor]]
    # (critics, target_critics, sample, inputs, next_inputs, next_outputs, alpha, key) -> errors [N, 2], values
    critic_error: Callable[..., tuple[tf.Tensor, tf.Tensor]]


def make(spec: EnvSpec, hparams: SACHParams) -> Agent:
    """Makes a SAC agent.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds.
    """
    input_spec, to_inputs = networks.flatten(spec.observation_space)
    variant = _variant(spec, input_spec)
    actor = networks.mlp((*hparams.hidden_sizes, variant.policy_outputs))
    critic = networks.mlp((*hparams.hidden_sizes, variant.critic_outputs))
    critics = networks.separate(first=critic, second=critic)
    rates = (hparams.actor_learning_rate, hparams.critic_learning_rate, hparams.temperature_learning_rate)
    actor_optimizer, critic_optimizer, temperature_optimizer = (optimizers.adam(rate) for rate in rates)
    buffer = replay.uniform_from(hparams.store(spec))
    target_entropy = hparams.target_entropy_scale * variant.target_entropy

    def init(key: random.Key) -> OffPolicyState:
        actor_key, critic_key = tf.unstack(random.split(key))
        actor_params = actor.init(actor_key, input_spec)
        critic_params = critics.init(critic_key, variant.critic_spec)
        log_temperature = tf.math.log(tf.cast(hparams.initial_temperature, tf.float32))
        opt_states = (
            actor_optimizer.init(actor_params),
            critic_optimizer.init(critic_params),
            temperature_optimizer.init(log_temperature),
        )
        learner = SACLearner(actor_params, critic_params, critic_params, log_temperature, opt_states)
        return OffPolicyState(learner, buffer.init(), updates=tf.constant(0))

    def act(policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        keys = tf.unstack(random.split(key))
        action = variant.act(actor.apply(policy.params, to_inputs(observation)), keys[0], mode)
        if mode == "train":
            steps = policy.updates * hparams.num_envs * hparams.rollout_length
            anything = policies.uniform_action(keys[1], spec.action_space, action.shape[0])
            action = tf.where(steps < hparams.learning_starts, anything, action)
        return ActorStep(action, actor_state, {})

    def values(params: Nest) -> Callable[[tf.Tensor], tf.Tensor]:
        def apply(inputs: tf.Tensor) -> tf.Tensor:
            outputs = critics.apply(params, inputs)
            return tf.stack([outputs["first"], outputs["second"]], axis=1)

        return apply

    def gradient_step(learner: SACLearner, sample: Sampled, key: random.Key) -> tuple[SACLearner, Learned]:
        batch, (actor_key, critic_key) = sample.items, tf.unstack(random.split(key))
        inputs, next_inputs = to_inputs(batch.observation), to_inputs(batch.next_observation)
        alpha = tf.exp(learner.log_temperature)
        actor_state, critic_state, temperature_state = learner.opt_states

        def critic_loss(params: Nest) -> tuple[tf.Tensor, tuple]:
            next_outputs = actor.apply(learner.actor_params, next_inputs)
            target = values(learner.target_params)
            error, q_tm1 = variant.critic_error(
                values(params), target, batch, inputs, next_inputs, next_outputs, alpha, critic_key
            )
            each = tf.reduce_sum(losses.l2_loss(error), axis=-1)
            return tf.reduce_mean(sample.weights * each), (error, q_tm1)

        (critic_value, (error, q_tm1)), grads = struct.value_and_gradient(critic_loss, learner.critic_params)
        changes, critic_state = critic_optimizer.update(grads, critic_state, learner.critic_params)
        critic_params = optimizers.apply_updates(learner.critic_params, changes)

        def actor_loss(params: Nest) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = actor.apply(params, inputs)
            each, log_prob = variant.actor_loss(values(critic_params), inputs, outputs, alpha, actor_key)
            return tf.reduce_mean(each), log_prob

        (actor_value, log_prob), grads = struct.value_and_gradient(actor_loss, learner.actor_params)
        changes, actor_state = actor_optimizer.update(grads, actor_state, learner.actor_params)
        actor_params = optimizers.apply_updates(learner.actor_params, changes)

        def temperature_loss(log_temperature: tf.Tensor) -> tuple[tf.Tensor, tuple]:
            each = losses.sac_temperature_loss(tf.exp(log_temperature), log_prob, target_entropy)
            return tf.reduce_mean(each), ()

        _, grad = struct.value_and_gradient(temperature_loss, learner.log_temperature)
        change, temperature_state = temperature_optimizer.update(grad, temperature_state, learner.log_temperature)

        successor = SACLearner(
            actor_params=actor_params,
            critic_params=critic_params,
            target_params=updates.incremental_update(critic_params, learner.target_params, hparams.target_step_size),
            log_temperature=learner.log_temperature + change,
            opt_states=(actor_state, critic_state, temperature_state),
        )
        metrics = {
            "critic_loss": critic_value,
            "q_value": tf.reduce_mean(q_tm1),
            "actor_loss": actor_value,
            "temperature": alpha,
            "entropy": -tf.reduce_mean(log_prob),
        }
        return successor, Learned(metrics, priorities=tf.reduce_mean(tf.abs(error), axis=-1))

    return Agent(hparams.schedule, init, lambda batch_size: (), act, update_from_replay(buffer, gradient_step, hparams))


def _variant(spec: EnvSpec, input_spec: tf.TensorSpec) -> Variant:
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        return _discrete(int(space.n), input_spec)
    if isinstance(space, spaces.Box) and space.is_bounded():
        return _box(space, input_spec)
    raise ValueError(f"sac needs a Discrete action space or a Box with finite bounds, {spec.name} has {space}")


def _discrete(num_actions: int, input_spec: tf.TensorSpec) -> Variant:
    def act(logits: tf.Tensor, key: random.Key, mode: Mode) -> tf.Tensor:
        return policies.greedy(key, logits) if mode == "eval" else random.categorical(key, logits)

    def actor_loss(critics, inputs, logits, alpha, key):
        del key  # the expectation over actions is exact
        each = losses.categorical_sac_actor_loss(logits, critics(inputs), alpha)
        return each, losses.entropy_loss(logits)

    def critic_error(critics, target_critics, batch, inputs, next_inputs, next_logits, alpha, key):
        del key
        q_tm1, q_t = critics(inputs), target_critics(next_inputs)
        error = losses.categorical_sac_critic_error(
            q_tm1, batch.action, batch.reward, batch.discount, q_t, next_logits, alpha
        )
        return error, q_tm1

    target_entropy = math.log(num_actions) / 2
    return Variant(num_actions, num_actions, input_spec, target_entropy, act, actor_loss, critic_error)


def _box(space: spaces.Box, input_spec: tf.TensorSpec) -> Variant:
    """Policy and critics work with actions in [-1, 1], whatever the bounds of the Box."""
    unit_box = policies.unit_box(space)

    def distribution(outputs: tf.Tensor) -> policies.Distribution:
        mean, log_stddev = tf.split(outputs, 2, axis=-1)
        return policies.squashed_gaussian(mean, tf.exp(tf.clip_by_value(log_stddev, -20.0, 2.0)))

    def act(outputs: tf.Tensor, key: random.Key, mode: Mode) -> tf.Tensor:
        policy = distribution(outputs)
        unit = policies.mode(policy) if mode == "eval" else policies.squashed_sample(key, policy).action
        return unit_box.to_action(unit)

    def with_action(inputs: tf.Tensor, unit: tf.Tensor) -> tf.Tensor:
        return tf.concat([inputs, unit], axis=-1)

    def actor_loss(critics, inputs, outputs, alpha, key):
        drawn = policies.squashed_sample(key, distribution(outputs))
        value = tf.reduce_min(critics(with_action(inputs, drawn.action)), axis=[1, 2])
        return losses.sac_actor_loss(drawn.log_prob, value, alpha), drawn.log_prob

    def critic_error(critics, target_critics, batch, inputs, next_inputs, next_outputs, alpha, key):
        following = policies.squashed_sample(key, distribution(next_outputs))
        q_tm1 = tf.squeeze(critics(with_action(inputs, unit_box.to_unit(batch.action))), axis=-1)
        q_t = tf.squeeze(target_critics(with_action(next_inputs, following.action)), axis=-1)
        error = losses.sac_critic_error(q_tm1, batch.reward, batch.discount, q_t, following.log_prob, alpha)
        return error, q_tm1

    critic_spec = tf.TensorSpec([input_spec.shape[0] + unit_box.size], tf.float32)
    return Variant(2 * unit_box.size, 1, critic_spec, -float(unit_box.size), act, actor_loss, critic_error)
