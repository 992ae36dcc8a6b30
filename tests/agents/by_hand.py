"""One hand-made transition and what judges it, for the tests of losses."""

import tensorflow as tf

from rl_fn import random, replay

KEY = random.key(0)


def sample(weight, **items):
    """One transition from state 0 by action 1 to state 1, and its weight."""
    settled = {"observation": [0], "action": [1], "reward": [1.0], "discount": [0.9], "next_observation": [1]}
    settled.update(items)
    transition = replay.NStepTransition(**{name: tf.constant(x) for name, x in settled.items()}, extras={})
    return replay.Sample(transition, slots=tf.constant([0]), weights=tf.constant([weight]))
