"""A model of what matters for planning, in states of its own, as in MuZero (Schrittwieser et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn._src.networks.feedforward import dense, mlp, separate, sequential, shared
from rl_fn.struct import Nest

_SMALLEST_RANGE = 1e-5


class LatentModel(NamedTuple):
    """The three functions of appendix G of the paper, on states `[..., S]` in [0, 1]."""

    init: Callable[[random.Key, tf.TensorSpec], Nest]
    # (params, inputs [..., F]) -> state
    represent: Callable[[Nest, tf.Tensor], tf.Tensor]
    # (params, state) -> (logits [..., A] of the policy, outputs [..., V] of the value's head)
    predict: Callable[[Nest, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    # (params, state, action int32[...]) -> (state, outputs [..., R] of the reward's head)
    advance: Callable[[Nest, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def latent_model(
    torso: Network,
    num_actions: int,
    *,
    state_size: int,
    hidden_sizes: Sequence[int],
    num_value_outputs: int,
    num_reward_outputs: int,
) -> LatentModel:
    """Makes a model whose states are vectors, each brought to the range from 0 to 1.

    The last layers of policy, value and reward begin at zero.

    Args:
      torso: from inputs to features, which one more layer turns into states.
      num_actions: A.
      state_size: S.
      hidden_sizes: the widths of the hidden layers of dynamics, policy, value and reward.
      num_value_outputs: V.
      num_reward_outputs: R.
    """
    zeros = lambda key, shape: tf.zeros(shape)
    head = lambda size: mlp((*hidden_sizes, size), final_kernel_init=zeros)
    representation = sequential(torso=torso, state=dense(state_size))
    prediction = separate(policy=head(num_actions), value=head(num_value_outputs))
    dynamics = shared(
        mlp(hidden_sizes, activate_final=True), state=dense(state_size), reward=dense(num_reward_outputs, zeros)
    )

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        keys, state = tf.unstack(random.split(key, 3), num=3), tf.TensorSpec([state_size], tf.float32)
        return {
            "representation": representation.init(keys[0], spec),
            "prediction": prediction.init(keys[1], state),
            "dynamics": dynamics.init(keys[2], tf.TensorSpec([state_size + num_actions], tf.float32)),
        }

    def represent(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        return _in_range(representation.apply(params["representation"], inputs))

    def predict(params: Nest, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = prediction.apply(params["prediction"], state)
        return outputs["policy"], outputs["value"]

    def advance(params: Nest, state: tf.Tensor, action: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs = tf.concat([state, tf.one_hot(action, num_actions)], axis=-1)
        outputs = dynamics.apply(params["dynamics"], inputs)
        return _in_range(state + outputs["state"]), outputs["reward"]

    return LatentModel(init, represent, predict, advance)


def _in_range(state: tf.Tensor) -> tf.Tensor:
    low = tf.reduce_min(state, axis=-1, keepdims=True)
    high = tf.reduce_max(state, axis=-1, keepdims=True)
    return (state - low) / (high - low + _SMALLEST_RANGE)
