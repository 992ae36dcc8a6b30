"""Values of discrete actions with a memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.networks.base import Network, output_spec
from rl_fn._src.networks.recurrent import RecurrentNetwork, memory_spec
from rl_fn._src.scan import scan
from rl_fn.struct import Nest


class RecurrentValues(NamedTuple):
    """From inputs and a recurrent state, both `[..., *]`, to values `[..., A]`."""

    init: Callable[[random.Key, tf.TensorSpec], Nest]
    # batch_size -> recurrent_state
    initial_state: Callable[[int], Nest]
    # (params, recurrent_state [B, units], inputs [B, F]) -> (values [B, A], recurrent_state)
    step: Callable[[Nest, Nest, tf.Tensor], tuple[tf.Tensor, Nest]]
    # (params, recurrent_state [B, units], inputs [T, B, F], is_last bool[T, B]) -> (values [T, B, A], recurrent_state
    # after the last step, the initial one where that ends an episode)
    unroll: Callable[[Nest, Nest, tf.Tensor, tf.Tensor], tuple[tf.Tensor, Nest]]
    # the same and the inputs [T, B, F] of the true successors -> their values [T, B, A]; without a gradient
    successors: Callable[[Nest, Nest, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def recurrent_values(torso: Network, memory: RecurrentNetwork, head: Network) -> RecurrentValues:
    """Puts values on a memory on a torso.

    Args:
      torso: from inputs to features.
      memory: from features to features.
      head: from features to values, such as `dueling` on no torso.
    """

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        keys = tf.unstack(random.split(key, 3), num=3)
        torso_params = torso.init(keys[0], spec)
        features = output_spec(torso, torso_params, spec)
        memory_params = memory.init(keys[1], features)
        head_params = head.init(keys[2], memory_spec(memory, memory_params, features))
        return {"torso": torso_params, "memory": memory_params, "head": head_params}

    def step(params: Nest, recurrent_state: Nest, inputs: tf.Tensor) -> tuple[tf.Tensor, Nest]:
        features = torso.apply(params["torso"], inputs)
        hidden, recurrent_state = memory.step(params["memory"], recurrent_state, features)
        return head.apply(params["head"], hidden), recurrent_state

    def unroll(params: Nest, recurrent_state: Nest, inputs: tf.Tensor, is_last: tf.Tensor) -> tuple[tf.Tensor, Nest]:
        is_first = tf.concat([tf.zeros_like(is_last[:1]), is_last[:-1]], axis=0)
        features = torso.apply(params["torso"], inputs)
        hidden, recurrent_state = memory.unroll(params["memory"], recurrent_state, features, is_first)
        return head.apply(params["head"], hidden), _begun_anew(is_last[-1], recurrent_state)

    def successors(
        params: Nest, recurrent_state: Nest, inputs: tf.Tensor, is_last: tf.Tensor, next_inputs: tf.Tensor
    ) -> tf.Tensor:
        params, recurrent_state = tf.nest.map_structure(tf.stop_gradient, (params, recurrent_state))

        def one(state: Nest, x: tuple) -> tuple[Nest, tf.Tensor]:
            features, next_features, is_last = x
            _, after = memory.step(params["memory"], state, features)
            hidden, _ = memory.step(params["memory"], after, next_features)
            return _begun_anew(is_last, after), hidden

        features, following = torso.apply(params["torso"], inputs), torso.apply(params["torso"], next_inputs)
        _, hidden = scan(one, recurrent_state, (features, following, is_last))
        return head.apply(params["head"], hidden)

    return RecurrentValues(init, memory.initial_state, step, unroll, successors)


def _begun_anew(is_last: tf.Tensor, recurrent_state: Nest) -> Nest:
    return struct.where(is_last, tf.nest.map_structure(tf.zeros_like, recurrent_state), recurrent_state)
