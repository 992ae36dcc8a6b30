"""A compiled environment of a user's own; registered by name from here."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs
from rl_fn.struct import EnvSpec


def make_corridor(length=4):
    """Compiled: walks to the end of a corridor; the actions are 1 and 2 steps."""
    spec = EnvSpec("Corridor", spaces.Box(0, np.inf, (1,), np.float32), spaces.Discrete(2, start=1), 20)

    def dynamics(state, action, key):
        del key
        place = state + tf.cast(action, tf.int32)
        return place, tf.ones(place.shape), place >= length

    observe = lambda place: tf.cast(place, tf.float32)[:, tf.newaxis]
    return envs.auto_reset(spec, lambda key, num: tf.zeros([num], tf.int32), dynamics, observe)
