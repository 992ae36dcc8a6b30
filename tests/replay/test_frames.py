import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from rl_fn import loops, random, replay
from rl_fn.struct import Transition
from tests.replay.support import (
    MAX_OPERATIONS,
    Player,
    assert_holds,
    assert_in_place,
    compiled,
    many_examples,
    operations,
)
from tests.support import assert_refuses

STREAMS, SIZES, DEPTH, FRAMES, TIMES = 2, (1, 2, 4), 3, 24, 9
TOTAL = MAX_OPERATIONS * max(SIZES)


def spec_of(frame, depth=DEPTH, stack_axis=-1):
    shape = list(frame)
    shape.insert(stack_axis % (len(frame) + 1), depth)
    observation = tf.TensorSpec(shape, tf.uint8)
    flag = tf.TensorSpec([], tf.bool)
    return Transition(
        observation, tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32), flag, flag, observation, extras={}
    )


SPEC = spec_of([2])


def store_of(padding="first", make=replay.steps, streams=STREAMS, **options):
    return replay.frames(
        FRAMES,
        SPEC,
        num_streams=streams,
        make_store=lambda spec: make(streams * TIMES, spec, num_streams=streams, **options),
        padding=padding,
    )


def tape_of(seed, padding, ends=0.3):
    """Every frame is another: its two pixels are its number. Also returns the frames of each observation.

    Frames are numbered in the order in which the buffer has to keep them; -1 is a blank one.
    """
    rng = np.random.default_rng(seed)
    is_last = rng.random([TOTAL, STREAMS]) < ends
    numbers = np.zeros([TOTAL, STREAMS, 2, DEPTH], int)  # of the observation and of the next one
    written, history = 0, [[] for _ in range(STREAMS)]
    frames_after = []
    for t in range(TOTAL):
        for b in range(STREAMS):
            if not history[b]:
                history[b] = [written]
                written += 1
            for which in range(2):
                if which:
                    history[b].append(written)
                    written += 1
                pad = history[b][0] if padding == "first" else -1
                numbers[t, b, which] = ([pad] * DEPTH + history[b])[-DEPTH:]
            if is_last[t, b]:
                history[b] = []
        frames_after.append(written)
    pixels = np.where(numbers[..., None, :] < 0, 0, np.stack([numbers // 200, numbers % 200 + 1], axis=-2))
    pixels = pixels.astype(np.uint8)
    ids = np.arange(TOTAL * STREAMS, dtype=np.int32).reshape([TOTAL, STREAMS])
    terminated = is_last & (rng.random(is_last.shape) < 0.5)
    tape = Transition(
        observation=pixels[:, :, 0],
        action=ids,
        reward=ids.astype(np.float32) / 2,
        terminated=terminated,
        truncated=is_last & ~terminated,
        next_observation=pixels[:, :, 1],
        extras={},
    )
    return tape, numbers, np.array(frames_after)


def first_kept(numbers, frames_after, used):
    """The oldest time from which on all frames of all steps are still there."""
    if not used:
        return 0
    oldest_frame = frames_after[used - 1] - FRAMES
    lost = [t for t in range(used) if ((numbers[t] >= 0) & (numbers[t] < oldest_frame)).any()]
    return max([used - TIMES, 0, *(t + 1 for t in lost)])


CASES = {
    (padding, seed): tape_of(seed, padding, ends)
    for padding in ("first", "zeros")
    for seed, ends in enumerate([0.0, 0.1, 0.3, 0.5, 1.0])
}
DEVICE_TAPES = {case: tf.nest.map_structure(tf.constant, tape) for case, (tape, _, _) in CASES.items()}


@pytest.mark.parametrize("padding", ["first", "zeros"])
def test_it_holds_the_steps_whose_frames_are_all_there(padding):
    player = Player(store_of(padding), SIZES)

    @hypothesis.settings(many_examples, max_examples=many_examples.max_examples // 2)
    @hypothesis.given(operations(len(SIZES)), strategies.integers(0, 4))
    def follows(ops, seed):
        tape, numbers, frames_after = CASES[padding, seed]
        used, seen = player.play(ops, DEVICE_TAPES[padding, seed])
        first = first_kept(numbers, frames_after, used)
        kept = tf.nest.map_structure(lambda leaf: leaf[first:used].reshape([-1, *leaf.shape[2:]]), tape)
        assert_holds(seen, kept, kept)

    follows()


def test_n_step_transitions_and_sequences_of_stacks():
    tape, _, _ = CASES["first", 2]
    part = tf.nest.map_structure(lambda leaf: leaf[:4], tape)
    for make, options in ((replay.n_step, {"n": 2, "gamma": 0.5}), (replay.sequences, {"length": 2})):
        store = store_of(make=make, **options)
        plain = make(STREAMS * TIMES, SPEC, num_streams=STREAMS, **options)
        state, expected = store.add(store.init(), part)[0], plain.add(plain.init(), part)[0]
        oldest = tf.range(store.count(state))
        assert int(store.count(state)) > 0
        later = int(plain.count(expected)) - int(store.count(state))
        read = store.read(state, store.nth(state, oldest), random.key(0))
        wanted = plain.read(expected, plain.nth(expected, oldest + later), random.key(0))
        for one, other in zip(tf.nest.flatten(read), tf.nest.flatten(wanted), strict=True):
            np.testing.assert_array_equal(one, other)


def test_priorities_leave_with_the_frames():
    tape, numbers, frames_after = CASES["first", 3]
    buffer = replay.prioritized_from(store_of())
    state = buffer.init()
    for begin in range(0, 20, 4):
        state = buffer.add(state, tf.nest.map_structure(lambda leaf, b=begin: leaf[b : b + 4], tape))
        first = first_kept(numbers, frames_after, begin + 4)
        slots = np.arange(first * STREAMS, (begin + 4) * STREAMS) % (STREAMS * TIMES)
        assert set(np.flatnonzero(state.weights[0])) == set(slots)
    drawn = buffer.sample(state, random.key(0), 100)
    assert set(np.asarray(drawn.items.action)) <= set(range(first * STREAMS, 20 * STREAMS))


@pytest.mark.parametrize("stack_axis", [0, 1, -1])
def test_frames_may_be_stacked_along_any_axis(stack_axis):
    spec = spec_of([5, 4], 2, stack_axis)
    make = lambda inner: replay.steps(10, inner, num_streams=1)
    store = replay.frames(12, spec, num_streams=1, make_store=make, stack_axis=stack_axis)
    shown = np.random.default_rng(0).integers(0, 256, [5, 5, 4], np.uint8)
    stacks = np.stack([shown[:-1], shown[1:]])
    observation = np.moveaxis(np.concatenate([shown[:1], shown[:-1]])[:4], 0, 0)
    stack = lambda old, new: np.stack([old, new], axis=stack_axis if stack_axis < 0 else stack_axis + 1)[:, None]
    ids = np.arange(4, dtype=np.int32)[:, None]
    no = np.zeros([4, 1], bool)
    steps = Transition(
        stack(observation, stacks[0]), ids, ids.astype(np.float32), no, no, stack(stacks[0], stacks[1]), {}
    )
    state, _ = store.add(store.init(), steps)
    for one, other in zip(tf.nest.flatten(store.read_rows(state, tf.range(4))), tf.nest.flatten(steps), strict=True):
        np.testing.assert_array_equal(one, other[:, 0])


def test_a_million_frames_take_hardly_more_than_their_bytes():
    spec = spec_of([84, 84], 4)
    store = replay.frames(
        1_000_000,
        spec,
        num_streams=8,
        make_store=lambda inner: replay.n_step(1_000_000, inner, num_streams=8, n=3, gamma=0.99),
    )
    buffer = replay.prioritized_from(store)
    state = tf.function(buffer.init).get_concrete_function().structured_outputs
    taken = sum(leaf.shape.num_elements() * leaf.dtype.size for leaf in tf.nest.flatten(state))
    assert taken <= 1.05 * 1_000_000 * 84 * 84


def test_a_compiled_step_updates_in_place():
    capacity = 5_003
    spec = spec_of([6, 6], 4)
    make = lambda inner: replay.n_step(4_000, inner, num_streams=4, n=2, gamma=0.9)
    buffer = replay.prioritized_from(replay.frames(capacity, spec, num_streams=4, make_store=make))

    def step(carry):
        state, key = carry
        keys = random.split(key, 4)
        pixels = tf.cast(random.uniform(keys[0], [2, 2, 4, 6, 6, 4], 0.0, 255.0), tf.uint8)
        last = random.bernoulli(keys[1], tf.fill([2, 4], 0.1))
        zeros = tf.zeros([2, 4])
        added = Transition(pixels[0], tf.cast(zeros, tf.int32), zeros, last, last & False, pixels[1], {})
        state = buffer.add(state, added)
        batch = buffer.sample(state, keys[2], 16)
        state = buffer.update(state, batch.slots, tf.cast(batch.items.observation[:, 0, 0, 0], tf.float32))
        return (state, keys[3]), {"mean": tf.reduce_mean(tf.cast(batch.items.next_observation, tf.float32))}

    program = loops.compile(step, (buffer.init(), random.key(0)))
    assert_in_place(program, capacity + 1)
    assert_in_place(program, 4_000)


def test_copies_equal_single_buffers():
    buffer = replay.uniform_from(store_of())

    def run(key, tape):
        state = buffer.init()
        for begin, end in ((0, 3), (3, 7)):
            state = buffer.cut(state)
            state = buffer.add(state, tf.nest.map_structure(lambda leaf, b=begin, e=end: leaf[b:e], tape))
        return state, buffer.sample(state, key, 6)

    keys = random.split(random.key(0), 3)
    tapes = tf.nest.map_structure(
        lambda *leaves: tf.stack(leaves), *(DEVICE_TAPES["first", seed] for seed in (1, 2, 3))
    )
    copies = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))(
        keys, tapes
    )
    for index in range(3):
        alone = run(keys[index], tf.nest.map_structure(lambda leaf, i=index: leaf[i], tapes))
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_array_equal(one, many[index])


def test_bad_inputs_are_refused():
    make = lambda inner: replay.steps(10, inner, num_streams=1)
    assert_refuses("padding is 'last'", replay.frames, 9, SPEC, num_streams=1, make_store=make, padding="last")
    assert_refuses("with axis 2", replay.frames, 9, SPEC, num_streams=1, make_store=make, stack_axis=2)
    assert_refuses("spec is a dict, expected a Transition", replay.frames, 9, {}, num_streams=1, make_store=make)
    nested = SPEC._replace(observation={"image": SPEC.observation})
    assert_refuses("expected a tensor", replay.frames, 9, nested, num_streams=1, make_store=make)
    assert_refuses("the store has 1 streams, expected 2", replay.frames, 9, SPEC, num_streams=2, make_store=make)
    loose = lambda inner: replay.items(10, inner)
    assert_refuses("the store has None streams", replay.frames, 9, SPEC, num_streams=2, make_store=loose)
    store = store_of()
    part = lambda length: tf.nest.map_structure(lambda leaf: leaf[:length], CASES["first", 0][0])
    assert_refuses("5 steps of 2 streams may not fit into 24 frames", store.add, store.init(), part(5))
    store = store_of(streams=1)
    assert_refuses("items have 2 streams, expected num_streams = 1", store.add, store.init(), part(2))
