"""No buffer can be learned from before it has an item, and none is waited for in vain."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random, replay
from rl_fn.struct import Transition
from tests.replay.support import compiled
from tests.support import assert_refuses

STREAMS = 2
NUMBER, FLAG, IMAGE = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool), tf.TensorSpec([2, 3], tf.uint8)
GOAL = tf.TensorSpec([1], tf.float32)
GOALS = {"achieved_goal": GOAL, "desired_goal": GOAL}


def spec_of(observation):
    return Transition(observation, NUMBER, NUMBER, FLAG, FLAG, observation, extras={})


PLAIN, PICTURES, REACHING = (spec_of(observation) for observation in (NUMBER, IMAGE, GOALS))
n_step = lambda spec: replay.n_step(24, spec, num_streams=STREAMS, n=3, gamma=0.9)
# store -> the specification of a step, how many steps of each stream make the first items, how many stay at least
STORES = {
    "items": (replay.items(24, PLAIN), PLAIN, 1, 24),
    "steps": (replay.steps(24, PLAIN, num_streams=STREAMS), PLAIN, 1, 24),
    "n_step": (n_step(PLAIN), PLAIN, 3, 20),
    "n_step_items": (replay.n_step_items(24, PLAIN, num_streams=STREAMS, n=3, gamma=0.9), PLAIN, 3, 24),
    "sequences": (replay.sequences(24, PLAIN, num_streams=STREAMS, length=4), PLAIN, 4, 18),
    "apart": (replay.sequences(24, PLAIN, num_streams=STREAMS, length=4, period=3), PLAIN, 4, 6),
    "one": (replay.sequences(24, PLAIN, num_streams=STREAMS, length=12), PLAIN, 12, 2),
    "frames": (replay.frames(24, PICTURES, num_streams=STREAMS, make_store=n_step), PICTURES, 3, 14),
    "hindsight": (
        replay.hindsight(24, REACHING, num_streams=STREAMS, reward_fn=lambda a, d: a[..., 0] - d[..., 0]),
        REACHING,
        1,
        24,
    ),
}


def steps_of(name, num):
    """Steps of an episode that does not end."""
    shape = [num * STREAMS] if name == "items" else [num, STREAMS]
    return tf.nest.map_structure(lambda leaf: tf.zeros([*shape, *leaf.shape], leaf.dtype), STORES[name][1])


@pytest.mark.parametrize("name", STORES)
def test_an_empty_buffer_gives_finite_numbers_and_says_that_they_mean_nothing(name):
    store, _, first, _ = STORES[name]
    for buffer, mode in ((replay.uniform_from(store), compiled), (replay.prioritized_from(store), tf.function)):
        look = lambda state, buffer=buffer: (buffer.sample(state, random.key(0), 5), buffer.is_ready(state))
        drawn, ready = mode(look)(buffer.init())
        assert not ready
        assert all(np.all(np.isfinite(leaf)) for leaf in tf.nest.flatten(drawn) if leaf.dtype.is_floating)
        state = buffer.init()
        if first > 1:
            state = buffer.add(state, steps_of(name, first - 1))
            assert not buffer.is_ready(state)
        assert buffer.is_ready(buffer.add(state, steps_of(name, 1)))


@pytest.mark.parametrize("name", STORES)
def test_a_full_buffer_has_all_the_items_it_may_be_asked_to_wait_for(name):
    store, _, _, expected = STORES[name]
    assert store.max_items == expected
    buffer = replay.uniform_from(store)
    state = buffer.init()
    for num in (4, 4, 4, 3, 1, 2, 1, 1, 4):
        state = buffer.add(state, steps_of(name, num))
    least = expected
    for num in (1, 2, 1, 1, 3, 1):
        state = buffer.add(state, steps_of(name, num))
        least = min(least, int(store.count(state)))
        assert buffer.is_ready(state, expected)
    assert least == expected
    assert_refuses(
        f"is {expected + 1}, but the buffer keeps no more than {expected} items", buffer.is_ready, state, expected + 1
    )
