"""CartPole-v1, compiled.

The dynamics are those of Gymnasium's `CartPole-v1`: Barto, Sutton and Anderson (1983), "Neuronlike
adaptive elements that can solve difficult learning control problems", integrated by Euler's method.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.struct import EnvSpec

GRAVITY = 9.8
CART_MASS, POLE_MASS = 1.0, 0.1
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # of the pole, in metres
FORCE = 10.0  # newtons, to either side
TIME_STEP = 0.02  # seconds
MAX_POSITION = 2.4  # metres
MAX_ANGLE = 12 * 2 * math.pi / 360  # radians


def make() -> Env:
    bounds = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], np.float32)
    spec = EnvSpec(
        name="CartPole-v1",
        observation_space=spaces.Box(-bounds, bounds, dtype=np.float32),
        action_space=spaces.Discrete(2),
        max_episode_steps=500,
        reward_threshold=475.0,
        render_fps=50,
    )
    return auto_reset(spec, start, dynamics, observe=tf.identity)


def start(key: random.Key, batch_size: int) -> tf.Tensor:
    """States `[B, 4]`: position, velocity, angle and angular velocity, each near zero."""
    return random.uniform(key, [batch_size, 4], -0.05, 0.05)


def dynamics(state: tf.Tensor, action: tf.Tensor, key: random.Key) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step of `[B, 4]` states under `int[B]` actions: 0 pushes to the left, 1 to the right."""
    del key  # deterministic
    position, velocity, angle, angular_velocity = tf.unstack(state, num=4, axis=-1)
    force = tf.where(action == 1, FORCE, -FORCE)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    moment = POLE_MASS * HALF_LENGTH
    push = (force + moment * tf.square(angular_velocity) * sine) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * tf.square(cosine) / TOTAL_MASS)
    )
    acceleration = push - moment * angular_acceleration * cosine / TOTAL_MASS
    rates = tf.stack([velocity, acceleration, angular_velocity, angular_acceleration], axis=-1)
    successor = state + TIME_STEP * rates
    terminated = (tf.abs(successor[..., 0]) > MAX_POSITION) | (tf.abs(successor[..., 2]) > MAX_ANGLE)
    return successor, tf.ones_like(position), terminated
