"""What differs between Box and discrete actions in maximum-entropy control."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import losses, policies, random
from rl_fn.struct import EnvSpec

Critics = Callable[[tf.Tensor], tf.Tensor]  # inputs [N, F] to values [N, C, ...] of C critics


class SquashedPolicy(NamedTuple):
    """A Gaussian policy in the cube [-1, 1]^A of a Box, whatever its bounds."""

    box: policies.UnitBox
    distribution: Callable[[tf.Tensor], policies.Distribution]  # of outputs [..., 2 A] of the policy's network
    sample: Callable[[tf.Tensor, random.Key], policies.SquashedSample]  # outputs, key to actions [..., A] in [-1, 1]
    at: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # outputs, draws [..., A] of N(0, 1) to those they make


class SoftPolicy(NamedTuple):
    """A policy, and the losses that its kind of actions needs."""

    num_outputs: int  # P, of the policy's network
    critic_outputs: int  # one per discrete action, or one for the action among the inputs
    critic_spec: tf.TensorSpec  # of the critics' inputs
    target_entropy: float  # the usual one
    noise_size: int  # A of a Box; 0 of discrete actions, which no noise moves
    # (outputs [B, P], noise [B, A], key, explore) -> actions; where it explores, noise is of N(0, 1)
    act: Callable[[tf.Tensor, tf.Tensor, random.Key, bool], tf.Tensor]
    # (critics, inputs [N, F], outputs [N, P], alpha, key) -> losses [N], log_prob [N]: minus the entropy
    actor_loss: Callable[..., tuple[tf.Tensor, tf.Tensor]]
    # (critics, target_critics, items, inputs, next_inputs, next_outputs, alpha, key) -> errors [N, C], values
    critic_error: Callable[..., tuple[tf.Tensor, tf.Tensor]]


def soft_policy(agent: str, spec: EnvSpec, input_spec: tf.TensorSpec) -> SoftPolicy:
    """The policy for an action space: Haarnoja et al. (2018) for a Box, Christodoulou (2019) for discrete actions.

    Args:
      agent: whose it is, for messages.
      spec: of the environment.
      input_spec: of the policy's inputs `[F]`.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds.
    """
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        return _discrete(int(space.n), input_spec)
    if isinstance(space, spaces.Box) and space.is_bounded():
        return _box(squashed_policy(space), input_spec)
    raise ValueError(f"{agent} needs a Discrete action space or a Box with finite bounds, {spec.name} has {space}")


def squashed_policy(space: spaces.Box) -> SquashedPolicy:
    """The policy for a Box with finite bounds; raises ValueError for another."""

    def moments(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, log_stddev = tf.split(outputs, 2, axis=-1)
        return mean, tf.exp(tf.clip_by_value(log_stddev, -20.0, 2.0))

    def distribution(outputs: tf.Tensor) -> policies.Distribution:
        return policies.squashed_gaussian(*moments(outputs))

    def sample(outputs: tf.Tensor, key: random.Key) -> policies.SquashedSample:
        return policies.squashed_sample(key, distribution(outputs))

    def at(outputs: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        mean, stddev = moments(outputs)
        return tf.tanh(mean + stddev * noise)

    return SquashedPolicy(policies.unit_box(space), distribution, sample, at)


def with_action(inputs: tf.Tensor, unit_action: tf.Tensor) -> tf.Tensor:
    """The inputs `[N, F + A]` of a critic of actions `[N, A]` in [-1, 1]."""
    return tf.concat([inputs, unit_action], axis=-1)


def _discrete(num_actions: int, input_spec: tf.TensorSpec) -> SoftPolicy:
    def act(logits, noise, key, explore):
        del noise
        return random.categorical(key, logits) if explore else policies.greedy(key, logits)

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
    return SoftPolicy(num_actions, num_actions, input_spec, target_entropy, 0, act, actor_loss, critic_error)


def _box(policy: SquashedPolicy, input_spec: tf.TensorSpec) -> SoftPolicy:
    box = policy.box

    def act(outputs, noise, key, explore):
        del key
        return box.to_action(policy.at(outputs, noise) if explore else policies.mode(policy.distribution(outputs)))

    def actor_loss(critics, inputs, outputs, alpha, key):
        drawn = policy.sample(outputs, key)
        value = tf.reduce_min(critics(with_action(inputs, drawn.action)), axis=[1, 2])
        return losses.sac_actor_loss(drawn.log_prob, value, alpha), drawn.log_prob

    def critic_error(critics, target_critics, batch, inputs, next_inputs, next_outputs, alpha, key):
        following = policy.sample(next_outputs, key)
        q_tm1 = tf.squeeze(critics(with_action(inputs, box.to_unit(batch.action))), axis=-1)
        q_t = tf.squeeze(target_critics(with_action(next_inputs, following.action)), axis=-1)
        error = losses.sac_critic_error(q_tm1, batch.reward, batch.discount, q_t, following.log_prob, alpha)
        return error, q_tm1

    critic_spec = tf.TensorSpec([input_spec.shape[0] + box.size], tf.float32)
    return SoftPolicy(2 * box.size, 1, critic_spec, -float(box.size), box.size, act, actor_loss, critic_error)
