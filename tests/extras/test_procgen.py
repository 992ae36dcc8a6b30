"""Procgen and Atari as EnvPool has them."""

import numpy as np
import pytest

from rl_fn import envs
from rl_fn.envs.host import procgen
from tests.support import assert_refuses


def first_frames(seed=0, steps=0, **kwargs):
    env = envs.make("procgen:coinrun", num_envs=2, **kwargs)
    observation = env.reset(seed)
    for _ in range(steps):
        observation = env.step(np.array([7, 7])).observation
    env.close()
    return observation


@pytest.mark.parametrize("game", procgen.GAMES)
def test_every_game_runs_in_every_distribution(game):
    for distribution in procgen.GAMES[game]:
        env = envs.make(f"procgen:{game}", num_envs=2, distribution_mode=distribution)
        assert env.spec.name == f"procgen:{game}"
        assert env.spec.observation_space.shape == (64, 64, 3)
        assert env.spec.action_space.n == 15
        observation = env.reset(0)
        assert observation.shape == (2, 64, 64, 3)
        assert observation.dtype == np.uint8
        assert observation.std() > 5
        for action in range(15):
            outcome = env.step(np.array([action, action]))
        assert outcome.reward.shape == (2,)
        env.close()


def test_the_seed_decides_the_levels():
    np.testing.assert_array_equal(first_frames(3, steps=20), first_frames(3, steps=20))
    assert np.any(first_frames(3) != first_frames(4))


def test_the_number_of_levels_is_kept():
    one = [first_frames(seed, num_levels=1, start_level=5)[0] for seed in range(4)]
    for other in one[1:]:
        np.testing.assert_array_equal(one[0], other)
    assert np.any(first_frames(0, num_levels=1, start_level=6)[0] != one[0])
    judged = [first_frames(seed, num_levels=1, start_level=5, evaluation=True)[0] for seed in range(4)]
    assert len({picture.tobytes() for picture in judged}) == 4


def test_the_time_limit_truncates_and_a_new_level_begins():
    env = envs.make("procgen:leaper", num_envs=2)
    assert env.spec.max_episode_steps == 500
    observation = env.reset(0)
    for _ in range(500):
        before, outcome = observation, env.step(np.array([4, 4]))
        observation = outcome.observation
    assert outcome.truncated.all()
    assert not outcome.terminated.any()
    # Nobody moves: the true successor looks like what was before, and the new level does not.
    change = abs(outcome.next_observation.astype(int) - before).mean()
    assert change < 10 < abs(observation.astype(int) - before).mean()
    env.close()


def test_it_has_pictures():
    env = envs.make("procgen:maze", render_mode="rgb_array")
    observation = env.reset(0)
    np.testing.assert_array_equal(env.render(), observation[0])
    env.close()
    assert_refuses("gives no picture", envs.make("procgen:maze").render)


def test_unknown_arguments_are_refused():
    assert_refuses("wings", envs.make, "procgen:maze", wings=2)
    assert_refuses("task", envs.make, "procgen:maze", task=2)
    assert_refuses("num_levels is many, expected 0 to", envs.make, "procgen:maze", num_levels="many")


def breakout(**kwargs):
    env = envs.make("envpool:Breakout-v5", num_envs=2, **kwargs)
    env.reset(1)
    rng = np.random.default_rng(0)
    steps = [env.step(rng.integers(4, size=2)) for _ in range(600)]
    env.close()
    return steps


def test_envpools_atari_is_preprocessed_like_ours():
    env = envs.make("envpool:Breakout-v5")
    ours = envs.make("ALE/Breakout-v5")
    assert env.spec.observation_space == ours.spec.observation_space
    assert env.spec.action_space == ours.spec.action_space
    assert env.spec.max_episode_steps == 27_000
    # The frames at the start of a game, apart from the ball and from how the screen is rounded.
    np.testing.assert_allclose(env.reset(0)[0].astype(int), ours.reset(0)[0].astype(int), atol=120)
    difference = abs(env.reset(0)[0].astype(int) - ours.reset(0)[0].astype(int))
    assert (difference > 1).mean() < 0.01
    env.close()


def test_envpools_atari_plays_lives_in_training_and_games_in_evaluation():
    lives = sum(step.terminated.sum() for step in breakout(episodic_life=True))
    games = sum(step.terminated.sum() for step in breakout())
    judged = sum(step.terminated.sum() for step in breakout(episodic_life=True, evaluation=True))
    assert lives > 3 * games > 0
    assert judged == games
