"""A policy and a value, with or without a memory, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network, output_spec
from rl_fn._src.networks.feedforward import separate, sequential, shared
from rl_fn._src.networks.recurrent import RecurrentNetwork, memory_spec
from rl_fn.struct import Nest


class ActorCritic(NamedTuple):
    """Outputs are a pair: those of the policy's head `[..., P]`, and values `[...]`."""

    init: Callable[[random.Key, tf.TensorSpec], Nest]
    # batch_size -> recurrent_state; the empty tuple without a memory
    initial_state: Callable[[int], Nest]
    # (params, recurrent_state [..., units], inputs [..., F]) -> (outputs, recurrent_state)
    step: Callable[[Nest, Nest, tf.Tensor], tuple[tuple[tf.Tensor, tf.Tensor], Nest]]
    # (params, recurrent_state [B, units], inputs [T, B, F], is_first bool[T, B]) -> outputs [T, B, ...]
    unroll: Callable[[Nest, Nest, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def actor_critic(
    torso: Network,
    policy: Network,
    value: Network,
    memory: RecurrentNetwork | None = None,
    shared_torso: bool = False,
) -> ActorCritic:
    """Puts a policy's head and a value's head on a torso.

    Args:
      torso: from inputs to features. Policy and value have one each, unless they share it.
      policy: the head of the policy.
      value: the head of the value, with one output.
      memory: between torso and heads; with it, both heads share everything below.
      shared_torso: whether the heads share the torso without a memory too.
    """
    if memory is not None:
        return _recurrent(torso, policy, value, memory)
    if shared_torso:
        network = shared(torso, policy=policy, value=value)
    else:
        network = separate(policy=sequential(torso=torso, head=policy), value=sequential(torso=torso, head=value))

    def outputs(params: Nest, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _pair(network.apply(params, inputs))

    return ActorCritic(
        init=network.init,
        initial_state=lambda batch_size: (),
        step=lambda params, recurrent_state, inputs: (outputs(params, inputs), recurrent_state),
        unroll=lambda params, recurrent_state, inputs, is_first: outputs(params, inputs),
    )


def _recurrent(torso: Network, policy: Network, value: Network, memory: RecurrentNetwork) -> ActorCritic:
    heads = separate(policy=policy, value=value)

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        keys = tf.unstack(random.split(key, 3))
        torso_params = torso.init(keys[0], spec)
        features = output_spec(torso, torso_params, spec)
        memory_params = memory.init(keys[1], features)
        return {
            "torso": torso_params,
            "memory": memory_params,
            "heads": heads.init(keys[2], memory_spec(memory, memory_params, features)),
        }

    def step(params: Nest, recurrent_state: Nest, inputs: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Nest]:
        features = torso.apply(params["torso"], inputs)
        hidden, recurrent_state = memory.step(params["memory"], recurrent_state, features)
        return _pair(heads.apply(params["heads"], hidden)), recurrent_state

    def unroll(
        params: Nest, recurrent_state: Nest, inputs: tf.Tensor, is_first: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        features = torso.apply(params["torso"], inputs)
        hidden, _ = memory.unroll(params["memory"], recurrent_state, features, is_first)
        return _pair(heads.apply(params["heads"], hidden))

    return ActorCritic(init, memory.initial_state, step, unroll)


def _pair(outputs: Nest) -> tuple[tf.Tensor, tf.Tensor]:
    return outputs["policy"], tf.squeeze(outputs["value"], axis=-1)
