from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from rl_fn.runs import checkpoint


class State(NamedTuple):
    params: dict
    flags: tuple
    empty: tuple


def state(seed=0):
    rng = np.random.default_rng(seed)
    return State(
        params={"w": tf.constant(rng.normal(size=(3, 2)), tf.float32), "half": tf.cast([1.5, seed], tf.bfloat16)},
        flags=(tf.constant([True, False]), tf.constant([1, 2], tf.uint32), tf.constant(3, tf.int64)),
        empty=(),
    )


def test_restores_bit_for_bit(tmp_path):
    path = checkpoint.save(tmp_path, 7, state(), {"seconds": 1.5, "name": "ä"})
    loaded = checkpoint.load(path)
    assert loaded.metadata == {"seconds": 1.5, "name": "ä"}
    restored = checkpoint.restore(loaded, state(1))
    tf.nest.assert_same_structure(restored, state())
    for ours, theirs in zip(tf.nest.flatten(restored), tf.nest.flatten(state()), strict=True):
        assert ours.dtype == theirs.dtype.as_numpy_dtype
        assert ours.tobytes() == theirs.numpy().tobytes()
    assert checkpoint.digest(restored) == checkpoint.digest(state())


def test_leaves_have_the_names_of_the_fields(tmp_path):
    loaded = checkpoint.load(checkpoint.save(tmp_path, 7, state(), {}))
    assert sorted(loaded.leaves) == ["flags/0", "flags/1", "flags/2", "params/half", "params/w"]


def test_keeps_the_newest_and_removes_what_was_left_unfinished(tmp_path):
    for iteration in (3, 20, 100, 1000):
        checkpoint.save(tmp_path, iteration, state(), {})
    (tmp_path / ".iteration_000000002000.npz.unfinished").write_bytes(b"half")
    assert checkpoint.list_iterations(tmp_path) == [3, 20, 100, 1000]
    checkpoint.keep_newest(tmp_path, keep=3)
    assert checkpoint.list_iterations(tmp_path) == [20, 100, 1000]
    assert len(list(tmp_path.iterdir())) == 3


def test_digest_sees_every_bit():
    reference = checkpoint.digest(state())
    changed = state()
    changed.params["w"] = tf.tensor_scatter_nd_update(changed.params["w"], [[0, 0]], [0.0])
    assert checkpoint.digest(changed) != reference
    assert checkpoint.digest(state()._replace(flags=(*state().flags[:2], tf.constant(3, tf.int32)))) != reference
    assert checkpoint.digest(state()) == reference


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:100] + b"x" + b[101:]])
def test_damaged_files_are_refused(tmp_path, damage):
    path = checkpoint.save(tmp_path, 7, state(), {})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.load(path)


def test_pickled_content_is_never_read(tmp_path):
    path = tmp_path / "iteration_000000000001.npz"
    np.savez(path, w=np.array([{"a": 1}], dtype=object), __metadata__=np.frombuffer(b"{}", np.uint8))
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.load(path)


def test_other_states_are_refused_by_name(tmp_path):
    loaded = checkpoint.load(checkpoint.save(tmp_path, 7, state(), {}))
    with pytest.raises(ValueError, match=r"params/w is float32 \(3, 2\), expected float32 \(3, 3\)"):
        checkpoint.restore(loaded, state()._replace(params={"w": tf.zeros([3, 3]), "half": state().params["half"]}))
    with pytest.raises(ValueError, match=r"differ in .*params/v"):
        checkpoint.restore(loaded, state()._replace(params={"v": tf.zeros([3, 2])}))
