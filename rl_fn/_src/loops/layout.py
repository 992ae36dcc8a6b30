"""Nests as one buffer of bytes, which goes from process to process without a word about its structure."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from rl_fn import struct
from rl_fn._src.loops import answers
from rl_fn.agents.base import Agent
from rl_fn.struct import EnvSpec, Nest, Transition

_ALIGNMENT = 64  # bytes: TensorFlow takes arrays as they are that begin at a multiple of it


class Layout:
    """Where each leaf of a nest stands in a buffer; both ends know it from the specification.

    Args:
      spec: the nest of `tf.TensorSpec`, of known shapes.
    """

    def __init__(self, spec: Nest):
        self.spec = spec
        self.size = 0  # bytes
        self._places: list[tuple[int, tuple[int, ...], np.dtype]] = []
        for leaf in tf.nest.flatten(spec):
            shape, dtype = tuple(leaf.shape), np.dtype(leaf.dtype.as_numpy_dtype)
            self._places.append((self.size, shape, dtype))
            self.size += -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT

    def pack(self, nest: Nest) -> np.ndarray:
        """Makes the buffer `uint8[size]` of a nest of tensors or arrays.

        Raises:
          ValueError: if a leaf has another shape or dtype than the specification says; the message names it.
        """
        buffer = np.empty(self.size, np.uint8)
        for view, (name, leaf) in zip(self.leaves(buffer), struct.named_leaves(nest), strict=True):
            array = np.asarray(leaf)
            if array.shape != view.shape or array.dtype != view.dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {view.dtype} {view.shape}")
            view[...] = array
        return buffer

    def leaves(self, buffer: np.ndarray) -> list[np.ndarray]:
        """The leaves that stand in a buffer, as arrays that look into it."""
        return [np.ndarray(shape, dtype, buffer, offset) for offset, shape, dtype in self._places]

    def unpack(self, buffer: np.ndarray) -> Nest:
        """The nest that stands in a buffer, of arrays that look into it."""
        return tf.nest.pack_sequence_as(self.spec, self.leaves(buffer))


def policy_spec(agent: Agent) -> Nest:
    """The specification of an agent's policy; its `init` is traced for that, not called."""
    traced = tf.function(lambda key: answers.begun(agent, key).policy, autograph=False)
    return _specs(traced.get_concrete_function(tf.TensorSpec([2], tf.uint32)).structured_outputs)


def trajectory_spec(agent: Agent, env_spec: EnvSpec, num_envs: int) -> Transition:
    """The specification of a rollout in so many environments, `[T, num_envs, ...]`; `act` is traced, not called."""

    def ahead(nest: Nest, *sizes: int) -> Nest:
        return tf.nest.map_structure(lambda leaf: tf.TensorSpec([*sizes, *leaf.shape], leaf.dtype), nest)

    observation = struct.space_spec(env_spec.observation_space)
    act = lambda policy, seen, key: answers.acted(agent, policy, agent.init_actor(num_envs), seen, key, "train")
    inputs = policy_spec(agent), ahead(observation, num_envs), tf.TensorSpec([2], tf.uint32)
    traced = tf.function(act, autograph=False).get_concrete_function(*inputs)
    acted = _specs(traced.structured_outputs)
    flag, number = tf.TensorSpec([num_envs], tf.bool), tf.TensorSpec([num_envs], tf.float32)
    seen = ahead(observation, num_envs)
    step = Transition(seen, acted.action, number, flag, flag, seen, acted.extras)
    return ahead(step, agent.schedule.rollout_length)


def _specs(nest: Nest) -> Nest:
    return tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), nest)
