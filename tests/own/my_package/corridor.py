"""A corridor: one action goes on, the other back; the end pays 1."""

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn.envs.base import Env, auto_reset
from rl_fn.struct import EnvSpec


def make(length: int = 6) -> Env:
    """The observation says where one stands."""
    spec = EnvSpec("Corridor-v0", spaces.Box(0.0, 1.0, [length], np.float32), spaces.Discrete(2), 20, render_fps=10)

    def dynamics(place, action, key):
        del key
        place = tf.clip_by_value(place + 2 * action - 1, 0, length - 1)
        at_end = place == length - 1
        return place, tf.cast(at_end, tf.float32), at_end

    def picture(place):
        return np.kron(np.eye(length, dtype=np.uint8)[[int(place)]], np.full([16, 16], 255, np.uint8))[
            ..., np.newaxis
        ].repeat(3, axis=2)

    return auto_reset(
        spec,
        lambda key, batch_size: tf.zeros([batch_size], tf.int32),
        dynamics,
        lambda place: tf.one_hot(place, length),
        picture,
    )
