"""MountainCar-v0 and MountainCarContinuous-v0, compiled.

The dynamics are those of Gymnasium: Moore (1990), "Efficient memory-based learning for robot control",
in the form of Sutton and Barto (2018), "Reinforcement learning: an introduction", example 10.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src import arguments
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing.classic_control import gymnasium_picture
from rl_fn.struct import EnvSpec

MIN_POSITION, MAX_POSITION = -1.2, 0.6
MAX_SPEED = 0.07
GRAVITY = 0.0025  # as a change of velocity per step
FORCE = 0.001  # of the discrete actions, likewise
GOAL = 0.5
POWER = 0.0015  # of the largest continuous action
CONTINUOUS_GOAL = 0.45


class State(NamedTuple):
    """Columns and not one `[B, 2]` tensor, so that every operation runs over contiguous numbers."""

    position: tf.Tensor  # float32[B]: in [MIN_POSITION, MAX_POSITION]
    velocity: tf.Tensor  # float32[B]: per step


def make(continuous: bool = False) -> Env:
    """Makes MountainCar; an episode terminates at the top of the hill.

    Args:
      continuous: whether the action is the force, which costs; else each step costs 1.

    Raises:
      ValueError: if it is neither True nor False.
    """
    continuous = arguments.flag("continuous", continuous)
    low, high = np.array([[MIN_POSITION, -MAX_SPEED], [MAX_POSITION, MAX_SPEED]], np.float32)
    spec = EnvSpec(
        name="MountainCarContinuous-v0" if continuous else "MountainCar-v0",
        observation_space=spaces.Box(low, high, dtype=np.float32),
        action_space=spaces.Box(-1.0, 1.0, [1], np.float32) if continuous else spaces.Discrete(3),
        max_episode_steps=999 if continuous else 200,
        reward_threshold=90.0 if continuous else -110.0,
    )
    step = continuous_dynamics if continuous else dynamics
    return auto_reset(spec, start, step, observe, gymnasium_picture(spec.name))


def start(key: random.Key, batch_size: int) -> State:
    """States at rest near the bottom of the valley."""
    return State(random.uniform(key, [batch_size], -0.6, -0.4), tf.zeros([batch_size]))


def dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions: 0 pushes to the left, 1 not at all, 2 to the right."""
    del key  # deterministic
    successor = _move(state, FORCE * (tf.cast(action, tf.float32) - 1))
    return successor, -tf.ones_like(state.position), _reaches(successor, GOAL)


def continuous_dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `float[B, 1]` actions; the car gets them clipped to [-1, 1], the penalty is of those given."""
    del key  # deterministic
    action = tf.cast(action[:, 0], tf.float32)
    successor = _move(state, POWER * tf.clip_by_value(action, -1.0, 1.0))
    terminated = _reaches(successor, CONTINUOUS_GOAL)
    return successor, tf.where(terminated, 100.0, 0.0) - 0.1 * tf.square(action), terminated


def observe(state: State) -> tf.Tensor:
    """Position and velocity, `float32[B, 2]`."""
    return tf.stack(state, axis=-1)


def _move(state: State, push: tf.Tensor) -> State:
    velocity = state.velocity + push - GRAVITY * tf.cos(3 * state.position)
    velocity = tf.clip_by_value(velocity, -MAX_SPEED, MAX_SPEED)
    position = tf.clip_by_value(state.position + velocity, MIN_POSITION, MAX_POSITION)
    at_wall = position <= MIN_POSITION
    return State(position, tf.where(at_wall, tf.maximum(velocity, 0.0), velocity))


def _reaches(state: State, goal: float) -> tf.Tensor:
    return (state.position >= goal) & (state.velocity >= 0)
