"""What a run has learned, as an object to act with."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src.spaces import decode, encode
from rl_fn._src.xla.calls import graph
from rl_fn.agents.base import Agent, sampled
from rl_fn.struct import EnvSpec, Nest


class Policy:
    """A policy to act with, for one observation or a batch of them.

        policy = rl.runs.load("runs/mine").policy
        action = policy.act(observation)

    A recurrent policy remembers what it has seen: say `reset()` where an episode begins. The actions of several
    environments are those of a batch, and each remembers what is its own.

    Observations and actions are as the environment's space says, with discrete parts counted from 0. The first call
    for each size of batch compiles.

    Args:
      agent: whose `act` chooses.
      params: the `policy` of the agent's state, which is at hand as `policy.params`.
      spec: of the environment.
      seed: of what is random in acting.
    """

    def __init__(self, agent: Agent, params: Nest, spec: EnvSpec, seed: int = 0):
        self.params = tf.nest.map_structure(tf.convert_to_tensor, params)
        self.spec = spec
        self._init_actor = agent.init_actor
        self._key, self._count = random.key(seed), 0
        self._decode = decode(spec.action_space)
        self._agent = agent
        self._programs: dict[tuple[bool, int], Any] = {}  # by whether they explore, and the size of the batch
        self._actor_state: Nest = None

    def act(self, observation: Any, deterministic: bool = True) -> Any:
        """Chooses an action for one observation, or actions `[B, ...]` for a batch `[B, ...]`.

        Args:
          observation: as the observation space says, with one more axis in front of every part for a batch.
          deterministic: without exploration, as in evaluations; else as in training.

        Returns:
          An action that the environment takes, an int where actions are Discrete; or an array of actions.

        Raises:
          ValueError: for an observation of another shape, with infinity or NaN in it, or another number of them than is
            remembered.
        """
        axes = _batch_axes(self.spec.observation_space, observation)
        inputs = encode(self.spec.observation_space, axes)(observation)
        if not axes:
            inputs = tf.nest.map_structure(lambda leaf: leaf[np.newaxis], inputs)
        leaves = tf.nest.flatten(inputs)
        if not all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype.kind == "f"):
            raise ValueError("the observation holds infinity or NaN, of which no action comes")
        size = len(leaves[0])
        if (remembered := self._remembered()) not in (None, size):
            raise ValueError(
                f"{size} observations were given, and what is remembered is of {remembered}: say reset() where their "
                "episodes begin"
            )
        actor_state = self._init_actor(size) if remembered is None else self._actor_state
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        if (program := self._programs.get((deterministic, size))) is None:
            program = graph(_function(self._agent, deterministic), jit_compile=True)
            self._programs[deterministic, size] = program
        action, self._actor_state = program(self.params, actor_state, inputs, self._key, tf.constant(self._count))
        self._count += 1
        actions = self._decode(action.numpy())
        if axes:
            return actions
        return actions[0].item() if isinstance(self.spec.action_space, spaces.Discrete) else actions[0]

    def _remembered(self) -> int | None:
        """Of how many observations something is remembered; None where all is as at the beginning."""
        leaves = tf.nest.flatten(self._actor_state)
        if self._actor_state is None or not leaves:
            return None
        size = int(leaves[0].shape[0])
        begin = tf.nest.flatten(self._init_actor(size))
        is_begin = all(np.array_equal(leaf, first) for leaf, first in zip(leaves, begin, strict=True))
        return None if is_begin else size

    def reset(self, is_first: Any = None) -> None:
        """Forgets what a recurrent policy remembers: the next observation is the first of an episode.

        Args:
          is_first: `bool[B]`, of a batch, where episodes begin; everywhere unless given.

        Raises:
          ValueError: for another number of truths than is remembered.
        """
        if is_first is None or self._actor_state is None:
            self._actor_state = None
            return
        begins = tf.convert_to_tensor(np.asarray(is_first, bool))
        self._actor_state = struct.where(begins, self._init_actor(begins.shape[0]), self._actor_state)


def _function(agent: Agent, deterministic: bool) -> Any:
    act = (agent if deterministic else sampled(agent)).act

    def chosen(
        params: Nest, actor_state: Nest, observation: Nest, key: random.Key, count: tf.Tensor
    ) -> tuple[tf.Tensor, Nest]:
        acted = act(params, actor_state, observation, random.fold_in(key, count), "eval")
        return acted.action, acted.actor_state

    return chosen


def _batch_axes(space: gymnasium.Space, observation: Any) -> int:
    """1 for a batch of observations, 0 for one."""
    part = observation
    while isinstance(space, spaces.Dict | spaces.Tuple):
        name: Any = next(iter(space.spaces)) if isinstance(space, spaces.Dict) else 0
        try:
            part = part[name]
        except (IndexError, KeyError, TypeError):
            raise ValueError(f"the observation has no {name!r}, its space is {space}") from None
        space = space[name]
    shape, given = space.shape or (), np.shape(part)
    if given[max(len(given) - len(shape), 0) :] != shape or len(given) - len(shape) not in (0, 1):
        raise ValueError(f"the observation has shape {given}, expected {shape} of one, or {('B', *shape)} of a batch")
    return len(given) - len(shape)
