"""CartPole-v1, compiled.

The dynamics are those of Gymnasium's `CartPole-v1`: Barto, Sutton and Anderson (1983), "Neuronlike
adaptive elements that can solve difficult learning control problems", integrated by Euler's method.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.drawing.classic_control import gymnasium_picture
from rl_fn.struct import EnvSpec

GRAVITY = 9.8
CART_MASS, POLE_MASS = 1.0, 0.1
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # of the pole, in metres
FORCE = 10.0  # newtons, to either side
TIME_STEP = 0.02  # seconds
MAX_POSITION = 2.4  # metres
MAX_ANGLE = 12 * 2 * math.pi / 360  # radians


class State(NamedTuple):
    """Columns and not one `[B, 4]` tensor, so that every operation runs over contiguous numbers."""

    position: tf.Tensor  # float32[B]
    velocity: tf.Tensor  # float32[B]
    angle: tf.Tensor  # float32[B]: of the pole, 0 is upright
    angular_velocity: tf.Tensor  # float32[B]


def make() -> Env:
    """Makes CartPole; each step pays 1, and an episode terminates where the pole falls or the cart leaves."""
    bounds = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], np.float32)
    spec = EnvSpec(
        name="CartPole-v1",
        observation_space=spaces.Box(-bounds, bounds, dtype=np.float32),
        action_space=spaces.Discrete(2),
        max_episode_steps=500,
        reward_threshold=475.0,
        render_fps=50,
    )
    return auto_reset(spec, start, dynamics, observe, gymnasium_picture(spec.name))


def start(key: random.Key, batch_size: int) -> State:
    """States in which everything is near zero."""
    return State(*tf.unstack(random.uniform(key, [len(State._fields), batch_size], -0.05, 0.05)))


def dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions: 0 pushes to the left, 1 to the right."""
    del key  # deterministic
    position, velocity, angle, angular_velocity = state
    force = tf.where(action == 1, FORCE, -FORCE)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    moment = POLE_MASS * HALF_LENGTH
    push = (force + moment * tf.square(angular_velocity) * sine) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * tf.square(cosine) / TOTAL_MASS)
    )
    acceleration = push - moment * angular_acceleration * cosine / TOTAL_MASS
    rates = (velocity, acceleration, angular_velocity, angular_acceleration)
    successor = State(*(x + TIME_STEP * rate for x, rate in zip(state, rates, strict=True)))
    terminated = (tf.abs(successor.position) > MAX_POSITION) | (tf.abs(successor.angle) > MAX_ANGLE)
    return successor, tf.ones_like(position), terminated


def observe(state: State) -> tf.Tensor:
    """Position, velocity, angle and angular velocity, `float32[B, 4]`."""
    return tf.stack(state, axis=-1)
