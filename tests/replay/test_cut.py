"""Streams that are interrupted, as when a run in a host environment is resumed: what follows is another episode."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, replay
from rl_fn.struct import Transition
from tests.replay.support import SCALAR, assert_in_place, compiled, numbered
from tests.support import assert_refuses

NUMBER, FLAG, GAMMA = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool), 0.5
SPEC = Transition(NUMBER, NUMBER, NUMBER, FLAG, FLAG, NUMBER, extras={})


def steps_of(*observations, terminated=()):
    """One stream of steps from each of these observations to the next number, with a reward of 1."""
    observation = np.array(observations, np.float32)[:, np.newaxis]
    return Transition(
        observation=observation,
        action=observation,
        reward=np.ones_like(observation),
        terminated=np.isin(observation, terminated),
        truncated=np.zeros(observation.shape, bool),
        next_observation=observation + 1,
        extras={},
    )


# A run that stops after step 6 of an episode, and goes on with step 1 of another.
BEFORE, AFTER = steps_of(101, 102, 103, 104, 105, 106), steps_of(201, 202, 203)


def resumed(buffer):
    return buffer.add(buffer.cut(buffer.add(buffer.init(), BEFORE)), AFTER)


def items_of(buffer, state):
    every = tf.range(buffer.store.count(state))
    return buffer.store.read(state, buffer.store.nth(state, every), random.key(0))


def table(buffer, state):
    items = items_of(buffer, state)
    columns = (items.observation, items.reward, items.discount, items.next_observation)
    return [tuple(float(x) for x in row) for row in zip(*columns, strict=True)]


MAKERS = [replay.n_step, replay.n_step_items]
SAMPLERS = [replay.uniform_from, replay.prioritized_from, replay.rank_prioritized_from]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_n_step_item_goes_from_one_episode_to_another(make, sampler):
    buffer = sampler(make(20, SPEC, num_streams=1, n=3, gamma=GAMMA))
    state = resumed(buffer)
    assert table(buffer, state) == [
        (101, 1.75, 0.125, 104),
        (102, 1.75, 0.125, 105),
        (103, 1.75, 0.125, 106),
        (104, 1.75, 0.125, 107),
        (105, 1.5, 0.25, 107),  # as if the episode had been truncated, up to the true successor of its last step
        (106, 1.0, 0.5, 107),
        (201, 1.75, 0.125, 204),
    ]
    drawn = buffer.sample(state, random.key(0), 200)
    assert set(np.asarray(drawn.items.observation)) == {101, 102, 103, 104, 105, 106, 201}


@pytest.mark.parametrize("make", MAKERS)
def test_of_a_task_that_has_terminated_nothing_is_cut(make):
    buffer = replay.uniform_from(make(20, SPEC, num_streams=1, n=2, gamma=GAMMA))
    state = buffer.add(buffer.init(), steps_of(101, 102, terminated=[102]))
    state = buffer.add(buffer.cut(state), steps_of(201, 202))
    assert table(buffer, state) == [(101, 1.5, 0.0, 103), (102, 1.0, 0.0, 103), (201, 1.5, 0.25, 203)]
    if make is replay.n_step:
        np.testing.assert_array_equal(replay.contents(buffer, state).truncated[:, 0], [False] * 4)


def test_waiting_steps_become_items_at_once_with_the_priority_of_new_ones():
    buffer = replay.prioritized_from(replay.n_step_items(20, SPEC, num_streams=1, n=3, gamma=GAMMA), alpha=1.0)
    state = buffer.update(buffer.add(buffer.init(), BEFORE), [0], [9.0])
    assert [bool(buffer.is_ready(state, num)) for num in (4, 5)] == [True, False]
    state = buffer.cut(state)
    assert [bool(buffer.is_ready(state, num)) for num in (6, 7)] == [True, False]
    np.testing.assert_allclose(state.weights[0][:8], [9, 1, 1, 1, 9, 9, 0, 0])
    again = buffer.cut(state)  # nothing waits any more
    assert table(buffer, again) == table(buffer, state)
    for one, other in zip(again.weights, state.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_full_ring_of_items_loses_only_what_the_next_ones_overwrite():
    buffer = replay.prioritized_from(replay.n_step_items(4, SPEC, num_streams=1, n=3, gamma=GAMMA))
    state = buffer.cut(buffer.add(buffer.init(), BEFORE))
    assert [row[0] for row in table(buffer, state)] == [103, 104, 105, 106]
    state = buffer.add(state, steps_of(201))  # no item yet, and it takes the room of the next one
    assert [row[0] for row in table(buffer, state)] == [104, 105, 106]
    assert np.count_nonzero(state.weights[0]) == 3
    state = buffer.add(state, steps_of(202, 203, 204))
    assert [row[0] for row in table(buffer, state)] == [106, 201, 202]
    state = buffer.add(state, steps_of(205))
    assert [row[0] for row in table(buffer, state)] == [106, 201, 202, 203]
    assert np.count_nonzero(state.weights[0]) == 4


def test_sequences_and_steps_say_where_their_stream_was_cut():
    last = [False] * 5 + [True] + [False] * 3
    for store in (replay.sequences(20, SPEC, num_streams=1, length=3), replay.steps(20, SPEC, num_streams=1)):
        buffer = replay.uniform_from(store)
        kept = replay.contents(buffer, resumed(buffer))
        np.testing.assert_array_equal(kept.truncated[:, 0], last)
        np.testing.assert_array_equal(kept.next_observation[:, 0], [102, 103, 104, 105, 106, 107, 202, 203, 204])
    sequences = replay.uniform_from(replay.sequences(20, SPEC, num_streams=1, length=3))
    found = items_of(sequences, resumed(sequences)).steps
    np.testing.assert_array_equal(found.observation[:, 4], [105, 106, 201])
    np.testing.assert_array_equal(found.truncated[:, 4], [False, True, False])


def test_flags_may_be_fields_of_any_struct_and_sequences_without_them_cannot_be_cut():
    flagged = {"id": tf.TensorSpec([], tf.int32), "terminated": FLAG, "truncated": FLAG}
    buffer = replay.uniform_from(replay.sequences(8, flagged, num_streams=2, length=2))
    no = np.zeros([3, 2], bool)
    ids = np.arange(6, dtype=np.int32).reshape([3, 2])
    state = buffer.cut(buffer.add(buffer.init(), {"id": ids, "terminated": no, "truncated": no}))
    kept = replay.contents(buffer, state)["truncated"]
    np.testing.assert_array_equal(kept, [[False, False], [False, False], [True, True]])
    bare = replay.uniform_from(replay.sequences(8, SCALAR, num_streams=2, length=2))
    assert_refuses("steps have no bool.* `terminated` and `truncated`", bare.cut, bare.init())
    # Nothing is glued where an item is one step.
    for buffer in (replay.uniform(8, SCALAR), replay.uniform_from(replay.steps(8, SCALAR, num_streams=1))):
        state = buffer.add(buffer.init(), numbered(0, 3 if buffer.store.num_streams is None else [3, 1]))
        assert buffer.cut(state) is state


def test_no_goal_comes_from_another_episode():
    goal = tf.TensorSpec([1], tf.float32)
    spec = SPEC._replace(
        **{key: {"achieved_goal": goal, "desired_goal": goal} for key in ("observation", "next_observation")}
    )
    make = lambda strategy: replay.uniform_from(
        replay.hindsight(
            20, spec, num_streams=1, reward_fn=lambda a, d: a[..., 0] - d[..., 0], strategy=strategy, ratio=1.0
        )
    )
    to_goals = lambda steps: steps._replace(
        observation={"achieved_goal": steps.observation[..., None], "desired_goal": 0 * steps.observation[..., None]},
        next_observation={
            "achieved_goal": steps.next_observation[..., None],
            "desired_goal": 0 * steps.observation[..., None],
        },
    )
    buffer = make("final")
    state = buffer.add(buffer.cut(buffer.add(buffer.init(), to_goals(BEFORE))), to_goals(AFTER))
    items = items_of(buffer, state)
    np.testing.assert_array_equal(items.observation["desired_goal"][:, 0], [107] * 6 + [204] * 3)
    np.testing.assert_array_equal(items.truncated, [False] * 5 + [True] + [False] * 3)
    for strategy in ("future", "episode"):
        drawn = make(strategy).sample(state, random.key(1), 300).items
        goals, own = np.asarray(drawn.observation["desired_goal"])[:, 0], np.asarray(drawn.action)
        np.testing.assert_array_equal(goals > 200, own > 200)


@pytest.mark.parametrize(("padding", "first"), [("first", [201, 201, 201]), ("zeros", [0, 0, 201])])
def test_no_stack_of_frames_reaches_back_into_another_episode(padding, first):
    stack = tf.TensorSpec([1, 3], tf.uint8)
    spec = SPEC._replace(observation=stack, next_observation=stack)
    store = replay.frames(
        30,
        spec,
        num_streams=1,
        make_store=lambda inner: replay.n_step(20, inner, num_streams=1, n=2, gamma=GAMMA),
        padding=padding,
    )
    buffer = replay.prioritized_from(store)

    def to_frames(steps, first):
        pad = first if padding == "first" else 0
        back = lambda x: np.stack([np.where(x - k < first, pad, x - k) for k in (2, 1, 0)], axis=-1)
        of = lambda x: back(x.astype(int)).astype(np.uint8)[:, :, np.newaxis]
        return steps._replace(observation=of(steps.observation), next_observation=of(steps.next_observation))

    state = buffer.cut(buffer.add(buffer.init(), to_frames(BEFORE, 101)))
    state = buffer.add(state, to_frames(AFTER, 201))
    items = items_of(buffer, state)
    np.testing.assert_array_equal(items.action, [101, 102, 103, 104, 105, 106, 201, 202])
    np.testing.assert_array_equal(items.observation[6, 0], first)
    np.testing.assert_array_equal(items.next_observation[5, 0], [105, 106, 107])
    np.testing.assert_array_equal(items.discount[4:7], [0.25, 0.5, 0.25])


def test_every_buffer_of_a_mixture_is_cut():
    make = lambda: replay.uniform_from(replay.n_step_items(20, SPEC, num_streams=1, n=3, gamma=GAMMA))
    buffer = make()
    mixture = replay.mixture([buffer, make()], [1, 1])
    state = mixture.cut(mixture.add(mixture.add(mixture.init(), BEFORE), AFTER, 1))
    assert [row[0] for part in state for row in table(buffer, part)] == [101, 102, 103, 104, 105, 106, 201, 202, 203]


@pytest.mark.parametrize(
    "store",
    [
        *(make(20, SPEC, num_streams=1, n=3, gamma=GAMMA) for make in MAKERS),
        replay.sequences(20, SPEC, num_streams=1, length=2),
        replay.steps(20, SPEC, num_streams=1),
    ],
)
def test_a_buffer_without_steps_has_nothing_to_cut(store):
    buffer = replay.prioritized_from(store)
    state = compiled(buffer.cut)(buffer.init())
    assert (int(buffer.store.count(state)), int(buffer.store.num_rows(state))) == (0, 0)
    assert not buffer.is_ready(state)
    for one, other in zip(state.weights, buffer.init().weights, strict=True):
        np.testing.assert_array_equal(one, other)
    after, plain = buffer.add(state, BEFORE), buffer.add(buffer.init(), BEFORE)
    for one, other in zip(
        tf.nest.flatten(items_of(buffer, after)), tf.nest.flatten(items_of(buffer, plain)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MAKERS)
def test_a_compiled_cut_updates_in_place(make):
    capacity = 20_004
    buffer = replay.prioritized_from(make(capacity, SPEC, num_streams=4, n=3, gamma=GAMMA))
    program = loops.compile(lambda state: (buffer.cut(state), {}), buffer.init())
    assert_in_place(program, capacity)


def test_experience_of_two_runs_in_one_buffer(tmp_path):
    buffer = replay.uniform_from(replay.n_step(20, SPEC, num_streams=1, n=3, gamma=GAMMA))
    for name, steps in (("one", BEFORE), ("other", AFTER)):
        replay.export_steps(tmp_path / name, buffer, buffer.add(buffer.init(), steps))
    state = buffer.init()
    for name in ("one", "other"):
        state = buffer.cut(buffer.add(state, replay.import_steps(tmp_path / name, SPEC)))
    assert table(buffer, state) == table(buffer, resumed(buffer))
