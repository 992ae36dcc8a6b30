import hypothesis
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, replay
from rl_fn._src.scan import scan
from tests.replay.support import (
    MAX_OPERATIONS,
    SCALAR,
    assert_in_place,
    compiled,
    many_examples,
    numbered,
    operations,
    padded,
    slice_of,
)
from tests.support import assert_refuses

CAPACITY, ADD, TAKE = 5, (1, 3, 5), (1, 2, 4)
QUEUE = replay.queue(CAPACITY, SCALAR)
TAPE = tf.nest.map_structure(tf.constant, numbered(0, MAX_OPERATIONS * max(ADD)))


@compiled
def play(ops):
    """Operations add ADD[op - 1] items, then take TAKE[op - 4]; returns the ids that were taken."""

    def step(carry, op):
        state, used = carry

        def add(size):
            return QUEUE.add(state, slice_of(TAPE, used, size)), used + size, tf.fill([max(TAKE)], -1)

        def take(size):
            taken_state, taken = QUEUE.take(state, size)
            ids = tf.where(taken.is_item, taken.items["id"], -1 - tf.abs(taken.items["id"]))
            return taken_state, used, tf.pad(ids, [[0, max(TAKE) - size]], constant_values=-1)

        branches = [lambda: (state, used, tf.fill([max(TAKE)], -1))]
        branches += [lambda s=size: add(s) for size in ADD] + [lambda s=size: take(s) for size in TAKE]
        state, used, ids = tf.switch_case(op, branches)
        return (state, used), ids

    return scan(step, (QUEUE.init(), tf.constant(0)), ops)


@many_examples
@hypothesis.given(operations(len(ADD) + len(TAKE)))
def test_it_is_a_list_that_is_taken_from_the_front(ops):
    (state, _), taken = play(padded(ops))
    model, used = [], 0
    for op, ids in zip(ops, np.asarray(taken), strict=False):
        if op <= len(ADD):
            model = [*model, *range(used, used + ADD[op - 1])][-CAPACITY:]
            used += ADD[op - 1]
            assert (ids == -1).all()
        else:
            size = TAKE[op - 1 - len(ADD)]
            assert list(ids[:size]) == [*model[:size], *[-1] * size][:size]
            model = model[size:]
    assert int(state.size) == len(model)
    assert [bool(QUEUE.is_ready(state, num)) for num in (1, 3)] == [len(model) >= 1, len(model) >= 3]


def test_copies_equal_single_queues():
    def run(first):
        ids = first + tf.range(4)
        state = QUEUE.add(QUEUE.init(), {"id": ids, "pixels": tf.zeros([4, 2], tf.uint8)})
        return QUEUE.take(state, 3)

    firsts = tf.constant([0, 10, 20])
    copies = compiled(lambda args: tf.vectorized_map(run, args, fallback_to_while_loop=False))(firsts)
    for index in range(3):
        for one, many in zip(tf.nest.flatten(run(firsts[index])), tf.nest.flatten(copies), strict=True):
            np.testing.assert_array_equal(one, many[index])


def test_a_compiled_step_updates_in_place():
    capacity = 20_011
    queue = replay.queue(capacity, {"x": tf.TensorSpec([3], tf.float32)})

    def step(carry):
        state, key = carry
        state = queue.add(state, {"x": random.uniform(key, [8, 3])})
        state, taken = queue.take(state, 8)
        return (state, random.fold_in(key, 0)), {"mean": tf.reduce_mean(taken.items["x"])}

    assert_in_place(loops.compile(step, (queue.init(), random.key(0))), capacity)


def test_what_does_not_fit_is_refused():
    state = QUEUE.add(QUEUE.init(), numbered(0, 3))
    with pytest.raises(ValueError, match="3 items do not fit: it holds 3 of at most 5"):
        QUEUE.add(state, numbered(3, 3))
    with pytest.raises(ValueError, match="4 items are wanted, it holds 3"):
        QUEUE.take(state, 4)
    assert_refuses("6 items do not fit", QUEUE.add, QUEUE.init(), numbered(0, 6))
    assert_refuses("capacity is 0", replay.queue, 0, SCALAR)
    assert_refuses("6 items are waited for, but it holds at most 5", QUEUE.is_ready, QUEUE.init(), 6)
