"""Gymnasium's vector environments, and the wrappers that they come in."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorWrapper
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers import vector as theirs

from rl_fn import envs
from tests.envs.host.environments import Count

NEXT_STEP, SAME_STEP, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


def vector(mode):
    # Gymnasium's mode SAME_STEP does not copy the last observation before the next episode begins.
    return SyncVectorEnv([functools.partial(Count, length, fresh=True) for length in (2, 3)], autoreset_mode=mode)


def test_vector_environments_that_cannot_be_reset_in_part_are_refused():
    native = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point")
    with pytest.raises(ValueError, match="hand over single environments, or one of autoreset_mode SAME_STEP"):
        envs.gymnasium_env(native)
    with pytest.raises(ValueError, match=r"takes no other num_envs or options, given \['timeout'\]"):
        envs.gymnasium_env(vector(AutoresetMode.SAME_STEP), timeout=3)


doubled = functools.partial(theirs.TransformObservation, func=lambda x: 2 * x)
WRAPPERS = {
    "RecordEpisodeStatistics": (theirs.RecordEpisodeStatistics, [SAME_STEP], 1, 1),
    "TransformObservation": (doubled, [NEXT_STEP, DISABLED], 2, 1),
    "FlattenObservation": (theirs.FlattenObservation, [NEXT_STEP, DISABLED], 1, 1),
    "DictInfoToList": (theirs.DictInfoToList, [NEXT_STEP, DISABLED], 1, 1),
    "ClipReward": (lambda env: theirs.ClipReward(env, 0, 0.5), list(AutoresetMode), 1, 0.5),
    "TransformReward": (lambda env: theirs.TransformReward(env, lambda x: 3 * x), list(AutoresetMode), 1, 3),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_that_keep_to_their_environments_are_right(name):
    wrap, modes, times, reward = WRAPPERS[name]
    for mode in modes:
        env = envs.gymnasium_env(wrap(vector(mode)))
        np.testing.assert_array_equal(env.reset(0), [[0, 0]] * 2)
        outcomes = [env.step(np.array([1, 0])) for _ in range(4)]
        np.testing.assert_array_equal(outcomes[1].next_observation, times * np.array([[0, 2], [0, 2]]))
        np.testing.assert_array_equal(outcomes[1].observation, times * np.array([[1, 0], [0, 2]]))
        np.testing.assert_array_equal(outcomes[3].next_observation, times * np.array([[1, 2], [1, 1]]))
        np.testing.assert_array_equal(outcomes[3].truncated, [True, False])
        np.testing.assert_array_equal(outcomes[3].reward, [reward, 0])


@pytest.mark.parametrize(
    ("wrapper", "mode", "message"),
    [
        (
            theirs.NormalizeObservation,
            NEXT_STEP,
            "cannot reset a part of its environments, and learns while",
        ),
        (theirs.NormalizeReward, NEXT_STEP, "forgets the returns of all environments where one is reset"),
        (theirs.NormalizeReward, DISABLED, "forgets the returns of all environments where one is reset"),
        (theirs.RecordEpisodeStatistics, NEXT_STEP, "forgets the episodes of all environments where one is reset"),
        (theirs.DictInfoToList, SAME_STEP, "hides the last observations of episodes; leave it out"),
    ],
)
def test_wrappers_that_would_go_wrong_are_refused_by_name(wrapper, mode, message):
    for env in (wrapper(vector(mode)), VectorWrapper(wrapper(vector(mode)))):
        with pytest.raises(ValueError, match=f"with autoreset_mode {mode.name}, {wrapper.__name__} {message}"):
            envs.gymnasium_env(env)


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_the_limit_is_that_of_the_environments_inside(kind):
    env = envs.gymnasium_env(kind([lambda: TimeLimit(Count(100), 6)] * 2))
    assert env.spec.max_episode_steps == 6
    env.close()
    by_name = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync", max_episode_steps=20)
    spec = envs.gymnasium_env(by_name).spec
    assert (spec.max_episode_steps, spec.reward_threshold) == (20, 475)


class Answering(VectorWrapper):
    """Changes what its environments answer."""

    def __init__(self, env, reward, terminated=lambda x: x):
        super().__init__(env)
        self._reward, self._terminated = reward, terminated

    def step(self, actions):
        observation, reward, terminated, *rest = self.env.step(actions)
        return (
            observation,
            self._reward(reward),
            self._terminated(terminated),
            *rest,
        )


def test_each_environment_gives_one_number():
    env = envs.gymnasium_env(Answering(vector(SAME_STEP), lambda reward: reward[:, np.newaxis]))
    env.reset(0)
    np.testing.assert_array_equal(env.step(np.array([1, 0])).reward, np.float32([1, 0]))
    for answering, message in [
        (
            {"reward": lambda x: np.ones([2, 2])},
            r"SyncVectorEnv: the rewards of step 1 are float64\[2, 2\], expected 2 num",
        ),
        ({"reward": lambda x: None}, r"the rewards of step 1 are object\[\], expected 2 numbers"),
        ({"reward": lambda x: x, "terminated": lambda x: x[:1]}, r"terminated of step 1 are bool\[1\], expected 2"),
    ]:
        env = envs.gymnasium_env(Answering(vector(SAME_STEP), **answering))
        env.reset(0)
        with pytest.raises(ValueError, match=message):
            env.step(np.array([1, 0]))
