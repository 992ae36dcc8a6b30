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
        ([9, 1], 6, [5, 1]),
    ],
)
def test_every_batch_has_the_same_shares(proportions, batch_size, expected):
    mixture = replay.mixture([replay.uniform(50, SCALAR)] * len(proportions), proportions)
    state = mixture.init()
    for index in range(len(proportions)):
        state = mixture.add(state, numbered(100 * index, 30), index)
    drawn = compiled(lambda key: mixture.sample(state, key, batch_size))(random.key(0))
    ids = np.asarray(drawn.items["id"])
    np.testing.assert_array_equal(ids // 100, np.repeat(range(len(proportions)), expected))
    np.testing.assert_array_equal(drawn.items["pixels"], numbered(0, 400)["pixels"][ids])
    np.testing.assert_array_equal(drawn.slots, 50 * (ids // 100) + ids % 100)


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


def test_priorities_go_to_the_buffer_of_each_item():
    make = lambda: replay.prioritized(4, SCALAR, alpha=1.0)
    mixture = replay.mixture([make(), replay.uniform(3, SCALAR), make()], [1, 1, 1])
    state = mixture.init()
    for index in range(3):
        state = mixture.add(state, numbered(0, 3), index)
    # Slots are numbered through: 0 ... 3, 4 ... 6 and 7 ... 10; in any order, and parts of a batch.
    for update in (mixture.update, compiled(mixture.update)):
        after = update(state, tf.constant([9, 0, 5, -1]), tf.constant([5.0, 2.0, 8.0, 9.0]))
        np.testing.assert_allclose(after[0].weights[0][:4], [2.0, 1.0, 1.0, 0.0])
        np.testing.assert_allclose(after[2].weights[0][:4], [1.0, 1.0, 5.0, 0.0])
        assert (float(after[0].max_priority), float(after[2].max_priority)) == (2.0, 5.0)
    plain = replay.mixture([replay.uniform(3, SCALAR)] * 2, [1, 1])
    plain.update(plain.init(), [0, 1])


def test_it_is_ready_when_every_buffer_with_a_share_is_and_they_hold_so_many_together():
    mixture = replay.mixture([replay.uniform(5, SCALAR)] * 3, [1, 1, 0])
    ready = compiled(mixture.is_ready)
    state = mixture.add(mixture.init(), numbered(0, 4))  # to the first, where no index is given
    assert int(state[0].size) == 4
    assert not ready(state, tf.constant(1))
    state = mixture.add(state, numbered(0, 1), 1)
    assert [bool(ready(state, tf.constant(num))) for num in (0, 5, 6)] == [True, True, False]
    assert_refuses("min_items is 11, but the buffer keeps no more than 10 items", mixture.is_ready, state, 11)


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
    assert_refuses(r"proportions are \[1, nan\]", replay.mixture, [buffer, buffer], [1, float("nan")])
    mixture = replay.mixture([buffer, buffer], [1, 1])
    assert_refuses("a buffer is a mixture itself", replay.mixture, [buffer, mixture], [1, 1])
    state = mixture.add(mixture.add(mixture.init(), numbered(0, 1)), numbered(0, 1), 1)
    assert_refuses(r"slots hold 10, expected values in \[0, 10\)", mixture.update, state, [10], [1.0])
    assert_refuses("batch_size is 0", mixture.sample, state, random.key(0), 0)
    assert_refuses(
        r"batch_size is 1, of which proportions \[1, 1\] make \[1, 0\]", mixture.sample, state, random.key(0), 1
    )
    assert_refuses("a mixture keeps no steps of its own", replay.contents, mixture, state)
