"""Atari against a naive implementation on the emulator itself, and what its wrappers are known to get wrong."""

import ale_py
import numpy as np
import pytest
from ale_py import roms

from rl_fn import envs
from rl_fn.envs.host import atari
from tests.support import assert_refuses


class Naive:
    """The preprocessing, written down as the papers tell it, one loop per average."""

    def __init__(self, game, sticky, env_seed, noop_max=30, episodic_life=False, clip_rewards=True):
        self.ale = ale_py.ALEInterface()
        self.ale.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.setInt("max_num_frames_per_episode", 108_000)
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(env_seed)))
        self.ale.setInt("random_seed", int(self.rng.integers(2**31)))
        self.ale.loadROM(roms.get_rom_path(game))
        self.actions = self.ale.getMinimalActionSet()
        self.fire = ale_py.Action.FIRE in self.actions
        self.noop_max, self.episodic_life, self.clip_rewards = noop_max, episodic_life, clip_rewards
        self.life_was_lost = False

    def frame(self):
        """The screens of the last two frames: their maximum, averaged over areas in exact integers."""
        big = np.maximum(*self.screens[-2:]).astype(np.int64)
        for axis in (0, 1):
            size = big.shape[axis]
            # Every pixel as 84 equal ones; `size` of those make one of the small ones.
            fine = np.repeat(big, 84, axis=axis)
            big = np.add.reduceat(fine, np.arange(84) * size, axis=axis)
        total = np.prod(self.ale.getScreenDims())
        return np.array([[round(int(value) / int(total)) for value in row] for row in big], np.uint8)

    def hold(self, action, times):
        score = 0
        for _ in range(times):
            score += self.ale.act(action)
            self.screens.append(self.ale.getScreenGrayscale())
            if self.ale.game_over():
                break
        return score

    def reset(self):
        if self.life_was_lost:
            self.hold(ale_py.Action.NOOP, 1)
        else:
            self.ale.reset_game()
            self.screens = [np.zeros(self.ale.getScreenDims(), np.uint8), self.ale.getScreenGrayscale()]
            self.hold(ale_py.Action.NOOP, int(self.rng.integers(1, self.noop_max + 1)))
        if self.fire:
            self.hold(ale_py.Action.FIRE, 4)
        self.lives = self.ale.lives()
        self.stack = [self.frame()] * 4
        return np.stack(self.stack, axis=-1)

    def step(self, action):
        score = self.hold(self.actions[action], 4)
        lost = 0 < self.ale.lives() < self.lives
        self.lives = self.ale.lives()
        if lost and self.fire and not self.episodic_life:
            score += self.hold(ale_py.Action.FIRE, 4)
        self.life_was_lost = lost and self.episodic_life
        self.stack = [*self.stack[1:], self.frame()]
        reward = max(-1, min(1, score)) if self.clip_rewards else score
        return np.stack(self.stack, axis=-1), reward, self.ale.game_over() or self.life_was_lost


@pytest.mark.parametrize(
    ("name", "game", "sticky", "steps", "arguments"),
    [
        ("ALE/Breakout-v5", "breakout", 0.25, 100, {"episodic_life": True}),
        ("BreakoutNoFrameskip-v4", "breakout", 0.0, 100, {"clip_rewards": False}),
        ("ALE/Pong-v5", "pong", 0.25, 100, {}),
        ("MsPacmanDeterministic-v0", "ms_pacman", 0.25, 250, {"clip_rewards": False, "episodic_life": True}),
        ("ALE/Pacman-v5", "pacman", 0.25, 100, {}),  # its screen is larger
    ],
)
def test_equals_a_naive_implementation_step_by_step(name, game, sticky, steps, arguments):
    env, naive = atari.make_atari(name, **arguments), Naive(game, sticky, env_seed=7, **arguments)
    np.testing.assert_array_equal(env.reset(seed=7)[0], naive.reset())
    rng, ends = np.random.default_rng(0), 0
    for _ in range(steps):
        action = rng.integers(env.action_space.n)
        observation, reward, terminated, truncated, _ = env.step(action)
        expected = naive.step(action)
        np.testing.assert_array_equal(observation, expected[0])
        assert (reward, terminated) == expected[1:]
        assert not truncated
        if terminated:
            ends += 1
            np.testing.assert_array_equal(env.reset()[0], naive.reset())
    assert ends or not arguments.get("episodic_life")


def play(env, steps, seed=0):
    rng, history = np.random.default_rng(seed), []
    env.reset(seed=seed)
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(rng.integers(env.action_space.n))
        history.append((observation, reward, terminated, truncated, info))
        if terminated or truncated:
            env.reset()
    return history


def test_a_lost_life_ends_the_episode_and_the_game_goes_on():
    history = play(atari.make_atari("ALE/Breakout-v5", episodic_life=True), 600)
    infos = [info for _, _, terminated, _, info in history if terminated]
    assert [info["lives"] for info in infos[:6]] == [4, 3, 2, 1, 0, 4]
    assert [info["game_over"] for info in infos[:6]] == [False, False, False, False, True, False]
    frames = [info["frame_number"] for info in infos[:5]]
    assert frames == sorted(frames)  # one game
    assert infos[5]["frame_number"] < frames[-1]


def test_without_it_only_the_end_of_the_game_does():
    for arguments in ({}, {"evaluation": True, "episodic_life": True}):
        infos = [
            info
            for _, _, terminated, _, info in play(atari.make_atari("ALE/Breakout-v5", **arguments), 500)
            if terminated
        ]
        assert infos
        assert all(info["lives"] == 0 and info["game_over"] for info in infos)


def test_evaluation_plays_whole_games_on_raw_scores():
    for evaluation in (False, True):
        history = play(atari.make_atari("ALE/MsPacman-v5", evaluation=evaluation), 150)
        rewards = [reward for _, reward, *_ in history]
        raw = [info["raw_reward"] for *_, info in history]
        assert max(raw) >= 10
        assert rewards == (raw if evaluation else list(np.sign(raw)))


def test_the_ball_is_served_when_a_life_begins():
    """An agent that never presses fire would otherwise wait for ever."""
    env = atari.make_atari("ALE/Breakout-v5", evaluation=True)
    env.reset(seed=0)
    for _ in range(500):
        *_, terminated, _, info = env.step(0)
        if terminated:
            break
    assert info["game_over"]
    idle = atari.make_atari("ALE/Breakout-v5", evaluation=True, fire_reset=False)
    idle.reset(seed=0)
    assert not any(idle.step(0)[2] for _ in range(500))


def test_the_end_in_the_middle_of_a_step_shows_the_last_frames():
    """Gymnasium's wrapper shows those of the step before."""
    env = atari.make_atari("ALE/Breakout-v5")
    for steps in range(3):
        env.reset(seed=steps)
        while True:
            before = env._frames[..., -1].copy()
            observation, _, terminated, _, info = env.step(0)
            if terminated:
                break
        np.testing.assert_array_equal(observation[..., -2], before)
        np.testing.assert_array_equal(observation[..., -1], env._small_frame())
        assert info["game_over"]


def test_long_games_are_truncated():
    history = play(atari.make_atari("ALE/Pong-v5", max_frames=400, noop_max=0, fire_reset=False), 205)
    ends = [index for index, (_, _, _, truncated, _) in enumerate(history) if truncated]
    assert ends == [99, 199]
    assert not any(terminated for _, _, terminated, _, _ in history)


def test_games_begin_with_different_numbers_of_idle_frames():
    env = atari.make_atari("PongNoFrameskip-v4", fire_reset=False)
    frames = {env.reset()[1]["frame_number"] for _ in range(60)}
    assert min(frames) >= 1
    assert max(frames) <= 30
    assert len(frames) > 15
    still = atari.make_atari("PongNoFrameskip-v4", fire_reset=False, noop_max=0)
    assert {still.reset()[1]["frame_number"] for _ in range(3)} == {0}


def test_the_seed_decides_everything():
    first, same, other = (play(atari.make_atari("ALE/Breakout-v5"), 150, seed) for seed in (1, 1, 2))
    stacks = [np.stack([observation for observation, *_ in history]) for history in (first, same, other)]
    np.testing.assert_array_equal(stacks[0], stacks[1])
    assert np.any(stacks[0] != stacks[2])


def test_sticky_actions_repeat_the_last_one_a_quarter_of_the_time():
    assert atari.parse_name("ALE/SpaceInvaders-v5") == ("space_invaders", 0.25)
    assert atari.parse_name("SpaceInvadersNoFrameskip-v4") == ("space_invaders", 0.0)
    assert atari.parse_name("SpaceInvaders-v0") == ("space_invaders", 0.25)

    def ends(**arguments):
        env = atari.make_atari("ALE/Pong-v5", noop_max=0, **arguments)
        results = set()
        for seed in range(8):
            env.reset(seed=seed)
            for action in [2, 3] * 10:
                observation = env.step(action)[0]
            results.add(observation.tobytes())
        return len(results)

    assert ends() > 4
    assert ends(sticky=0.0) == 1


def test_every_game_can_be_made():
    for game in atari.games():
        observation, _ = atari.make_atari(f"ALE/{game}-v5", noop_max=1).reset()
        assert observation.shape == (84, 84, 4)
        assert observation.dtype == np.uint8


def test_host_environments_are_made_by_name():
    env = envs.make("ALE/Breakout-v5", num_envs=3, episodic_life=True)
    assert env.spec.observation_space.shape == (84, 84, 4)
    assert env.spec.action_space.n == 4
    observation = env.reset(0)
    assert observation.shape == (3, 84, 84, 4)
    lost = 0
    for _ in range(100):
        outcome = env.step(np.array([0, 2, 3]))
        lost += outcome.terminated.sum()
        for index in np.flatnonzero(outcome.terminated):
            assert np.any(outcome.observation[index] != outcome.next_observation[index])
            assert np.all(outcome.observation[index] == outcome.observation[index][..., :1])  # one frame, repeated
    assert lost >= 6
    assert env.render().shape == (210, 160, 3)
    env.close()


def test_mistakes_are_named():
    for name, message in [
        ("ALE/Pon-v5", "unknown Atari game 'Pon'; the nearest is 'Pong'"),
        ("ALE/Pong-v4", "'ALE/Pong-v4' is no Atari name"),
        ("atari:Combat-v5", "is no Atari name"),
        ("ALE/Combat-v5", "unknown Atari game 'Combat'"),
    ]:
        assert_refuses(message, envs.make, name)
    for argument, message in [
        ({"frame_skip": 0}, "frame_skip is 0, expected at least 1"),
        ({"noop_max": -1}, "noop_max is -1, expected at least 0"),
        ({"sticky": 1.0}, "sticky is 1.0, expected a probability below 1"),
        ({"render_mode": "human"}, "render_mode is 'human', expected 'rgb_array' or None"),
        ({"stack": 0}, "stack is 0"),
    ]:
        assert_refuses(message, atari.make_atari, "ALE/Pong-v5", **argument)
    assert_refuses("num_envs is 0", envs.make, "ALE/Pong-v5", num_envs=0)


def test_only_names_of_atari_are_taken_for_such():
    for name in ("ALE/Pong-v5", "PongNoFrameskip-v4", "PongDeterministic-v0"):
        assert atari.is_atari(name)
    for name in ("CartPole-v1", "Ant-v5", "MinAtar/Breakout-v1", "Pong-v4"):
        assert not atari.is_atari(name)
