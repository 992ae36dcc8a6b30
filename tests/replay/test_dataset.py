import json

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random, replay
from rl_fn.struct import Transition
from tests.replay.support import SCALAR, numbered

FLAG, NUMBER = tf.TensorSpec([], tf.bool), tf.TensorSpec([], tf.float32)
STEP = Transition(
    observation={"b": tf.TensorSpec([3], tf.bfloat16), "a": (tf.TensorSpec([2, 2], tf.uint8), NUMBER)},
    action=tf.TensorSpec([], tf.int32),
    reward=NUMBER,
    terminated=FLAG,
    truncated=FLAG,
    next_observation=tf.TensorSpec([1], tf.float64),
    extras={},
)
STREAMS = 2


def filled(spec, shape, seed=0):
    rng = np.random.default_rng(seed)
    return tf.nest.map_structure(lambda s: tf.cast(rng.integers(0, 200, [*shape, *s.shape]), s.dtype), spec)


def assert_same(one, other):
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


BUFFERS = {
    "uniform": replay.uniform(7, STEP),
    "prioritized": replay.prioritized(7, STEP),
    "rank": replay.rank_prioritized(7, STEP),
    "sequences": replay.prioritized_from(
        replay.sequences(12, STEP, num_streams=STREAMS, length=2, period=2, start_spec=NUMBER)
    ),
    "n_step_items": replay.uniform_from(replay.n_step_items(7, STEP, num_streams=STREAMS, n=3, gamma=0.9)),
}


def added_to(name, length):
    if name == "sequences":
        return replay.Sequence(filled(STEP, [length, STREAMS]), filled(NUMBER, [length, STREAMS], 1))
    return filled(STEP, [length, STREAMS] if name == "n_step_items" else [length])


@pytest.mark.parametrize("name", BUFFERS)
@pytest.mark.parametrize("length", [0, 4, 9])
def test_a_state_comes_back_bit_for_bit(tmp_path, name, length):
    buffer = BUFFERS[name]
    state = buffer.init()
    if length:
        state = buffer.add(state, added_to(name, length))
    replay.save(tmp_path / "state", state)
    restored = replay.restore(tmp_path / "state", buffer.init())
    assert_same(restored, state)
    spec = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), state)
    assert_same(replay.restore(tmp_path / "state", spec), state)
    if length:
        assert_same(buffer.sample(restored, random.key(0), 5), buffer.sample(state, random.key(0), 5))


def test_nothing_is_pickled_or_left_behind(tmp_path):
    replay.save(tmp_path / "state", BUFFERS["uniform"].init())
    for path in (tmp_path / "state").glob("*.npy"):
        np.load(path, allow_pickle=False)
    names = set(json.loads((tmp_path / "state" / "leaves.json").read_text()))
    assert "storage/bfloat16" in names
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
    with pytest.raises(FileExistsError):
        replay.save(tmp_path / "state", BUFFERS["uniform"].init())
    with pytest.raises(AttributeError):
        replay.save(tmp_path / "other", {"a": tf.zeros([2]), "b": object()})
    assert {path.name for path in tmp_path.iterdir()} == {"state"}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": tf.zeros([3])}, r"a is float32 \[2\], expected float32 \[3\]"),
        ({"a": tf.zeros([2], tf.int32)}, r"a is float32 \[2\], expected int32 \[2\]"),
        ({"b": tf.zeros([2])}, "a leaf a only in the folder"),
        ({"a": tf.zeros([2]), "b": tf.zeros([2])}, "a leaf b only in what is expected"),
    ],
)
def test_another_state_is_refused_by_name(tmp_path, like, message):
    replay.save(tmp_path / "state", {"a": tf.zeros([2])})
    with pytest.raises(ValueError, match=message):
        replay.restore(tmp_path / "state", like)


@pytest.mark.parametrize("length", [0, 1, 5, 8])
def test_items_can_be_exported_and_imported(tmp_path, length):
    buffer = replay.prioritized(6, SCALAR)
    state = buffer.init()
    if length:
        state = buffer.add(state, numbered(0, length))
    expected = numbered(max(0, length - 6), min(length, 6))
    assert_same(replay.contents(buffer, state, chunk=2), expected)
    replay.export_steps(tmp_path / "data", buffer, state, chunk=2)
    read = replay.import_steps(tmp_path / "data", SCALAR)
    assert_same(read, expected)
    if length:
        assert int(replay.uniform(6, SCALAR).add(state.items, read).size) == min(6, 2 * length)


def test_steps_of_streams_keep_their_two_axes(tmp_path):
    steps = filled(STEP, [9, STREAMS])
    for store in (
        replay.sequences(12, STEP, num_streams=STREAMS, length=2),
        replay.n_step(12, STEP, num_streams=STREAMS, n=3, gamma=0.9),
    ):
        buffer = replay.uniform_from(store)
        state = buffer.add(buffer.init(), steps)
        expected = tf.nest.map_structure(lambda leaf: leaf[3:], steps)
        assert_same(replay.contents(buffer, state), expected)
        path = tmp_path / str(id(store))
        replay.export_steps(path, buffer, state, chunk=5)
        assert_same(replay.import_steps(path, STEP), expected)


def test_a_data_set_of_another_kind_is_refused(tmp_path):
    buffer = replay.uniform(6, SCALAR)
    replay.export_steps(tmp_path / "data", buffer, buffer.add(buffer.init(), numbered(0, 3)))
    with pytest.raises(ValueError, match="pixels is uint8"):
        replay.import_steps(tmp_path / "data", {**SCALAR, "pixels": tf.TensorSpec([3], tf.uint8)})
    with pytest.raises(ValueError, match="leading axes"):
        replay.import_steps(tmp_path / "data", {**SCALAR, "pixels": tf.TensorSpec([], tf.uint8)})
    with pytest.raises(ValueError, match="a leaf pixels only in the folder"):
        replay.import_steps(tmp_path / "data", {"id": SCALAR["id"]})
