import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from rl_fn import random, replay
from rl_fn.struct import Transition
from tests.replay.support import (
    MAX_OPERATIONS,
    Player,
    assert_holds,
    compiled,
    many_examples,
    operations,
)
from tests.support import assert_refuses

STREAMS, TIMES, SIZES, GAMMA = 2, 5, (1, 2, 4, 7), 0.5
TOTAL = MAX_OPERATIONS * max(SIZES)
NUMBER, FLAG = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool)
SPEC = Transition(
    observation={"id": tf.TensorSpec([], tf.int32)},
    action=tf.TensorSpec([2], tf.float32),
    reward=NUMBER,
    terminated=FLAG,
    truncated=FLAG,
    next_observation={"id": tf.TensorSpec([], tf.int32)},
    extras={"log_prob": NUMBER},
)


def tape_of(seed):
    # Rewards are eighths, and gamma a half: all sums are exact.
    rng = np.random.default_rng(seed)
    ids = np.arange(TOTAL * STREAMS, dtype=np.int32).reshape([TOTAL, STREAMS])
    return Transition(
        observation={"id": ids},
        action=np.stack([ids, -ids], axis=-1).astype(np.float32),
        reward=rng.integers(-8, 8, ids.shape).astype(np.float32) / 8,
        terminated=rng.random(ids.shape) < 0.15,
        truncated=rng.random(ids.shape) < 0.15,
        next_observation={"id": 10_000 + ids},
        extras={"log_prob": -ids.astype(np.float32)},
    )


TAPES = [tape_of(seed) for seed in range(8)]
DEVICE_TAPES = [tf.nest.map_structure(tf.constant, tape) for tape in TAPES]


def n_step_by_definition(tape, t, b, n):
    """The reward and the discount over n steps, and when the last of them was."""
    reward, discount = 0.0, 1.0
    for k in range(t, t + n):
        reward += discount * tape.reward[k, b]
        discount *= 0.0 if tape.terminated[k, b] else GAMMA
        if tape.terminated[k, b] or tape.truncated[k, b]:
            break
    return reward, discount, k


def all_by_definition(tape, begin, end, n):
    """The transitions over n steps from those of the times [begin, end), [T * B, ...]."""
    t, b = (grid.ravel() for grid in np.mgrid[begin:end, :STREAMS])
    found = [n_step_by_definition(tape, *place, n) for place in zip(t, b, strict=True)]
    reward, discount, last = np.array(found, np.float32).reshape([-1, 3]).T
    return replay.NStepTransition(
        observation={"id": tape.observation["id"][t, b]},
        action=tape.action[t, b],
        reward=reward,
        discount=discount,
        next_observation={"id": tape.next_observation["id"][last.astype(int), b]},
        extras={"log_prob": tape.extras["log_prob"][t, b]},
    )


def items_kept(ops, n):
    """From when to when the steps are items of `n_step_items`, in a ring of TIMES per stream."""
    begin = end = used = pending = 0
    for op in ops:
        num = [0, *SIZES, n - 1][op]
        is_cut = op > len(SIZES)
        if not is_cut:
            used += num
        end = max(end, used if is_cut else used - n + 1)
        # What is put together before there are n steps takes room as well.
        void = n - 1 - pending - (num - min(num, TIMES))
        begin = max(begin, end - TIMES + min(max(void, 0), min(num, TIMES)))
        pending = 0 if is_cut else min(pending + num, n - 1)
    return begin, max(end, begin)


@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("when", ["sampled", "added"])
def test_its_items_are_the_n_step_transitions(n, when):
    if when == "sampled":
        store = replay.n_step(STREAMS * TIMES, SPEC, num_streams=STREAMS, n=n, gamma=GAMMA)
    else:
        store = replay.n_step_items(STREAMS * TIMES, SPEC, num_streams=STREAMS, n=n, gamma=GAMMA)
    player = Player(store, SIZES, cuts=True)

    @hypothesis.settings(many_examples, max_examples=many_examples.max_examples // 3 + 1)
    @hypothesis.given(operations(len(SIZES) + 1), strategies.integers(0, len(TAPES) - 1))
    def follows(ops, seed):
        used, seen = player.play(ops, DEVICE_TAPES[seed])
        tape = player.cut_at(ops, TAPES[seed])
        if when == "sampled":
            # The oldest n - 1 steps have room in the ring, and the newest are no items yet, cut or not.
            first = max(0, used - TIMES)
            items = all_by_definition(tape, first, max(first, used - n + 1), n)
            kept = tf.nest.map_structure(lambda leaf: leaf[first:used].reshape([-1, *leaf.shape[2:]]), tape)
        else:
            items = kept = all_by_definition(tape, *items_kept(ops, n), n)
        assert_holds(seen, items, kept)

    follows()


def test_both_ways_agree_when_sampled_by_priority():
    tape = TAPES[0]
    part = tf.nest.map_structure(lambda leaf: leaf[:4], tape)
    made = []
    for make in (replay.n_step, replay.n_step_items):
        buffer = replay.prioritized_from(make(40, SPEC, num_streams=STREAMS, n=2, gamma=tf.constant(GAMMA)))
        state = buffer.add(buffer.init(), part)
        assert int(tf.math.count_nonzero(state.weights[0])) == 3 * STREAMS
        made.append(compiled(lambda key, b=buffer, s=state: b.sample(s, key, 16))(random.key(3)))
    for one, other in zip(tf.nest.flatten(made[0]), tf.nest.flatten(made[1]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [replay.n_step, replay.n_step_items])
def test_copies_equal_single_buffers(make):
    def run(key, gamma, reward):
        buffer = replay.uniform_from(make(10, SPEC, num_streams=STREAMS, n=3, gamma=gamma))
        part = tf.nest.map_structure(lambda leaf: leaf[:4], DEVICE_TAPES[0])
        state = buffer.cut(buffer.add(buffer.init(), part._replace(reward=part.reward + reward)))
        state = buffer.add(state, tf.nest.map_structure(lambda leaf: leaf[4:6], DEVICE_TAPES[0]))
        return state, buffer.sample(state, key, 6)

    args = random.split(random.key(0), 3), tf.constant([0.5, 0.25, 1.0]), tf.constant([0.0, 1.0, 2.0])
    copies = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))(
        *args
    )
    for index in range(3):
        alone = run(*(arg[index] for arg in args))
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_allclose(one, many[index], rtol=1e-6)


def test_bad_numbers_are_refused():
    for make in (replay.n_step, replay.n_step_items):
        assert_refuses("n is 0", make, 10, SPEC, num_streams=2, n=0, gamma=0.9)
        store = make(12, SPEC, num_streams=3, n=2, gamma=0.9)
        part = tf.nest.map_structure(lambda leaf: leaf[:4], TAPES[0])
        assert_refuses("items have 2 streams, expected num_streams = 3", store.add, store.init(), part)
        assert_refuses(r"gamma is 99, expected a number in \[0, 1\]", make, 10, SPEC, num_streams=2, n=1, gamma=99.0)
        assert_refuses("spec is a dict, expected a Transition", make, 10, {}, num_streams=2, n=1, gamma=0.9)
    of_five = lambda n: replay.n_step(10, SPEC, num_streams=2, n=n, gamma=0.9)
    assert_refuses(r"n is 6, expected an integer in \[1, 5\]", of_five, 6)
