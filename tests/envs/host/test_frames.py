"""One action for several frames, and small pictures in stacks."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rl_fn import envs
from rl_fn.envs.host import frames
from rl_fn.envs.host.frames import Frames


class Film(gymnasium.Env):
    """Four by four coloured pixels as bright as the step; each step gives a reward of 1, and the sixth is the last."""

    def __init__(self, start=0):
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
        self.observation_space = spaces.Box(0, 255, (4, 4, 3), np.uint8)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.start, self.actions = start, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = self.start
        return self.picture(), {}

    def step(self, action):
        self.time += 1
        self.actions.append(float(action[0]))
        return self.picture(), 1.0, self.time == self.start + 6, False, {"time": self.time}

    def picture(self):
        return np.full((4, 4, 3), [10 * self.time, 0, 0], np.uint8)


gymnasium.register("Film-v0", Film, max_episode_steps=6)
gymnasium.register("OwnSkip-v0", lambda frame_skip=2: Film(start=frame_skip))
ACTION = np.array([0.5], np.float32)


def test_an_action_is_held_for_several_frames_and_their_rewards_are_summed():
    env = Frames(Film(), frame_skip=2)
    env.reset()
    observation, reward, terminated, truncated, info = env.step(ACTION)
    assert (reward, terminated, truncated, info) == (2.0, False, False, {"time": 2})
    assert env.unwrapped.actions == [0.5, 0.5]
    np.testing.assert_array_equal(observation[0, 0], [20, 0, 0])


def test_an_end_ends_the_action():
    env = Frames(Film(), frame_skip=4)
    env.reset()
    assert env.step(ACTION)[1:3] == (4.0, False)
    assert env.step(ACTION)[1:3] == (2.0, True)
    assert len(env.unwrapped.actions) == 6


def test_the_first_picture_fills_the_stack_and_each_new_one_comes_last():
    env = Frames(Film(start=1), stack=2, frame_skip=2)
    assert env.observation_space == spaces.Box(0, 255, (4, 4, 6), np.uint8)
    first, _ = env.reset()
    second = env.step(ACTION)[0]
    third = env.step(ACTION)[0]
    assert first[0, 0].tolist() == [10, 0, 0, 10, 0, 0]  # and the steps did not write into it
    assert second[0, 0].tolist() == [10, 0, 0, 30, 0, 0]
    assert third[0, 0].tolist() == [30, 0, 0, 50, 0, 0]
    again, _ = env.reset()
    np.testing.assert_array_equal(again, first)


def test_grey_is_as_bright_as_it_looks():
    env = Frames(Film(start=10), grayscale=True)
    observation, _ = env.reset()
    assert observation.shape == (4, 4, 1)
    assert observation[0, 0, 0] == 30  # 0.299 of 100


def test_pictures_are_shrunk_by_areas():
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    two = frames.areas(4, 2), frames.areas(4, 2)
    np.testing.assert_array_equal(frames.shrunk(picture * 2, *two), [[5, 9], [21, 25]])
    coloured = frames.shrunk(np.stack([picture * 2, picture * 4], axis=-1), *two)
    np.testing.assert_array_equal(coloured[..., 0], [[5, 9], [21, 25]])
    np.testing.assert_array_equal(coloured[..., 1], [[10, 18], [42, 50]])
    observation, _ = Frames(Film(start=3), screen_size=3, grayscale=True, stack=4).reset()
    np.testing.assert_array_equal(observation, np.full([3, 3, 4], 9))


@pytest.mark.parametrize(("size", "small"), [(210, 84), (160, 84), (250, 84), (7, 3), (5, 5), (3, 4)])
def test_areas_cover_every_pixel_once(size, small):
    pixels, weights = frames.areas(size, small)
    assert pixels.shape == weights.shape
    np.testing.assert_array_equal(weights.sum(axis=0), size)
    covered = np.zeros(size)
    np.add.at(covered, pixels, weights)
    np.testing.assert_array_equal(covered, small)
    ramp = np.arange(size) + 0.5  # the mean of a straight line is its middle, where each pixel is in one piece
    if size % small == 0:
        np.testing.assert_allclose((weights * ramp[pixels]).sum(0) / size, (np.arange(small) + 0.5) * size / small)


def test_by_name_the_limit_and_the_rate_are_those_of_actions():
    env = envs.make("gymnasium:Film-v0", num_envs=2, frame_skip=4, screen_size=2, grayscale=True, stack=3)
    assert env.spec.observation_space == spaces.Box(0, 255, (2, 2, 3), np.uint8)
    assert env.spec.max_episode_steps == 2
    assert env.spec.render_fps == 8
    env.reset(0)
    env.step(np.tile(ACTION, [2, 1]))
    outcome = env.step(np.tile(ACTION, [2, 1]))
    np.testing.assert_array_equal(outcome.reward, [2.0, 2.0])
    assert outcome.terminated.all()
    np.testing.assert_array_equal(outcome.next_observation[0, 0, 0], [0, 12, 18])
    np.testing.assert_array_equal(outcome.observation[0, 0, 0], [0, 0, 0])  # of the next episode
    judged = envs.registry.judged_like(env, 3)
    assert judged.spec.observation_space == env.spec.observation_space
    for one in (env, judged):
        one.close()


def test_episodes_are_short_in_training_and_whole_where_a_policy_is_judged():
    env = envs.make("gymnasium:Film-v0", num_envs=2, training_limit=3)
    assert env.spec.max_episode_steps == 3
    env.reset(0)
    outcomes = [env.step(np.tile(ACTION, [2, 1])) for _ in range(3)]
    assert [outcome.truncated.tolist() for outcome in outcomes] == [[False] * 2, [False] * 2, [True] * 2]
    assert not outcomes[-1].terminated.any()
    judged = envs.registry.judged_like(env, 3)
    assert judged.spec.max_episode_steps == 6
    for one in (env, judged):
        one.close()


def test_a_limit_of_training_counts_actions_of_several_frames():
    env = envs.make("gymnasium:CartPole-v1", frame_skip=4, training_limit=2)
    env.reset(0)
    assert not env.step(np.array([0])).truncated
    assert env.step(np.array([1])).truncated
    env.close()


def test_an_argument_that_the_environment_has_itself_is_its_own():
    env = envs.make("gymnasium:OwnSkip-v0", frame_skip=5)
    assert env.reset(0)[0, 0, 0, 0] == 50
    assert env.step(ACTION[np.newaxis]).reward == [1.0]
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame_skip": 0}, "frame_skip is 0, expected an integer of at least 1"),
        ({"frame_skip": None}, "frame_skip is None, expected an integer of at least 1"),
        ({"training_limit": 0}, "training_limit is 0, expected an integer of at least 1"),
        ({"stack": 1.5}, "stack is 1.5, expected an integer of at least 1"),
        ({"screen_size": True}, "screen_size is True, expected an integer of at least 1"),
        ({"screen_size": 5}, "screen_size is 5, expected at most 4: its pictures have 4 by 4 pixels"),
        ({"grayscale": "no"}, "grayscale is 'no', expected True or False"),
    ],
)
def test_arguments_out_of_their_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.make("gymnasium:Film-v0", **arguments)


@pytest.mark.parametrize("arguments", [{"screen_size": 2}, {"grayscale": True}, {"stack": 2}])
def test_what_is_no_picture_is_refused(arguments):
    with pytest.raises(ValueError, match=r"observations are Box.* expected pictures uint8\[H, W, C\]"):
        envs.make("gymnasium:CartPole-v1", **arguments)
    gray = functools.partial(gymnasium.wrappers.GrayscaleObservation, keep_dim=True)
    with pytest.raises(ValueError, match="grayscale is True, but its pictures have 1 channels, expected 3"):
        Frames(gray(Film()), grayscale=True)


def test_a_vector_takes_several_frames_too():
    env = envs.make("gymnasium:CartPole-v1", frame_skip=4)
    env.reset(0)
    assert env.step(np.array([0])).reward == [4.0]
    assert env.spec.max_episode_steps == 125
    env.close()
