"""An agent as an object, for a plain Python loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops.compile import compile
from rl_fn.agents.base import Agent, Mode
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition


class StatefulAgent:
    """An agent as an object, for a plain Python loop over any Gymnasium or Gym environment.

        agent = StatefulAgent(dqn.make(spec, hparams), spec)
        action = agent.act(observation)
        next_observation, reward, terminated, truncated, info = env.step(action)
        agent.observe(observation, action, reward, next_observation, terminated, truncated)
        metrics = agent.update()  # None until `rollout_length` steps have been observed

    It holds the state and does nothing else: acting and updating are the agent's own functions, compiled.

    Args:
      agent: the agent, made for one environment (`num_envs=1`).
      spec: the environment's specification.
      seed: the seed of everything random.
      explore: whether `act` explores.
    """

    def __init__(self, agent: Agent, spec: EnvSpec, seed: int = 0, explore: bool = True):
        init_key, self._act_key, update_key = tf.unstack(random.split(random.key(seed), 3))
        self._agent = agent
        self._rollout_length = agent.schedule.rollout_length
        self._observation_spec = struct.space_spec(spec.observation_space)
        self._action_spec = struct.space_spec(spec.action_space)
        self._actor = agent.init_actor(1)
        self._extras: dict[str, tf.Tensor] = {}
        self._segment: list[Transition] = []
        self._steps = self._updates = 0
        mode: Mode = "train" if explore else "eval"

        def act(policy: Nest, actor: Nest, observation: Nest, step: tf.Tensor) -> Any:
            return agent.act(policy, actor, observation, random.fold_in(self._act_key, step), mode)

        def update(state: Any, trajectory: Transition, updates: tf.Tensor) -> tuple[Any, Metrics]:
            return agent.update(state, trajectory, random.fold_in(update_key, updates))

        self._act = tf.function(act, jit_compile=True, autograph=False)
        self._update = compile(update, agent.init(init_key))

    @property
    def state(self) -> Any:
        """A copy of the agent's state."""
        return self._update.read()

    def act(self, observation: Nest) -> Any:
        """Chooses an action for one observation, as the environment gives it and takes it."""
        policy = self._update.read(lambda state: state.policy)
        batch = _batch_of_one("observation", observation, self._observation_spec)
        acted = self._act(policy, self._actor, batch, tf.constant(self._steps))
        self._steps += 1
        self._actor, self._extras = acted.actor_state, acted.extras
        action = acted.action.numpy()[0]
        return action.item() if action.ndim == 0 else action

    def observe(
        self,
        observation: Nest,
        action: Any,
        reward: float,
        next_observation: Nest,
        terminated: bool,
        truncated: bool,
    ) -> None:
        """Takes in what the action led to; `next_observation` is the true successor, also at an end."""
        self._segment.append(
            Transition(
                observation=_batch_of_one("observation", observation, self._observation_spec),
                action=_batch_of_one("action", action, self._action_spec),
                reward=tf.constant([reward], tf.float32),
                terminated=tf.constant([bool(terminated)]),
                truncated=tf.constant([bool(truncated)]),
                next_observation=_batch_of_one("next_observation", next_observation, self._observation_spec),
                extras=self._extras,
            )
        )
        if terminated or truncated:
            self._actor = self._agent.init_actor(1)

    def update(self) -> dict[str, float] | None:
        """Updates the agent if a rollout is complete and returns its metrics, else None."""
        if len(self._segment) < self._rollout_length:
            return None
        segment, self._segment = self._segment[: self._rollout_length], self._segment[self._rollout_length :]
        metrics = self._update(struct.stack(segment), tf.constant(self._updates))
        self._updates += 1
        return {name: float(value) for name, value in metrics.items()}


def _batch_of_one(label: str, value: Nest, spec: Nest) -> Nest:
    def convert(leaf: Any, leaf_spec: tf.TensorSpec) -> tf.Tensor:
        array = np.asarray(leaf, leaf_spec.dtype.as_numpy_dtype)
        if array.shape != tuple(leaf_spec.shape):
            raise ValueError(f"{label} has shape {array.shape}, expected {tuple(leaf_spec.shape)}")
        return tf.constant(array[np.newaxis])

    return tf.nest.map_structure(convert, value, spec)
