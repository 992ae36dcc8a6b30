"""The network of an actor-critic agent, made of its spaces and a few names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import tensorflow as tf

from rl_fn._src.networks.actor_critic import ActorCritic, actor_critic
from rl_fn._src.networks.base import ACTIVATIONS, Network, orthogonal
from rl_fn._src.networks.feedforward import dense
from rl_fn._src.networks.recurrent import memory as recurrent
from rl_fn._src.networks.torsos import torso as torso_of
from rl_fn.struct import Nest


def policy_and_value(
    observation_space: gymnasium.Space,
    policy: Network,
    *,
    torso: Any,
    hidden_sizes: Sequence[int],
    activation: str,
    shared_torso: bool,
    memory: str,
    memory_units: int,
) -> tuple[ActorCritic, tf.TensorSpec, Callable[[Nest], tf.Tensor]]:
    """Makes a policy and a value, initialised orthogonally as the policy should be: Huang et al. (2022), detail 2.

    Args:
      observation_space: what is observed.
      policy: its last layer.
      torso: one of TORSOS, or a network of one's own.
      hidden_sizes: the widths of the hidden layers.
      activation: one of ACTIVATIONS.
      shared_torso: as in `actor_critic`.
      memory: one of MEMORIES.
      memory_units: its size.

    Returns:
      The network; the specification of its input; and the function from observations to inputs.

    Raises:
      ValueError: if the torso does not fit the observations.
    """
    features, input_spec, to_inputs = torso_of(
        torso, observation_space, hidden_sizes, ACTIVATIONS[activation], orthogonal(2**0.5)
    )
    network = actor_critic(
        features,
        policy=policy,
        value=dense(1, orthogonal(1.0)),
        memory=recurrent(memory, memory_units),
        shared_torso=shared_torso,
    )
    return network, input_spec, to_inputs
