"""Acrobot-v1, compiled: two links hang from a fixed joint, a motor between them is to swing them up.

The dynamics are those of Gymnasium's `Acrobot-v1`: Sutton and Barto (1998), "Reinforcement learning: an
introduction", section 11.3, integrated by one Runge-Kutta step of fourth order.
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
LENGTH_1 = 1.0  # of the first link, in metres
MASS_1 = MASS_2 = 1.0
CENTER_1 = CENTER_2 = 0.5  # distance of a link's centre of mass from its joint
INERTIA_1 = INERTIA_2 = 1.0
MAX_SPEED_1, MAX_SPEED_2 = 4 * math.pi, 9 * math.pi  # radians per second
TIME_STEP = 0.2  # seconds


class State(NamedTuple):
    """Columns and not one `[B, 4]` tensor, so that every operation runs over contiguous numbers."""

    angle_1: tf.Tensor  # float32[B]: of the first link, 0 is hanging down; in [-pi, pi]
    angle_2: tf.Tensor  # float32[B]: of the second link against the first; in [-pi, pi]
    angular_velocity_1: tf.Tensor  # float32[B]
    angular_velocity_2: tf.Tensor  # float32[B]


def make() -> Env:
    """Makes Acrobot; each step costs 1, and an episode terminates where the tip is high enough."""
    bounds = np.array([1.0, 1.0, 1.0, 1.0, MAX_SPEED_1, MAX_SPEED_2], np.float32)
    spec = EnvSpec(
        name="Acrobot-v1",
        observation_space=spaces.Box(-bounds, bounds, dtype=np.float32),
        action_space=spaces.Discrete(3),
        max_episode_steps=500,
        reward_threshold=-100.0,
    )
    return auto_reset(spec, start, dynamics, observe, gymnasium_picture(spec.name))


def start(key: random.Key, batch_size: int) -> State:
    """States nearly at rest, hanging nearly straight down."""
    return State(*tf.unstack(random.uniform(key, [len(State._fields), batch_size], -0.1, 0.1)))


def dynamics(state: State, action: tf.Tensor, key: random.Key) -> tuple[State, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` actions: torques of -1, 0 and 1 on the joint between the links."""
    del key  # deterministic
    torque = tf.cast(action, state.angle_1.dtype) - 1
    rates_1 = _rates(state, torque)
    rates_2 = _rates(_advance(state, rates_1, TIME_STEP / 2), torque)
    rates_3 = _rates(_advance(state, rates_2, TIME_STEP / 2), torque)
    rates_4 = _rates(_advance(state, rates_3, TIME_STEP), torque)
    mean = State(*((a + 2 * (b + c) + d) / 6 for a, b, c, d in zip(rates_1, rates_2, rates_3, rates_4, strict=True)))
    moved = _advance(state, mean, TIME_STEP)
    successor = State(
        _wrap(moved.angle_1),
        _wrap(moved.angle_2),
        tf.clip_by_value(moved.angular_velocity_1, -MAX_SPEED_1, MAX_SPEED_1),
        tf.clip_by_value(moved.angular_velocity_2, -MAX_SPEED_2, MAX_SPEED_2),
    )
    height = -tf.cos(successor.angle_1) - tf.cos(successor.angle_1 + successor.angle_2)
    terminated = height > 1.0
    return successor, tf.where(terminated, 0.0, -1.0), terminated


def observe(state: State) -> tf.Tensor:
    """Cosine and sine of each angle, and the angular velocities, `float32[B, 6]`."""
    directions = [function(angle) for angle in state[:2] for function in (tf.cos, tf.sin)]
    return tf.stack([*directions, *state[2:]], axis=-1)


def _rates(state: State, torque: tf.Tensor) -> State:
    """The derivative of the state by time."""
    angle_1, angle_2, velocity_1, velocity_2 = state
    coupling = MASS_2 * LENGTH_1 * CENTER_2
    cosine, sine = coupling * tf.cos(angle_2), coupling * tf.sin(angle_2)
    inertia_2 = MASS_2 * CENTER_2**2 + INERTIA_2
    d_1 = MASS_1 * CENTER_1**2 + MASS_2 * LENGTH_1**2 + INERTIA_1 + inertia_2 + 2 * cosine
    d_2 = inertia_2 + cosine
    phi_2 = MASS_2 * CENTER_2 * GRAVITY * tf.sin(angle_1 + angle_2)
    phi_1 = (
        phi_2
        + (MASS_1 * CENTER_1 + MASS_2 * LENGTH_1) * GRAVITY * tf.sin(angle_1)
        - sine * velocity_2 * (velocity_2 + 2 * velocity_1)
    )
    ratio = d_2 / d_1
    acceleration_2 = (torque + ratio * phi_1 - sine * tf.square(velocity_1) - phi_2) / (inertia_2 - d_2 * ratio)
    acceleration_1 = -(d_2 * acceleration_2 + phi_1) / d_1
    return State(velocity_1, velocity_2, acceleration_1, acceleration_2)


def _advance(state: State, rates: State, time: float) -> State:
    return State(*(x + time * rate for x, rate in zip(state, rates, strict=True)))


def _wrap(angle: tf.Tensor) -> tf.Tensor:
    """The same direction in [-pi, pi]."""
    return angle - 2 * math.pi * tf.round(angle / (2 * math.pi))
