"""What differs between Box and discrete actions in deterministic policy gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import policies, random
from rl_fn.struct import EnvSpec, Scalar


class DirectPolicy(NamedTuple):
    """A policy that follows the gradient of the critic, for which actions are vectors `[N, A]`."""

    size: int  # A, of the outputs of the policy's network, too
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
            greedy=lambda logits: tf.one_hot(to_action(logits), num_actions),
            draw=lambda logits, key: policies.gumbel_softmax(key, logits, temperature, straight_through=True),
            to_vector=lambda action: tf.one_hot(action, num_actions),
            to_action=to_action,
        )
    if isinstance(space, spaces.Box) and space.is_bounded():
        box = policies.unit_box(space)
        return DirectPolicy(box.size, tf.tanh, lambda outputs, key: tf.tanh(outputs), box.to_unit, box.to_action)
    raise ValueError(f"{agent} needs a Discrete action space or a Box with finite bounds, {spec.name} has {space}")
