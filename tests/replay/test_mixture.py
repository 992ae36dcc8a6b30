import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random, replay
from tests.replay.support import SCALAR, compiled, numbered
from tests.support import assert_refuses


@pytest.mark.parametrize(
    ("proportions", "batch_size", "expected"),
    [
        ([1, 1], 10, [5, 5]),
        ([0.25, 0.75], 10, [3, 7]),
        ([1, 1, 1], 4, [2, 1, 1]),
        ([0, 2], 3, [0, 3]),
        ([9, 1], 1, [1, 0]),
    ],
)
def test_every_batch_has_the_same_shares(proportions, batch_size, expected):
    mixture = replay.mixture([replay.uniform(50, SCALAR)] * len(proportions), proportions)
    state = mixture.init()
    for index in range(len(proportions)):
        state = mixture.add(state, numbered(100 * index, 30), index)
    drawn = compiled(lambda key: mixture.sample(state, key, batch_size))(random.key(0))
    ids = np.asarray(drawn["id"])
    np.testing.assert_array_equal(ids // 100, np.repeat(range(len(proportions)), expected))
    np.testing.assert_array_equal(drawn["pixels"], numbered(0, 400)["pixels"][ids])


def test_sequences_and_priorities_are_joined_along_the_items():
    make = lambda: replay.prioritized_from(
        replay.sequences(20, SCALAR, num_streams=2, length=4, start_spec=tf.TensorSpec([], tf.int32))
    )
    mixture = replay.mixture([make(), make()], [1, 3])
    state = mixture.init()
    for index in range(2):
        steps = numbered(1000 * index, [10, 2])
        state = mixture.add(state, replay.Sequence(steps, steps["id"]), index)
    batch = mixture.sample(state, random.key(0), 8)
    assert batch.items.steps["id"].shape == (4, 8)
    np.testing.assert_array_equal(batch.items.steps["id"][0], batch.items.start)
    np.testing.assert_array_equal(batch.items.start // 1000, [0, 0, 1, 1, 1, 1, 1, 1])
    assert batch.slots.shape == batch.weights.shape == (8,)
    # The buffers' own functions take what belongs to them.
    updated = make().update(state[1], batch.slots[2:], tf.fill([6], 5.0))
    assert float(updated.max_priority) == 5.0


def test_copies_equal_single_mixtures():
    mixture = replay.mixture([replay.uniform(5, SCALAR), replay.uniform(3, SCALAR)], [1, 2])

    def run(key, first):
        state = mixture.init()
        for index in range(2):
            ids = first + tf.range(4)
            state = mixture.add(state, {"id": ids, "pixels": tf.zeros([4, 2], tf.uint8)}, index)
        return state, mixture.sample(state, key, 6)

    keys, firsts = random.split(random.key(0), 3), tf.constant([0, 100, 200])
    copies = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))(
        keys, firsts
    )
    for index in range(3):
        alone = run(keys[index], firsts[index])
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_array_equal(one, many[index])


def test_bad_inputs_are_refused():
    buffer = replay.uniform(5, SCALAR)
    assert_refuses("1 buffers and 2 proportions", replay.mixture, [buffer], [1, 1])
    assert_refuses("0 buffers", replay.mixture, [], [])
    assert_refuses(r"proportions are \[-1, 2\]", replay.mixture, [buffer, buffer], [-1, 2])
    assert_refuses(r"proportions are \[0, 0\]", replay.mixture, [buffer, buffer], [0, 0])
