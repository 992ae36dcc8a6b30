"""What environments report in `info` at the end of an episode."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics

from rl_fn import envs
from rl_fn.envs.host.infos import Infos, numbers
from tests.envs.host.environments import Count


class Telling(Count):
    """Succeeds in every second episode; a note is no number, and what is told on the way is not asked for."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = super().step(action)
        told = {"is_success": terminated, "height": 2.0 * self._length, "note": "a text", "steps": {"left": 7}}
        return observation, reward, terminated, truncated, told if terminated or truncated else {"height": -100.0}


def test_numbers_and_truths_are_found_and_nothing_else():
    info = {"a": 1, "b": np.float32(2.5), "c": True, "d": "text", "e": [1, 2], "f": np.array([3]), "g": {"h": 4}}
    assert numbers(info) == {"a": 1.0, "b": 2.5, "c": 1.0, "f": 3.0, "g/h": 4.0}
    assert numbers({"TimeLimit.truncated": True, 3: 4}) == numbers(None) == {}


def test_means_are_over_the_episodes_that_reported_a_number_and_begin_anew():
    infos = Infos()
    infos.add({"is_success": 1.0, "height": 2.0})
    infos.add({"is_success": 0.0})
    assert infos.take() == {"is_success": 0.5, "height": 2.0}
    assert infos.take() == {}


@pytest.mark.parametrize("backend", ["sync", "thread", "process"])
def test_the_last_steps_of_episodes_are_what_counts(backend):
    env = envs.gymnasium_env([Telling(length) for length in (2, 3)], backend=backend)
    env.reset(0)
    for _ in range(6):  # episodes of 2 and of 3 steps: three and two
        env.step(np.array([0, 1]))
    env.close()
    # Two of three episodes of the first environment succeed, one of two of the second.
    assert env.infos.take() == {"is_success": 0.6, "height": pytest.approx((3 * 4 + 2 * 6) / 5), "steps/left": 7.0}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vector_environments_report_the_same(mode):
    makers = [functools.partial(Telling, length, fresh=True) for length in (2, 3)]
    env = envs.gymnasium_env(SyncVectorEnv(makers, autoreset_mode=mode))
    env.reset(0)
    for _ in range(6):
        env.step(np.array([0, 1]))
    assert env.infos.take() == {"is_success": 0.6, "height": pytest.approx((3 * 4 + 2 * 6) / 5), "steps/left": 7.0}


def test_gymnasiums_own_statistics_are_there():
    env = envs.gymnasium_env(RecordEpisodeStatistics(gymnasium.make("CartPole-v1")))
    env.reset(0)
    outcomes = [env.step(np.array([1])) for _ in range(30)]
    first = 1 + next(t for t, outcome in enumerate(outcomes) if outcome.terminated[0])
    infos = env.infos.take()
    assert infos["episode/r"] == infos["episode/l"]
    assert 8 <= infos["episode/l"] <= 12
    assert 8 <= first <= 12
