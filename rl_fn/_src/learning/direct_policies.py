"""What differs between Box and discrete actions in deterministic policy gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import networks, policies, random
from rl_fn._src.learning.soft_policies import with_action
from rl_fn.struct import EnvSpec, Nest, Scalar


class DirectPolicy(NamedTuple):
    """A policy that follows the gradient of the critic, for which actions are vectors `[N, A]`."""

    size: int  # A, of the outputs of the policy's network, too
    is_discrete: bool
    greedy: Callable[[tf.Tensor], tf.Tensor]  # outputs to vectors, without noise
    draw: Callable[[tf.Tensor, random.Key], tf.Tensor]  # outputs and key to vectors, with a gradient
    to_vector: Callable[[tf.Tensor], tf.Tensor]  # from actions as the environment takes them
    to_action: Callable[[tf.Tensor], tf.Tensor]  # the way back


def direct_policy(agent: str, spec: EnvSpec, temperature: Scalar) -> DirectPolicy:
    """The policy for an action space.

    In a Box it is tanh, stretched to the bounds (Lillicrap et al., 2016). Discrete actions are one-hot vectors, drawn
    by straight-through Gumbel-softmax (Jang, Gu and Poole, 2017, section 2.2).

    Args:
      agent: whose it is, for messages.
      spec: of the environment.
      temperature: of the relaxed draws whose gradient discrete actions have.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds.
    """
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        num_actions = int(space.n)
        to_action = lambda vector: tf.argmax(vector, axis=-1, output_type=tf.int32)
        return DirectPolicy(
            num_actions,
            is_discrete=True,
            greedy=lambda logits: tf.one_hot(to_action(logits), num_actions),
            draw=lambda logits, key: policies.gumbel_softmax(key, logits, temperature, straight_through=True),
            to_vector=lambda action: tf.one_hot(action, num_actions),
            to_action=to_action,
        )
    if isinstance(space, spaces.Box) and space.is_bounded():
        box = policies.unit_box(space)
        return DirectPolicy(box.size, False, tf.tanh, lambda outputs, key: tf.tanh(outputs), box.to_unit, box.to_action)
    raise ValueError(f"{agent} needs a Discrete action space or a Box with finite bounds, {spec.name} has {space}")


class ActionCritic(NamedTuple):
    """A critic of features `[N, F]` and vectors `[N, A]` of actions."""

    # (key, any spec) -> params
    init: Callable[[random.Key, Any], Nest]
    # (params, features, vectors) -> outputs [N, K]
    apply: Callable[[Nest, tf.Tensor, tf.Tensor], tf.Tensor]
    # (params, features, vectors, value_of) -> values [N], of which `value_of` is told the outputs [M, K]
    value: Callable[[Nest, tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]], tf.Tensor]


def action_critic(
    policy: DirectPolicy, make_network: Callable[[int], networks.Network], num_features: int, num_outputs: int = 1
) -> ActionCritic:
    """A critic of features and vectors of actions, for each of which it has outputs that stand for a value.

    The value of discrete actions is linear in the vector, which then gets the values of all actions as its gradient:
    between one-hot vectors there is nothing that a critic could learn its shape from.

    Args:
      policy: from `direct_policy`.
      make_network: makes a network of so many outputs from vectors.
      num_features: F.
      num_outputs: K, per state and action.
    """
    network = make_network(num_outputs * policy.size if policy.is_discrete else num_outputs)
    spec = tf.TensorSpec([num_features if policy.is_discrete else num_features + policy.size], tf.float32)

    def apply(params: Nest, features: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        if not policy.is_discrete:
            return network.apply(params, with_action(features, vector))
        of_each = tf.reshape(network.apply(params, features), [-1, policy.size, num_outputs])
        return tf.reduce_sum(of_each * vector[..., tf.newaxis], axis=1)

    def value(
        params: Nest, features: tf.Tensor, vector: tf.Tensor, value_of: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        if not policy.is_discrete:
            return value_of(apply(params, features, vector))
        of_each = value_of(tf.reshape(network.apply(params, features), [-1, num_outputs]))
        return tf.reduce_sum(tf.reshape(of_each, [-1, policy.size]) * vector, axis=1)

    return ActionCritic(lambda key, _: network.init(key, spec), apply, value)
