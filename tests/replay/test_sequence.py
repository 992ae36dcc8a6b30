import hypothesis
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, replay
from tests.replay.support import (
    MAX_OPERATIONS,
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

TIMES, SIZES = 6, (1, 2, 3, 6, 8)
TOTAL = MAX_OPERATIONS * max(SIZES)
START = tf.TensorSpec([2], tf.float32)
# streams, length, period
SHAPES = [(2, 3, 1), (1, 4, 2), (2, 2, 3), (1, 6, 1), (3, 1, 1), (1, 6, 6)]


def store_of(streams, length, period, start=True):
    return replay.sequences(
        streams * TIMES, SCALAR, num_streams=streams, length=length, period=period, start_spec=START if start else None
    )


def tape_of(streams):
    steps = numbered(0, [TOTAL, streams])
    return replay.Sequence(steps, np.stack([steps["id"] / 2, -steps["id"]], axis=-1).astype(np.float32))


def begins_of(used, length, period):
    return [t for t in range(max(0, used - TIMES), used - length + 1) if t % period == 0]


@pytest.mark.parametrize(("streams", "length", "period"), SHAPES)
def test_its_items_are_the_complete_sequences(streams, length, period):
    tape = tape_of(streams)
    device_tape = tf.nest.map_structure(tf.constant, tape)
    player = Player(store_of(streams, length, period), SIZES)

    @hypothesis.settings(many_examples, max_examples=many_examples.max_examples // len(SHAPES) + 1)
    @hypothesis.given(operations(len(SIZES)))
    def follows(ops):
        used, seen = player.play(ops, device_tape)
        begins = begins_of(used, length, period)
        cut = lambda leaf: (
            np.stack([leaf[t : t + length, b] for t in begins for b in range(streams)], axis=1)
            if begins
            else leaf[:length, :0]
        )
        first = lambda leaf: leaf[begins].reshape([-1, *leaf.shape[2:]])
        items = replay.Sequence(tf.nest.map_structure(cut, tape.steps), first(tape.start))
        kept = tf.nest.map_structure(
            lambda leaf: leaf[max(0, used - TIMES) : used].reshape([-1, *leaf.shape[2:]]), tape.steps
        )
        axes = replay.Sequence(tf.nest.map_structure(lambda _: 1, tape.steps), 0)
        assert_holds(seen, items, kept, axes)

    follows()


@pytest.mark.parametrize(("streams", "length", "period"), SHAPES)
@pytest.mark.parametrize("prioritized", [False, True])
def test_all_complete_sequences_are_sampled_alike_and_no_others(streams, length, period, prioritized):
    store = store_of(streams, length, period, start=False)
    buffer = replay.prioritized_from(store) if prioritized else replay.uniform_from(store)
    tape = tape_of(streams).steps

    @compiled
    def run(key):
        state = buffer.init()
        for begin, end in ((0, 2), (2, 5), (5, 6), (6, 12)):
            state = buffer.add(state, tf.nest.map_structure(lambda leaf, b=begin, e=end: leaf[b:e], tape))
        return buffer.sample(state, key, 5_000)

    drawn = run(random.key(0))
    steps = np.asarray(drawn.items.steps["id"])
    assert steps.shape == (length, 5_000)
    np.testing.assert_array_equal(np.diff(steps, axis=0), streams)
    possible = np.zeros(TOTAL * streams)
    for t in begins_of(12, length, period):
        possible[t * streams : (t + 1) * streams] = 1
    assert_frequencies(steps[0], possible)


def test_priorities_follow_the_sequences():
    # Ten times of one stream, six of them kept: sequences of three steps begin at times 4, 5, 6 and 7.
    store = store_of(1, 3, 1, start=False)
    buffer = replay.prioritized_from(store, alpha=1.0)
    tape = tape_of(1).steps
    part = lambda begin, end: tf.nest.map_structure(lambda leaf: leaf[begin:end], tape)
    state = buffer.add(buffer.init(), part(0, 8))
    np.testing.assert_array_equal(state.weights[0][:6], [0, 0, 1, 1, 1, 1])
    state = buffer.update(state, [2, 3, 4, 5], [2.0, 3.0, 4.0, 5.0])
    state = buffer.add(state, part(8, 9))  # takes away the sequence from time 2, completes that from time 6
    np.testing.assert_array_equal(state.weights[0][:6], [5, 0, 0, 3, 4, 5])
    # An update that comes too late does not bring a sequence back that is no longer there.
    state = buffer.update(state, [2, 1], [7.0, 7.0])
    np.testing.assert_array_equal(state.weights[0][:6], [5, 0, 0, 3, 4, 5])
    state = buffer.add(state, part(9, 20))
    np.testing.assert_array_equal(state.weights[0][:6] > 0, [False, False, True, True, True, True])


def test_a_compiled_step_updates_in_place():
    streams, capacity = 4, 20_000
    spec = {"x": tf.TensorSpec([3], tf.float32)}
    store = replay.sequences(capacity, spec, num_streams=streams, length=8, period=4, start_spec=START)
    buffer = replay.prioritized_from(store)

    def step(carry):
        state, key = carry
        keys = random.split(key, 3)
        added = replay.Sequence({"x": random.uniform(keys[0], [5, streams, 3])}, tf.zeros([5, streams, 2]))
        state = buffer.add(state, added)
        batch = buffer.sample(state, keys[1], 16)
        state = buffer.update(state, batch.slots, tf.reduce_sum(batch.items.steps["x"], [0, 2]))
        return (state, keys[2]), {"mean": tf.reduce_mean(batch.items.start)}

    program = loops.compile(step, (buffer.init(), random.key(0)))
    assert_in_place(program, capacity)
    assert_in_place(program, capacity // 4)


def test_copies_equal_single_buffers():
    buffer = replay.prioritized_from(store_of(2, 3, 2))

    def run(key, first):
        state = buffer.init()
        for size in (4, 5):
            tape = tape_of(2)
            part = tf.nest.map_structure(lambda leaf, s=size: leaf[:s] + tf.cast(first, leaf.dtype), tape)
            state = buffer.add(state, part)
        return state, buffer.sample(state, key, 6)

    keys, firsts = random.split(random.key(0), 3), tf.constant([0, 1, 2])
    copies = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))(
        keys, firsts
    )
    for index in range(3):
        alone = run(keys[index], firsts[index])
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_allclose(one, many[index], rtol=1e-6)


def test_bad_numbers_are_refused():
    make = lambda **changes: replay.sequences(
        **{"capacity": 12, "spec": SCALAR, "num_streams": 2, "length": 3, "period": 2, **changes}
    )
    assert_refuses(r"capacity is 14, expected a multiple of num_streams \* period = 4", make, capacity=14)
    told = "6 steps of each of 2 streams, expected the 7 steps of a sequence at least"
    assert_refuses(rf"capacity is 12, {told}", make, length=7)
    assert_refuses("length is 0", make, length=0)
    assert_refuses("period is 0", make, period=0)
    assert_refuses("num_streams is 0", make, num_streams=0)
    store = make()
    assert_refuses("items have 3 streams, expected num_streams = 2", store.add, store.init(), numbered(0, [4, 3]))
    assert_refuses(r"expected int32 \[T, B\]", store.add, store.init(), numbered(0, [4]))
    with pytest.raises(ValueError, match="nothing to sample"):
        replay.uniform_from(store).sample(store.add(store.init(), numbered(0, [2, 2]))[0], random.key(0), 1)
