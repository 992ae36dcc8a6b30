"""The protocol of compiled environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn.struct import EnvSpec, Nest


class EnvStep(NamedTuple):
    observation: Nest  # [B, ...]: what the policy sees next, the first one of a new episode at an end
    reward: tf.Tensor  # float32[B]
    terminated: tf.Tensor  # bool[B]: the task ended
    truncated: tf.Tensor  # bool[B]: the time limit was reached
    next_observation: Nest  # [B, ...]: the true successor


class Env(NamedTuple):
    """A batch of environments as pure functions; those whose episode ends start again by themselves."""

    spec: EnvSpec
    reset: Callable[[random.Key, int], tuple[Nest, Nest]]  # (key, batch_size) -> (env_state, observation)
    step: Callable[[Nest, tf.Tensor, random.Key], tuple[Nest, EnvStep]]  # (env_state, action, key)
    # The state of one environment, as NumPy arrays without the batch axis -> a picture uint8[H, W, 3]
    render: Callable[[Nest], np.ndarray] | None = None


class TimedState(NamedTuple):
    inner: Nest  # the dynamics' own state, leaves [B, ...]
    time: tf.Tensor  # int32[B]: steps taken in this episode


def auto_reset(
    spec: EnvSpec,
    start: Callable[[random.Key, int], Nest],
    dynamics: Callable[[Nest, tf.Tensor, random.Key], tuple[Nest, tf.Tensor, tf.Tensor]],
    observe: Callable[[Nest], Nest],
    render: Callable[[Nest], np.ndarray] | None = None,
) -> Env:
    """Makes an environment of its dynamics: adds the time limit and the start of new episodes.

    Args:
      spec: its specification; `max_episode_steps` is the time limit.
      start: `(key, batch_size) -> state`, where episodes begin.
      dynamics: `(state, action, key) -> (state, reward, terminated)`.
      observe: `state -> observation`.
      render: `state -> picture`, for one state as NumPy arrays.

    Raises:
      ValueError: by its step, if the actions do not have the shape of the action space after the batch axis.
    """
    action_spec = struct.space_spec(spec.action_space)

    def reset(key: random.Key, batch_size: int) -> tuple[TimedState, Nest]:
        inner = start(key, batch_size)
        return TimedState(inner, tf.zeros([batch_size], tf.int32)), observe(inner)

    def step(state: TimedState, action: tf.Tensor, key: random.Key) -> tuple[TimedState, EnvStep]:
        action = tf.nest.map_structure(tf.convert_to_tensor, action)
        _check_actions(spec.name, action, action_spec, state.time.shape[0])
        start_key, dynamics_key = tf.unstack(random.split(key))
        successor, reward, terminated = dynamics(state.inner, action, dynamics_key)
        time = state.time + 1
        timed_out = time >= spec.max_episode_steps if spec.max_episode_steps else tf.zeros_like(terminated)
        done = terminated | timed_out
        inner = struct.where(done, start(start_key, time.shape[0]), successor)
        outcome = EnvStep(observe(inner), reward, terminated, timed_out, observe(successor))
        return TimedState(inner, tf.where(done, 0, time)), outcome

    return Env(spec, reset, step, render and (lambda state: render(state.inner)))


def _check_actions(name: str, action: Nest, spec: Nest, batch_size: int) -> None:
    """Of another shape they would broadcast, and nothing would fail."""
    given = tf.nest.map_structure(lambda leaf: tuple(leaf.shape), action)
    expected = tf.nest.map_structure(lambda leaf: (batch_size, *leaf.shape), spec)
    if given != expected:
        raise ValueError(f"{name}: the actions have shape {given}, expected {expected}")
