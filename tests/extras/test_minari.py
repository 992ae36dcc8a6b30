import minari
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from minari.data_collector.episode_buffer import EpisodeBuffer

from rl_fn import random, replay, struct
from rl_fn.struct import Transition

T, B = 12, 2
OBSERVATIONS = {
    "box": spaces.Box(-10.0, 10.0, [3], np.float32),
    "dict": spaces.Dict({"image": spaces.Box(0, 255, [8, 8, 3], np.uint8), "place": spaces.Discrete(50)}),
}
ACTIONS = {"discrete": spaces.Discrete(4), "box": spaces.Box(-1.0, 1.0, [2], np.float32)}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def drawn(space, shape, rng):
    spec = struct.space_spec(space)
    return tf.nest.map_structure(lambda s: rng.integers(0, 4, [*shape, *s.shape]).astype(s.dtype.as_numpy_dtype), spec)


def steps_of(observation_space, action_space):
    """Random steps in which the next observation is the one that follows, except at an end."""
    rng = np.random.default_rng(0)
    observations, ends = drawn(observation_space, [T + 1, B], rng), drawn(observation_space, [T, B], rng)
    is_last = rng.random([T, B]) < 0.3
    terminated = is_last & (rng.random([T, B]) < 0.5)

    def successor(following, end):
        return np.where(is_last.reshape([T, B, *[1] * (end.ndim - 2)]), end, following[1:])

    return Transition(
        observation=tf.nest.map_structure(lambda leaf: leaf[:-1], observations),
        action=drawn(action_space, [T, B], rng),
        reward=rng.normal(size=[T, B]).astype(np.float32),
        terminated=terminated,
        truncated=is_last & ~terminated,
        next_observation=tf.nest.map_structure(successor, observations, ends),
        extras={},
    )


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("action", ACTIONS)
def test_experience_comes_back_as_it_was(observation, action):
    spaces_ = OBSERVATIONS[observation], ACTIONS[action]
    steps = steps_of(*spaces_)
    dataset = replay.to_minari("test/made-v0", steps, *spaces_)
    read = replay.from_minari("test/made-v0")
    # One stream after the other; where a stream ends, its last episode is cut.
    truncated = steps.truncated.copy()
    truncated[-1] |= ~steps.terminated[-1]
    expected = tf.nest.map_structure(
        lambda leaf: np.swapaxes(leaf, 0, 1).reshape([T * B, *leaf.shape[2:]]), steps._replace(truncated=truncated)
    )
    tf.nest.assert_same_structure(read, expected)
    for one, other in zip(tf.nest.flatten(read), tf.nest.flatten(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert dataset.total_episodes == int(expected.is_last.sum())


def test_an_episode_that_was_left_open_ends_truncated():
    buffers = [
        EpisodeBuffer(
            id=number,
            observations=np.full([4, 3], number, np.float32),
            actions=np.zeros([3], np.int32),
            rewards=[1.0] * 3,
            terminations=[False, False, terminated],
            truncations=[False] * 3,
        )
        for number, terminated in enumerate([False, True])
    ]
    dataset = minari.create_dataset_from_buffers(
        "test/open-v0", buffers, observation_space=OBSERVATIONS["box"], action_space=ACTIONS["discrete"]
    )
    read = replay.from_minari(dataset)
    assert read.truncated.tolist() == [False, False, True, False, False, False]
    assert read.terminated.tolist() == [False] * 5 + [True]


def test_a_data_set_that_counts_from_elsewhere_is_read_from_zero():
    steps = steps_of(OBSERVATIONS["box"], ACTIONS["discrete"])
    theirs = steps._replace(action=steps.action + 10)
    replay.to_minari("test/ten-v0", theirs, OBSERVATIONS["box"], spaces.Discrete(4, start=10))
    expected = np.swapaxes(steps.action, 0, 1).reshape([T * B])
    np.testing.assert_array_equal(replay.from_minari("test/ten-v0").action, expected)


def test_a_buffer_is_exported_and_filled_again():
    spaces_ = OBSERVATIONS["box"], ACTIONS["discrete"]
    observation = struct.space_spec(spaces_[0])
    flag, number = tf.TensorSpec([], tf.bool), tf.TensorSpec([], tf.float32)
    spec = Transition(observation, struct.space_spec(spaces_[1]), number, flag, flag, observation, {})
    streams = replay.uniform_from(replay.n_step(T * B, spec, num_streams=B, n=2, gamma=0.9))
    state = streams.add(streams.init(), steps_of(*spaces_))
    replay.to_minari("test/buffer-v0", replay.contents(streams, state), *spaces_)
    offline = replay.uniform(100, spec)
    state = offline.add(offline.init(), replay.from_minari("test/buffer-v0"))
    assert int(state.size) == T * B
    assert offline.sample(state, random.key(0), 5).items.observation.shape == (5, 3)
