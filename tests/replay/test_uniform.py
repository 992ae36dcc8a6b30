import hypothesis
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, replay
from rl_fn._src.replay import base
from rl_fn._src.replay.rows import Rows
from tests.replay.support import (
    SCALAR,
    Player,
    assert_frequencies,
    assert_holds,
    assert_in_place,
    compiled,
    many_examples,
    numbered,
    operations,
)
from tests.support import assert_refuses

CAPACITY = 5
SIZES = (1, 2, 3, 5, 7, 12)
PLAYER = Player(replay.items(CAPACITY, SCALAR), SIZES)
TAPE = tf.nest.map_structure(tf.constant, numbered(0, 6 * max(SIZES)))


@many_examples
@hypothesis.given(operations(len(SIZES)))
def test_it_is_a_list_that_forgets_its_oldest(ops):
    used, seen = PLAYER.play(ops, TAPE)
    held = numbered(max(0, used - CAPACITY), min(used, CAPACITY))
    assert_holds(seen, held, held)


@pytest.mark.parametrize("added", [1, 3, 5, 8])
def test_sampling_is_uniform(added):
    buffer = replay.uniform(CAPACITY, SCALAR)
    state = buffer.add(buffer.init(), numbered(0, added))
    drawn = compiled(lambda key: buffer.sample(state, key, 20_000))(random.key(1)).items["id"]
    live = np.arange(added)[-CAPACITY:]
    assert_frequencies(np.asarray(drawn) - live[0], np.ones(len(live)))


def test_a_counter_that_has_gone_round_many_times_does_not_matter():
    # More than 2**31 items cannot be told from a few: the state holds only where the ring stands.
    buffer = replay.uniform(CAPACITY, SCALAR)
    state = buffer.init()
    for first in range(0, 60, 3):
        state = buffer.add(state, numbered(first, 3))
        assert 0 <= int(state.position) < CAPACITY
        assert int(state.size) <= CAPACITY
    drawn = buffer.sample(state, random.key(0), 200).items["id"]
    assert set(np.asarray(drawn)) == set(range(55, 60))


def test_the_largest_ring_does_not_overflow():
    rows = 2**30
    state = replay.ReplayState({}, position=tf.constant(rows - 2), size=tf.constant(rows))
    oldest_and_newest = [rows - 2, rows - 1, 0, rows - 3]
    ages = tf.constant([0, 1, 2, rows - 1])
    np.testing.assert_array_equal(base.nth_row(state, ages, rows), oldest_and_newest)
    np.testing.assert_array_equal(base.age(state, tf.constant(oldest_and_newest), rows), ages)
    state, places = base.append(state, Rows(()), (), 5, rows)
    np.testing.assert_array_equal(places, [rows - 2, rows - 1, 0, 1, 2])
    assert (int(state.position), int(state.size)) == (3, rows)


def test_storage_keeps_the_dtypes():
    spec = {name: tf.TensorSpec([2], dtype) for name, dtype in _DTYPES.items()}
    buffer = replay.uniform(4, spec)
    added = {name: tf.cast([[0, 1], [1, 3]], dtype) for name, dtype in _DTYPES.items()}
    state = buffer.add(buffer.init(), added)
    drawn = buffer.sample(state, random.key(0), 8).items
    for name, dtype in _DTYPES.items():
        assert state.storage[name].dtype == drawn[name].dtype == dtype  # a matrix for each dtype
        rows = {tuple(row) for row in np.asarray(tf.cast(drawn[name], tf.float64))}
        assert rows == {tuple(row) for row in np.asarray(tf.cast(added[name], tf.float64))}


_DTYPES = {"bfloat16": tf.bfloat16, "bool": tf.bool, "float32": tf.float32, "float64": tf.float64, "uint8": tf.uint8}


def test_copies_equal_single_buffers():
    buffer = replay.uniform(CAPACITY, SCALAR)

    def run(key, first):
        state = buffer.init()
        for size in (3, 4):
            ids = first + tf.range(size)
            state = buffer.add(state, {"id": ids, "pixels": tf.cast(tf.stack([ids, ids], -1), tf.uint8)})
        return state, buffer.sample(state, key, 6)

    keys, firsts = random.split(random.key(0), 3), tf.constant([0, 100, 200])
    together = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))
    copies = together(keys, firsts)
    for index in range(3):
        alone = run(keys[index], firsts[index])
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_array_equal(one, many[index])


@pytest.mark.parametrize(("added", "drawn"), [(16, 32), (1, 1), (1, 32), (16, 1)])
def test_a_compiled_step_updates_in_place(added, drawn):
    capacity = 20_011
    buffer = replay.uniform(capacity, {"x": tf.TensorSpec([3], tf.float32), "y": tf.TensorSpec([], tf.uint8)})

    def step(carry):
        state, key = carry
        drawn_key, key = tf.unstack(random.split(key))
        values = random.uniform(drawn_key, [added, 3])
        state = buffer.add(state, {"x": values, "y": tf.cast(values[:, 0] * 255, tf.uint8)})
        batch = buffer.sample(state, key, drawn).items
        return (state, key), {"mean": tf.reduce_mean(batch["x"]) + tf.reduce_mean(tf.cast(batch["y"], tf.float32))}

    assert_in_place(loops.compile(step, (buffer.init(), random.key(0))), capacity)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": np.zeros(2, np.float32)}, r"id is float32 \(2,\), expected int32 \[N\]"),
        ({"pixels": np.zeros((2, 3), np.uint8)}, r"pixels is uint8 \(2, 3\), expected uint8 \[N, 2\]"),
        ({"pixels": np.zeros((3, 2), np.uint8)}, r"different leading sizes \[N\]: id \(2,\), pixels \(3,\)"),
        ({"more": np.zeros(2)}, "items are a dict of id, more, pixels, expected a dict of id, pixels"),
    ],
)
def test_items_that_do_not_fit_are_refused_by_name(changes, message):
    buffer = replay.uniform(CAPACITY, SCALAR)
    assert_refuses(message, buffer.add, buffer.init(), {**numbered(0, 2), **changes})


def test_impossible_capacities_and_empty_buffers_are_refused():
    assert_refuses("capacity is 0", replay.uniform, 0, SCALAR)
    assert_refuses("capacity is 1073741825", replay.uniform, 2**30 + 1, SCALAR)
    buffer = replay.uniform(CAPACITY, SCALAR)
    with pytest.raises(ValueError, match="nothing to sample"):
        buffer.sample(buffer.init(), random.key(0), 2)
    state = buffer.add(buffer.init(), numbered(0, 1))
    assert_refuses("batch_size is 0, expected an integer in", buffer.sample, state, random.key(0), 0)
    assert_refuses("min_items is 6, but the buffer keeps no more than 5 items", buffer.is_ready, state, 6)


def test_a_sample_says_where_it_comes_from_and_weighs_all_alike():
    buffer = replay.uniform(CAPACITY, SCALAR)
    state = buffer.add(buffer.init(), numbered(0, 7))
    drawn = buffer.sample(state, random.key(0), 50, beta=0.5)
    np.testing.assert_array_equal(drawn.items["id"] % CAPACITY, drawn.slots)
    np.testing.assert_array_equal(drawn.weights, np.ones(50))
    assert drawn.weights.dtype == tf.float32


def test_there_are_no_priorities_to_update():
    buffer = replay.uniform(CAPACITY, SCALAR)
    state = buffer.add(buffer.init(), numbered(0, 3))
    assert buffer.update(state, [0, 1], [9.0, 1.0]) is state
    assert buffer.update(state, [0, 1]) is state


def test_it_is_ready_when_there_are_so_many_items_and_at_least_one():
    buffer = replay.uniform(CAPACITY, SCALAR)
    ready = compiled(buffer.is_ready)
    state, seen = buffer.init(), []
    for added in (0, 2, 1, 4):
        if added:
            state = buffer.add(state, numbered(0, added))
        seen.append([bool(ready(state, tf.constant(num))) for num in (-3, 0, 1, 3, 5)])
    assert seen == [
        [False, False, False, False, False],
        [True, True, True, False, False],
        [True, True, True, True, False],
        [True, True, True, True, True],
    ]
    assert bool(buffer.is_ready(state))
    assert not bool(buffer.is_ready(buffer.init(), 0))
