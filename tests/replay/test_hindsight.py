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
    assert_frequencies,
    assert_holds,
    assert_in_place,
    compiled,
    many_examples,
    operations,
)
from tests.support import assert_refuses

STREAMS, TIMES, SIZES = 2, 7, (1, 2, 4, 9)
TOTAL = MAX_OPERATIONS * max(SIZES)
GOAL, FLAG = tf.TensorSpec([1], tf.float32), tf.TensorSpec([], tf.bool)
OBSERVATION = {"observation": tf.TensorSpec([], tf.int32), "achieved_goal": GOAL, "desired_goal": GOAL}
SPEC = Transition(
    observation=OBSERVATION,
    action=tf.TensorSpec([], tf.int32),
    reward=tf.TensorSpec([], tf.float32),
    terminated=FLAG,
    truncated=FLAG,
    next_observation=OBSERVATION,
    extras={},
)


def distance(achieved, desired):
    return -abs(achieved - desired)[..., 0]


def arrived(achieved, desired):
    return (achieved == desired)[..., 0]


def tape_of(seed, length=TOTAL, streams=STREAMS, ends=0.3):
    """Positions are numbers that never repeat, so a goal says which step it comes from."""
    rng = np.random.default_rng(seed)
    ids = np.arange(length * streams, dtype=np.int32).reshape([length, streams])
    goal = np.full([*ids.shape, 1], -1.0, np.float32)
    here = lambda offset: {
        "observation": ids,
        "achieved_goal": (ids[..., None] + offset).astype(np.float32),
        "desired_goal": goal,
    }
    return Transition(
        observation=here(0.25),
        action=ids,
        reward=np.full(ids.shape, -100, np.float32),
        terminated=rng.random(ids.shape) < ends / 2,
        truncated=rng.random(ids.shape) < ends / 2,
        next_observation=here(0.0),
        extras={},
    )


TAPES = [tape_of(seed) for seed in range(8)]
DEVICE_TAPES = [tf.nest.map_structure(tf.constant, tape) for tape in TAPES]


def store_of(strategy="future", ratio=1.0, streams=STREAMS, times=TIMES, **options):
    return replay.hindsight(
        streams * times, SPEC, num_streams=streams, reward_fn=distance, strategy=strategy, ratio=ratio, **options
    )


def episode_of(tape, t, b, first, last):
    """The times of the episode of a step that are in [first, last)."""
    is_last = tape.terminated[:, b] | tape.truncated[:, b]
    begin = t
    while begin > first and not is_last[begin - 1]:
        begin -= 1
    end = t
    while end < last - 1 and not is_last[end]:
        end += 1
    return begin, end


PLAYER = Player(store_of("final", terminated_fn=arrived), SIZES, cuts=True)


@many_examples
@hypothesis.given(operations(len(SIZES) + 1), strategies.integers(0, len(TAPES) - 1))
def test_the_last_achievement_becomes_the_goal(ops, seed):
    used, seen = PLAYER.play(ops, DEVICE_TAPES[seed])
    tape = PLAYER.cut_at(ops, TAPES[seed])
    first = max(0, used - TIMES)
    kept = tf.nest.map_structure(lambda leaf: leaf[first:used].reshape([-1, *leaf.shape[2:]]), tape)
    times, streams = (grid[first:used].ravel() for grid in np.indices([TOTAL, STREAMS]))
    ends = [episode_of(tape, t, b, first, used)[1] for t, b in zip(times, streams, strict=True)]
    goal = tape.next_observation["achieved_goal"][ends, streams]
    items = kept._replace(
        observation={**kept.observation, "desired_goal": goal},
        next_observation={**kept.next_observation, "desired_goal": goal},
        reward=distance(kept.next_observation["achieved_goal"], goal),
        terminated=arrived(kept.next_observation["achieved_goal"], goal),
    )
    assert_holds(seen, items, kept)


@pytest.mark.parametrize("strategy", ["future", "episode"])
def test_goals_are_drawn_evenly_from_the_steps_allowed(strategy):
    store = store_of(strategy, streams=1, times=12)
    tape = tape_of(0, 15, 1, ends=0.0)
    tape.terminated[[5, 11]] = True  # of times 3 ... 14, the episodes are 3 ... 5, 6 ... 11 and 12 ... 14
    state, _ = store.add(store.init(), tf.nest.map_structure(lambda leaf: leaf[:9], tape))
    state, _ = store.add(state, tf.nest.map_structure(lambda leaf: leaf[9:], tape))
    read = compiled(lambda slots, key: store.read(state, slots, key).next_observation["desired_goal"])
    for t in range(3, 15):
        slots = tf.fill([2_000], t % 12)
        goals = np.asarray(read(slots, random.key(t)))[:, 0].astype(int)
        begin, end = episode_of(tape, t, 0, 3, 15)
        allowed = np.zeros(15)
        allowed[t if strategy == "future" else begin : end + 1] = 1
        assert_frequencies(goals, allowed)


def test_a_share_of_the_items_keeps_its_goal_and_reward():
    store = store_of(ratio=0.75)
    state, _ = store.add(store.init(), tf.nest.map_structure(lambda leaf: leaf[:7], TAPES[0]))
    items = replay.uniform_from(store).sample(state, random.key(0), 4_000).items
    kept = np.asarray(items.observation["desired_goal"])[:, 0] == -1
    assert_frequencies(kept.astype(int), np.array([0.75, 0.25]))
    np.testing.assert_array_equal(np.asarray(items.reward) == -100, kept)
    np.testing.assert_array_equal(items.observation["desired_goal"], items.next_observation["desired_goal"])


def test_copies_equal_single_buffers():
    buffer = replay.prioritized_from(store_of(ratio=0.5))

    def run(key, reward):
        state = buffer.init()
        for begin, end in ((0, 4), (4, 9)):
            part = tf.nest.map_structure(lambda leaf, b=begin, e=end: leaf[b:e], DEVICE_TAPES[0])
            state = buffer.cut(buffer.add(state, part._replace(reward=part.reward + reward)))
        return state, buffer.sample(state, key, 6)

    keys, rewards = random.split(random.key(0), 3), tf.constant([0.0, 1.0, 2.0])
    copies = compiled(lambda *args: tf.vectorized_map(lambda copy: run(*copy), args, fallback_to_while_loop=False))(
        keys, rewards
    )
    for index in range(3):
        alone = run(keys[index], rewards[index])
        for one, many in zip(tf.nest.flatten(alone), tf.nest.flatten(copies), strict=True):
            np.testing.assert_allclose(one, many[index], rtol=1e-6)


def test_a_compiled_step_updates_in_place():
    times = 5_003
    buffer = replay.uniform_from(store_of(times=times))

    def step(carry):
        state, count = carry
        part = tf.nest.map_structure(lambda leaf: leaf[:3], DEVICE_TAPES[0])
        state = buffer.add(state, part._replace(reward=part.reward + tf.cast(count, tf.float32)))
        batch = buffer.sample(state, random.fold_in(random.key(0), count), 16).items
        return (state, count + 1), {"mean": tf.reduce_mean(batch.reward)}

    assert_in_place(loops.compile(step, (buffer.init(), tf.constant(0))), times * STREAMS)


def test_bad_inputs_are_refused():
    assert_refuses("strategy is 'past'", store_of, "past")
    assert_refuses("ratio is 1.5", store_of, ratio=1.5)
    assert_refuses("num_streams is 0", store_of, streams=0)
    assert_refuses("spec is a dict, expected a Transition", replay.hindsight, 8, {}, num_streams=1, reward_fn=distance)
    flat = SPEC._replace(observation=GOAL)
    make = lambda spec: replay.hindsight(8, spec, num_streams=1, reward_fn=distance)
    assert_refuses(r"observation has \[\], expected achieved_goal and desired_goal", make, flat)
    store = store_of(streams=3)
    part = tf.nest.map_structure(lambda leaf: leaf[:4], TAPES[0])
    assert_refuses("items have 2 streams, expected num_streams = 3", store.add, store.init(), part)
