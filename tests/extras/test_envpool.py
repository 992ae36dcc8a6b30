import numpy as np
import pytest
from gymnasium import spaces

from rl_fn import envs, loops, random
from rl_fn.agents import dqn, ppo


def steps(task, num, seed=3, num_envs=4, **kwargs):
    env = envs.make(f"envpool:{task}", num_envs=num_envs, **kwargs)
    rng = np.random.default_rng(0)
    first = env.reset(seed)
    outcomes = [env.step(rng.integers(env.spec.action_space.n, size=num_envs)) for _ in range(num)]
    env.close()
    return first, outcomes


def test_no_step_that_only_resets_gets_through():
    first, outcomes = steps("CartPole-v1", 300)
    before, ends, length = first, 0, np.zeros(4, int)
    for outcome in outcomes:
        last = outcome.terminated | outcome.truncated
        length += 1
        # A step moves the cart by a fiftieth of its speed; a reset would put it anywhere.
        np.testing.assert_allclose(outcome.next_observation[:, 0], before[:, 0] + 0.02 * before[:, 1], atol=1e-6)
        np.testing.assert_array_equal(outcome.reward, np.ones(4))
        fallen = (abs(outcome.next_observation[:, 2]) > 12 * np.pi / 180) | (abs(outcome.next_observation[:, 0]) > 2.4)
        np.testing.assert_array_equal(outcome.terminated, fallen)
        assert np.all(abs(outcome.observation[last]) <= 0.05)
        np.testing.assert_array_equal(outcome.observation[~last], outcome.next_observation[~last])
        before, ends = outcome.observation, ends + last.sum()
    assert ends > 20


def test_time_limits_truncate():
    _, outcomes = steps("CartPole-v1", 12, max_episode_steps=5)
    truncated = np.stack([outcome.truncated for outcome in outcomes])
    np.testing.assert_array_equal(np.flatnonzero(truncated.all(1)), [4, 9])
    assert truncated.sum() == 8


def test_the_seed_determines_the_episodes():
    runs = [np.stack([outcome.observation for outcome in steps("CartPole-v1", 50, seed)[1]]) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])


@pytest.mark.parametrize("task", ["FrozenLake-v1", "Taxi-v3"])
def test_discrete_observations_are_integers(task):
    first, outcomes = steps(task, 20)
    assert first.shape == outcomes[-1].next_observation.shape == (4,)
    assert first.dtype == np.int32


def test_pictures_have_their_channels_last_as_convolutions_take_them():
    first, outcomes = steps("Pong-v5", 5, num_envs=2)
    assert first.shape == (2, 84, 84, 4)
    assert envs.make("envpool:Pong-v5").spec.observation_space.shape == (84, 84, 4)
    before = first
    for outcome in outcomes:
        assert outcome.observation.dtype == np.uint8
        assert outcome.observation.flags.c_contiguous  # in memory, too, as all that reads it is fast with
        np.testing.assert_array_equal(outcome.next_observation[..., :3], before[..., 1:])  # the stack moves on by one
        before = outcome.observation


@pytest.mark.parametrize("gray_scale", [True, False])
def test_stacks_begin_with_the_first_frame_of_an_episode_repeated(gray_scale):
    first, outcomes = steps("Breakout-v5", 300, num_envs=3, episodic_life=True, gray_scale=gray_scale)
    channels = 1 if gray_scale else 3
    assert first.shape == (3, 84, 84, 4 * channels)
    history = [[stack[..., -channels:]] for stack in first]  # the frames of each episode
    for outcome in outcomes:
        for row, frames in enumerate(history):
            frames.append(outcome.next_observation[row, ..., -channels:])
            expected = np.concatenate(([frames[0]] * 3 + frames)[-4:], axis=-1)
            np.testing.assert_array_equal(outcome.next_observation[row], expected)
            if outcome.terminated[row] or outcome.truncated[row]:
                history[row] = [outcome.observation[row, ..., -channels:]]
                np.testing.assert_array_equal(outcome.observation[row], np.concatenate(history[row] * 4, axis=-1))
    assert sum(outcome.terminated.sum() for outcome in outcomes) > 10


def test_agents_with_convolutions_train_in_pictures():
    env = envs.make("envpool:Pong-v5", num_envs=2)
    hparams = dqn.DQNHParams(
        train_steps=64,
        num_envs=2,
        rollout_length=4,
        learning_starts=16,
        replay_capacity=64,
        batch_size=4,
        torso="nature",
    )
    agent = dqn.make(env.spec, hparams)
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))
    *_, last = loops.host_train(agent, env, compiled, hparams.num_iterations)
    assert last.metrics["loss"] > 0


def test_agents_train():
    env = envs.make("envpool:CartPole-v1", num_envs=8)
    assert env.spec.action_space == spaces.Discrete(2)
    hparams = ppo.PPOHParams(train_steps=16_384, num_envs=8)
    agent = ppo.make(env.spec, hparams)
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))
    *_, last = loops.host_train(agent, env, compiled, hparams.num_iterations)
    assert last.episodes.episode_return > 30


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("envpool:CartPol-v1", {}, "EnvPool has no task 'CartPol-v1'; the nearest is 'CartPole-v1'"),
        ("envpool:CartPole-v1", {"num_envs": 0}, "num_envs is 0, expected an integer of at least 1"),
        ("envpool:CartPole-v1", {"size": 3}, "envpool:CartPole-v1 cannot be made: .*'size'"),
        ("envpool:CartPole-v1", {"seed": 3}, "envpool:CartPole-v1: seed cannot be chosen"),
    ],
)
def test_what_cannot_be_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.make(name, **arguments)


def test_pictures_are_of_the_first_environment():
    env = envs.make("envpool:CartPole-v1", num_envs=2, render_mode="rgb_array")
    env.reset(0)
    assert env.render().shape == (400, 600, 3)
    plain = envs.make("envpool:CartPole-v1")
    plain.reset(0)
    with pytest.raises(ValueError, match="gives no picture: make it with render_mode='rgb_array'"):
        plain.render()
