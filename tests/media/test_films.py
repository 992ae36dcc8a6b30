"""What of films needs no further package; the files themselves are read back in tests/extras."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random
from rl_fn.envs.base import EnvStep
from rl_fn.media import films
from rl_fn.struct import EnvSpec
from tests import drawn

POLICY = tf.constant(1)


class HostEnv:
    """A host environment of random length: the action is added up, and shows as the colour."""

    def __init__(self, num_envs=1):
        self.num_envs, self.seeds, self.actions = num_envs, [], []
        self.spec = EnvSpec("Host-v0", spaces.Box(0.0, 1.0, [1], np.float32), spaces.Discrete(2))

    def reset(self, seed):
        self.seeds.append(seed)
        self.total, self.rng = 0, np.random.default_rng(seed)
        self.length = self.rng.integers(3, 30)
        return np.zeros([1, 1], np.float32)

    def step(self, actions):
        self.actions.append(actions)
        self.total += int(actions[0])
        last = np.array([self.total >= self.length])
        observation = np.zeros([1, 1], np.float32)
        return EnvStep(observation, np.array([2.0], np.float32), np.array([False]), last, observation)

    def render(self):
        return np.full([4, 6, 3], self.total, np.uint8)


def test_an_episode_has_a_picture_before_each_step():
    pictures, episode_return = films.record_episode(drawn.agent(), drawn.make(), POLICY, random.key(0))
    assert pictures.shape == (drawn.LENGTH, drawn.HEIGHT, drawn.WIDTH, 3)
    assert pictures.dtype == np.uint8
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, drawn.picture([index]))
    assert episode_return == drawn.LENGTH * 0.5


def test_the_episode_is_that_of_an_evaluation_with_the_same_key():
    env = envs.make("CartPole-v1")._replace(render=lambda state: np.zeros([2, 2, 3], np.uint8))
    agent = drawn.agent()._replace(
        act=lambda policy, actor, observation, key, mode: drawn.ActorStep(
            random.randint(key, [observation.shape[0]], 0, 2), actor, {"mode": tf.constant(mode == "eval")}
        )
    )
    evaluate, play = loops.evaluate(agent, env, 1, chunk=1), films.player(agent, env)
    lengths = set()
    for seed in range(3):
        returns = evaluate(POLICY, random.key(seed)).returns
        moments = list(play(POLICY, random.key(seed)))
        assert sum(moment.reward for moment in moments) == returns[0] == len(moments)
        lengths.add(len(moments))
    assert len(lengths) > 1


def test_host_environments_are_played_to_their_end():
    env = HostEnv()
    pictures, episode_return = films.record_episode(drawn.agent(), env, POLICY, random.key(5))
    assert len(pictures) == env.length == episode_return / 2
    assert pictures[:, 0, 0, 0].tolist() == list(range(env.length))
    assert all(actions.shape == (1,) for actions in env.actions)
    again, _ = films.record_episode(drawn.agent(), HostEnv(), POLICY, random.key(5))
    np.testing.assert_array_equal(pictures, again)
    films.record_episode(drawn.agent(), env, POLICY, random.key(6))
    assert env.seeds[1] != env.seeds[-1]


def test_films_of_host_environments_are_those_of_an_evaluation_with_the_same_key():
    evaluate, play = loops.host_evaluate(drawn.agent(), HostEnv(), 1), films.player(drawn.agent(), HostEnv())
    lengths = set()
    for seed in range(3):
        moments = list(play(POLICY, random.key(seed)))
        assert [len(moments)] == evaluate(POLICY, random.key(seed)).lengths
        lengths.add(len(moments))
    assert len(lengths) > 1


@pytest.mark.parametrize("env", [drawn.make(), HostEnv()], ids=["compiled", "host"])
def test_an_episode_is_cut_at_a_limit_and_stops_when_told(env):
    play = films.player(drawn.agent(), env, pictures=False, max_steps=2)
    assert len(list(play(POLICY, random.key(0)))) == 2
    asked = iter([False, True])
    with pytest.raises(loops.Stopped, match="-v0 was told to stop"):
        list(play(POLICY, random.key(0), stop=lambda: next(asked)))
    recorder = films.Recorder(drawn.agent(), env, episodes=2)
    with pytest.raises(loops.Stopped):
        recorder(POLICY, random.key(0), 0, stop=lambda: True)


def test_what_cannot_be_drawn_is_refused_at_once():
    blind = drawn.make()._replace(render=None)
    with pytest.raises(ValueError, match="Drawn-v0 has no pictures: it cannot be recorded or shown"):
        films.player(drawn.agent(), blind)
    moments = list(films.player(drawn.agent(), blind, pictures=False)(POLICY, random.key(0)))
    assert [moment.picture for moment in moments] == [None] * drawn.LENGTH
    with pytest.raises(ValueError, match="Host-v0 has num_envs 2, expected 1"):
        films.player(drawn.agent(), HostEnv(num_envs=2))

    def broken(state):
        raise ValueError("pictures need a package")

    with pytest.raises(ValueError, match="pictures need a package"):
        films.player(drawn.agent(), drawn.make()._replace(render=broken))
    with pytest.raises(ValueError, match="video_episodes is 0, expected at least 1"):
        films.Recorder(drawn.agent(), drawn.make(), episodes=0)


def test_files_are_named_by_step_and_return():
    assert films.file_name(100_000, 487.0) == "step_00100000_return_487.0.mp4"
    assert films.file_name(0, -12.34, episode=2) == "step_00000000_episode_2_return_-12.3.mp4"


def test_odd_pictures_get_a_black_row_and_column():
    picture = drawn.picture([0])
    padded = films.even(picture)
    assert padded.shape == (32, 46, 3)
    np.testing.assert_array_equal(padded[:31, :45], picture)
    assert not padded[31].any()
    assert not padded[:, 45].any()
    even = np.ones([4, 6, 3], np.uint8)
    np.testing.assert_array_equal(films.even(even), even)


def without(package, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))


def test_missing_packages_and_displays_are_named(tmp_path, monkeypatch):
    parts = drawn.agent(), drawn.make()
    with monkeypatch.context() as patch:
        without("imageio_ffmpeg", patch)
        with pytest.raises(ValueError, match=r'films need imageio-ffmpeg.*pip install "rl-fn\[video\]"'):
            films.Recorder(*parts, folder=tmp_path / "films")
    assert not (tmp_path / "films").exists()
    with monkeypatch.context() as patch:
        without("pygame", patch)
        with pytest.raises(ValueError, match=r'a window needs pygame.*pip install "rl-fn\[video\]"'):
            films.Recorder(*parts, window=True)
