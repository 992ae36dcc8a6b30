import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from rl_fn import loops, random, replay
from rl_fn._src.scan import scan
from tests.replay.support import (
    MAX_OPERATIONS,
    SCALAR,
    assert_frequencies,
    assert_in_place,
    compiled,
    many_examples,
    numbered,
    operations,
    padded,
    slice_of,
)
from tests.support import assert_refuses

CAPACITY, SIZES, UPDATE, DRAWS = 5, (1, 3, 5, 8), 4, 8
TAPE = tf.nest.map_structure(tf.constant, numbered(0, MAX_OPERATIONS * max(SIZES)))
BUFFERS = {
    "proportional": replay.prioritized(CAPACITY, SCALAR, alpha=0.5),
    "rank": replay.rank_prioritized(CAPACITY, SCALAR, alpha=0.5),
}


def player(buffer):
    """Operation i adds SIZES[i - 1] items; the one after these updates priorities."""

    def play(ops, slots, priorities, key):
        def step(carry, xs):
            op, slots, priorities = xs
            state, used = carry
            grow = lambda size: (buffer.add(state, slice_of(TAPE, used, size)), used + size)
            branches = [lambda: carry, *(lambda s=size: grow(s) for size in SIZES)]
            return tf.switch_case(op, [*branches, lambda: (buffer.update(state, slots, priorities), used)]), None

        (state, _), _ = scan(step, (buffer.init(), tf.constant(0)), (ops, slots, priorities))
        ready = [buffer.is_ready(state), buffer.is_ready(state, 3)]
        return state.weights, state.max_priority, buffer.sample(state, key, DRAWS, beta=0.5), ready

    return compiled(play)


PLAYERS = {name: player(buffer) for name, buffer in BUFFERS.items()}


class Model:
    """Items by their number, and the priority of each."""

    def __init__(self):
        self.added, self.priorities, self.highest = 0, {}, 1.0

    def add(self, size):
        for item in range(self.added, self.added + size):
            self.priorities[item] = self.highest
        self.added += size
        self.priorities = {item: p for item, p in self.priorities.items() if item >= self.added - CAPACITY}

    def update(self, slots, priorities):
        for slot, priority in zip(slots, priorities, strict=True):
            for item in self.priorities:
                if item % CAPACITY == slot and 0 <= priority < np.inf:
                    self.priorities[item] = priority
                    self.highest = max(self.highest, priority)

    def by_slot(self):
        held = np.zeros(CAPACITY)
        for item, priority in self.priorities.items():
            held[item % CAPACITY] = priority
        return held

    def probabilities(self, name):
        held = self.by_slot()
        if name == "proportional":
            return np.sqrt(held) / np.sqrt(held).sum()
        order = np.argsort(-held, kind="stable")
        chances = np.zeros(CAPACITY)
        chances[order] = np.arange(1, CAPACITY + 1) ** -0.5
        chances[held == 0] = 0
        return chances / chances.sum()


@pytest.mark.parametrize("name", BUFFERS)
def test_it_follows_the_model(name):
    @many_examples
    @hypothesis.given(operations(len(SIZES) + 1), strategies.integers(0, 2**31))
    def follows(ops, seed):
        rng = np.random.default_rng(seed)
        slots = rng.integers(-1, CAPACITY + 1, [MAX_OPERATIONS, UPDATE]).astype(np.int32)
        choices = np.float32([0.0, 0.25, 0.25, 1.0, 3.0, 9.0, -1.0, np.nan, np.inf])
        priorities = rng.choice(choices, [MAX_OPERATIONS, UPDATE])
        model = Model()
        for op, op_slots, op_priorities in zip(ops, slots, priorities, strict=False):
            if op > len(SIZES):
                model.update(op_slots, op_priorities)
            else:
                model.add(SIZES[op - 1])
        key = tf.constant([0, seed], tf.uint32)
        weights, highest, drawn, ready = tf.nest.map_structure(
            np.asarray, PLAYERS[name](padded(ops), slots, priorities, key)
        )
        held = model.by_slot()
        np.testing.assert_allclose(weights[0][:CAPACITY], np.sqrt(held) if name == "proportional" else held, rtol=1e-6)
        assert highest == model.highest
        assert ready == [bool(held.any()), len(model.priorities) >= 3 and bool(held.any())]
        assert np.isfinite(drawn.weights).all()
        if held.any():
            chances = model.probabilities(name)
            assert (chances[drawn.slots] > 0).all()
            expected = (len(model.priorities) * chances[drawn.slots]) ** -0.5
            np.testing.assert_allclose(drawn.weights, expected / expected.max(), rtol=1e-5)
            np.testing.assert_array_equal(drawn.items["id"] % CAPACITY, drawn.slots)
            assert set(drawn.items["id"]) <= set(model.priorities)

    follows()


@pytest.mark.parametrize("name", BUFFERS)
def test_sampling_frequencies(name):
    buffer, model = BUFFERS[name], Model()
    state = buffer.add(buffer.init(), numbered(0, 7))
    state = buffer.update(state, [0, 1, 2, 3], [4.0, 0.0, 0.3, 4.0])
    model.add(7)
    model.update([0, 1, 2, 3], [4.0, 0.0, 0.3, 4.0])
    drawn = compiled(lambda key: buffer.sample(state, key, 20_000))(random.key(0))
    assert_frequencies(drawn.slots, model.probabilities(name))


@pytest.mark.parametrize("name", BUFFERS)
def test_beta_and_alpha_may_be_tensors_and_do_what_they_say(name):
    state = BUFFERS[name].add(BUFFERS[name].init(), numbered(0, CAPACITY))
    state = BUFFERS[name].update(state, [0, 1, 2], [9.0, 4.0, 0.01])
    model = Model()
    model.add(CAPACITY)
    model.update([0, 1, 2], [9.0, 4.0, 0.01])
    none = BUFFERS[name].sample(state, random.key(0), 50, beta=tf.constant(0.0))
    np.testing.assert_allclose(none.weights, 1.0)
    full = BUFFERS[name].sample(state, random.key(0), 50, beta=1.0)
    chances = model.probabilities(name)[full.slots]
    np.testing.assert_allclose(full.weights * chances, np.full(50, chances.min()), rtol=1e-5)
    if name == "proportional":
        flat = replay.prioritized(CAPACITY, SCALAR, alpha=tf.constant(0.0))
        state = flat.update(flat.add(flat.init(), numbered(0, CAPACITY)), [0, 1], [9.0, 0.01])
        np.testing.assert_allclose(flat.sample(state, random.key(0), 8).weights, np.ones(8), rtol=1e-6)
        assert_frequencies(flat.sample(state, random.key(0), 1_000).slots, np.ones(CAPACITY))


@pytest.mark.parametrize("name", BUFFERS)
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_an_empty_buffer_gives_numbers_and_takes_nothing(name, beta):
    buffer = BUFFERS[name]

    @compiled
    def run(state, key):
        drawn = buffer.sample(state, key, DRAWS, beta)
        return drawn, buffer.is_ready(state), buffer.update(state, drawn.slots, tf.fill([DRAWS], 7.0))

    empty = buffer.init()
    drawn, ready, after = run(empty, random.key(0))
    assert not ready
    np.testing.assert_allclose(drawn.weights, np.ones(DRAWS), rtol=1e-5)
    for one, other in zip(tf.nest.flatten(after), tf.nest.flatten(empty), strict=True):
        np.testing.assert_array_equal(one, other)
    # The same where there are items of which none can be drawn: then their priorities change.
    state = buffer.update(buffer.add(empty, numbered(0, 2)), [0, 1], [0.0, 0.0])
    drawn, ready, after = run(state, random.key(0))
    assert not ready
    np.testing.assert_allclose(drawn.weights, np.ones(DRAWS), rtol=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in tf.nest.flatten(after))


def test_a_slot_of_minus_one_is_none():
    buffer = BUFFERS["proportional"]
    state = buffer.add(buffer.init(), numbered(0, 3))
    for update in (buffer.update, compiled(buffer.update)):
        after = update(state, tf.constant([-1, 1, -1]), tf.constant([9.0, 4.0, 9.0]))
        np.testing.assert_allclose(after.weights[0][:CAPACITY], [1.0, 2.0, 1.0, 0.0, 0.0])
        assert after.max_priority == 4.0


def test_new_items_come_in_at_the_highest_priority():
    buffer = replay.prioritized(4, SCALAR, alpha=1.0)
    state = buffer.update(buffer.add(buffer.init(), numbered(0, 2)), [0, 0], [50.0, 0.5])
    state = buffer.add(state, numbered(2, 1))
    np.testing.assert_allclose(state.weights[0][:4], [0.5, 1.0, 50.0, 0.0])


def test_extreme_priorities_keep_the_sum_finite_and_the_small_ones_possible():
    buffer = replay.prioritized(3, SCALAR, alpha=2.0)
    state = buffer.add(buffer.init(), numbered(0, 3))
    state = buffer.update(state, [0, 1, 2], [3e38, 1e-30, 0.0])
    drawn = buffer.sample(state, random.key(0), 8)
    assert np.isfinite(drawn.weights).all()
    assert set(np.asarray(drawn.slots)) == {0}
    state = buffer.update(state, [0], [0.0])
    assert set(np.asarray(buffer.sample(state, random.key(0), 8).slots)) == {1}


def test_copies_equal_single_buffers():
    def run(key, priority):
        for buffer in BUFFERS.values():
            state = buffer.add(buffer.init(), tf.nest.map_structure(tf.constant, numbered(0, 4)))
            state = buffer.update(state, tf.constant([1, 2, 1]), tf.stack([9.0, 2.0, priority]))
            yield state, buffer.sample(state, key, 6)

    keys, priorities = random.split(random.key(0), 3), tf.constant([0.0, 2.0, 7.0])
    together = compiled(
        lambda *args: tf.vectorized_map(lambda copy: list(run(*copy)), args, fallback_to_while_loop=False)
    )
    copies = together(keys, priorities)
    for index in range(3):
        alone = list(run(keys[index], priorities[index]))
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_allclose(one, many[index], rtol=1e-6)


@pytest.mark.parametrize(("weighted", "added", "drawn"), [(True, 16, 32), (False, 16, 32), (False, 1, 1)])
def test_a_compiled_step_updates_in_place(weighted, added, drawn):
    capacity = 20_008
    buffer = replay.prioritized(capacity, {"x": tf.TensorSpec([3], tf.float32)})

    def step(carry):
        state, key = carry
        keys = random.split(key)
        state = buffer.add(state, {"x": random.uniform(keys[0], [added, 3])})
        ready = buffer.is_ready(state, 100)
        batch = buffer.sample(state, keys[1], drawn)
        priorities = batch.items["x"][:, 0]
        slots = tf.where(ready, batch.slots, -1)
        state = buffer.update(state, slots, priorities * batch.weights if weighted else priorities)
        return (state, keys[0]), {"mean": tf.reduce_mean(batch.weights)}

    assert_in_place(loops.compile(step, (buffer.init(), random.key(0))), capacity)


@pytest.mark.parametrize("name", BUFFERS)
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_bad_priorities_are_refused(name, bad):
    state = BUFFERS[name].add(BUFFERS[name].init(), numbered(0, 3))
    assert_refuses(f"priorities hold {bad}", BUFFERS[name].update, state, [0, 1], [1.0, bad])


def test_other_bad_inputs_are_refused_by_name():
    buffer = BUFFERS["proportional"]
    state = buffer.add(buffer.init(), numbered(0, 3))
    assert_refuses(r"slots hold 5, expected values in \[0, 5\)", buffer.update, state, [0, 5], [1.0, 1.0])
    assert_refuses(r"slots hold -2, expected .* or -1 for none", buffer.update, state, [0, -2], [1.0, 1.0])
    assert_refuses("priorities are None, but this buffer samples by them", buffer.update, state, [0], None)
    assert_refuses(r"slots have shape \(2,\) and priorities \(1,\)", buffer.update, state, [0, 1], [1.0])
    assert_refuses("slots are float32", buffer.update, state, [0.0], [1.0])
    assert_refuses(r"alpha is -1, expected a number in \[0, inf\)", replay.prioritized, 3, SCALAR, -1.0)
    assert_refuses(r"alpha is -1", replay.rank_prioritized, 3, SCALAR, -1.0)
    assert_refuses("alpha is a tensor, expected a number", replay.rank_prioritized, 3, SCALAR, tf.constant(0.5))
    assert_refuses("batch_size is 0", buffer.sample, state, random.key(0), 0)
    assert_refuses("min_items is 6, but the buffer keeps no more than 5", buffer.is_ready, state, 6)
    assert_refuses(r"beta is 1.5, expected a number in \[0, 1\]", buffer.sample, state, random.key(0), 2, 1.5)
    with pytest.raises(ValueError, match="nothing to sample"):
        buffer.sample(buffer.init(), random.key(0), 2)
