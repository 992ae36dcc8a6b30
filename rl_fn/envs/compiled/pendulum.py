"""Pendulum-v1, compiled: a pendulum that is to be swung up and kept there by a weak motor.

The dynamics are those of Gymnasium's `Pendulum-v1`: a rod of length 1 and mass 1 under gravity of 10, in
Euler's method with the new velocity.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing.classic_control import gymnasium_picture
from rl_fn.struct import EnvSpec

GRAVITY = 10.0
MASS = LENGTH = 1.0
MAX_SPEED = 8.0  # radians per second
MAX_TORQUE = 2.0
TIME_STEP = 0.05  # seconds


class State(NamedTuple):
    """Columns and not one `[B, 3]` tensor, so that every operation runs over contiguous numbers."""

    angle: tf.Tensor  # float32[B]: 0 is upright; in [-pi, pi], where float32 is exact enough
    angular_velocity: tf.Tensor  # float32[B]
    torque: tf.Tensor  # float32[B]: of the last step, for the picture


def make() -> Env:
    """Makes Pendulum; the reward is the less negative the more upright and still it is."""
    bounds = np.array([1.0, 1.0, MAX_SPEED], np.float32)
    spec = EnvSpec(
        name="Pendulum-v1",
        observation_space=spaces.Box(-bounds, bounds, dtype=np.float32),
        action_space=spaces.Box(-MAX_TORQUE, MAX_TORQUE, [1], np.float32),
        max_episode_steps=200,
    )
    return auto_reset(spec, start, dynamics, observe, gymnasium_picture(spec.name, _attributes))


def start(key: random.Key, batch_size: int) -> State:
    """States at any angle, turning by up to one radian per second."""
    high = [[math.pi], [1.0]]
    angle, angular_velocity = tf.unstack(random.uniform(key, [2, batch_size], np.negative(high), high))
    return State(angle, angular_velocity, tf.zeros([batch_size]))


def dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `float[B, 1]` torques, clipped to [-MAX_TORQUE, MAX_TORQUE]."""
    del key  # deterministic
    torque = tf.clip_by_value(tf.cast(action[:, 0], tf.float32), -MAX_TORQUE, MAX_TORQUE)
    cost = tf.square(state.angle) + 0.1 * tf.square(state.angular_velocity) + 0.001 * tf.square(torque)
    acceleration = 1.5 * GRAVITY / LENGTH * tf.sin(state.angle) + 3 / (MASS * LENGTH**2) * torque
    angular_velocity = tf.clip_by_value(state.angular_velocity + TIME_STEP * acceleration, -MAX_SPEED, MAX_SPEED)
    angle = state.angle + TIME_STEP * angular_velocity
    angle = angle - 2 * math.pi * tf.round(angle / (2 * math.pi))
    return State(angle, angular_velocity, torque), -cost, tf.zeros_like(cost, tf.bool)


def observe(state: State) -> tf.Tensor:
    """Cosine and sine of the angle, and the angular velocity, `float32[B, 3]`."""
    return tf.stack([tf.cos(state.angle), tf.sin(state.angle), state.angular_velocity], axis=-1)


def _attributes(state: State) -> dict[str, Any]:
    return {"state": np.array([state.angle, state.angular_velocity]), "last_u": float(state.torque)}
