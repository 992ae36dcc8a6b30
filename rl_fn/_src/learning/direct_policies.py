"""What differs between Box and discrete actions in deterministic policy gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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


def action_critic(
    policy: DirectPolicy, make_network: Callable[[int], networks.Network], num_features: int, num_outputs: int = 1
) -> networks.Network:
    """A critic of features `[N, F]` and vectors `[N, A]` of actions; its inputs are both, as a tuple.

    Of discrete actions it is linear in the vector, which then gets the values of all actions as its gradient: between
    one-hot vectors there is nothing that a critic could learn its shape from.

    Args:
      policy: from `direct_policy`.
      make_network: makes a network of so many outputs from vectors.
      num_features: F.
      num_outputs: K, per state and action.

    Returns:
      A Network with outputs `[N, K]`; its `init` knows what it takes.
    """
    network = make_network(num_outputs * policy.size if policy.is_discrete else num_outputs)
    spec = tf.TensorSpec([num_features if policy.is_discrete else num_features + policy.size], tf.float32)

    def apply(params: Nest, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        features, vector = inputs
        if not policy.is_discrete:
            return network.apply(params, with_action(features, vector))
        of_each = tf.reshape(network.apply(params, features), [-1, policy.size, num_outputs])
        return tf.reduce_sum(of_each * vector[..., tf.newaxis], axis=1)

    return networks.Network(lambda key, _: network.init(key, spec), apply)
