import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.envs.compiled import cartpole

NUM = 10_000


def gymnasium_steps(states, actions):
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    results = []
    for state, action in zip(states, actions, strict=True):
        env.state, env.steps_beyond_terminated = state.astype(np.float64), None
        observation, reward, terminated, _, _ = env.step(int(action))
        results.append((observation, reward, terminated))
    return [np.array(column) for column in zip(*results, strict=True)]


def test_dynamics_equal_gymnasium():
    rng = np.random.default_rng(0)
    states = (rng.uniform(-1, 1, (NUM, 4)) * [2.5, 4.0, 0.22, 4.0]).astype(np.float32)
    actions = rng.integers(2, size=NUM)
    expected_states, expected_rewards, expected_terminated = gymnasium_steps(states, actions)
    compiled = tf.function(cartpole.dynamics, jit_compile=True)
    columns = cartpole.State(*tf.unstack(states, axis=-1))
    successors, rewards, terminated = compiled(columns, tf.constant(actions), random.key(0))
    np.testing.assert_allclose(cartpole.observe(successors), expected_states, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(rewards, expected_rewards)
    # Where a successor is within rounding of the border, either answer is right.
    distance = np.minimum(
        abs(abs(expected_states[:, 0]) - cartpole.MAX_POSITION), abs(abs(expected_states[:, 2]) - cartpole.MAX_ANGLE)
    )
    clear = distance > 1e-6
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(terminated.numpy()[clear], expected_terminated[clear])
    assert 0.1 < expected_terminated.mean() < 0.9


def test_specification_equals_gymnasium():
    theirs, ours = gymnasium.make("CartPole-v1"), envs.make("CartPole-v1").spec
    assert ours.action_space == theirs.action_space
    np.testing.assert_allclose(ours.observation_space.low, theirs.observation_space.low, rtol=1e-6)
    np.testing.assert_allclose(ours.observation_space.high, theirs.observation_space.high, rtol=1e-6)
    assert ours.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.reward_threshold == theirs.spec.reward_threshold


@pytest.fixture(scope="module")
def balanced():
    """Steps of a controller that keeps the pole up, and of one that does not, side by side."""
    env = envs.make("CartPole-v1")
    state, observation = env.reset(random.key(1), 2)
    step, steps, observations = tf.function(env.step, jit_compile=True), [], [observation]
    for t in range(502):
        x = observation.numpy()
        good = int(3 * x[0, 2] + x[0, 3] + 0.1 * x[0, 0] + 0.3 * x[0, 1] > 0)
        state, outcome = step(state, tf.constant([good, 0]), random.fold_in(random.key(2), t))
        observation = outcome.observation
        steps.append(tf.nest.map_structure(lambda leaf: leaf.numpy(), outcome))
        observations.append(observation)
    return steps, observations


def test_episodes_are_truncated_after_500_steps(balanced):
    steps, _ = balanced
    truncated = [outcome.truncated[0] for outcome in steps]
    assert np.flatnonzero(truncated).tolist() == [499]
    assert not any(outcome.terminated[0] for outcome in steps)


def test_falling_terminates_and_starts_anew(balanced):
    steps, _ = balanced
    ends = np.flatnonzero([outcome.terminated[1] for outcome in steps])
    assert len(ends) > 40
    assert not any(outcome.truncated[1] for outcome in steps)
    for outcome in (steps[end] for end in ends):
        assert abs(outcome.next_observation[1, 2]) > cartpole.MAX_ANGLE
        assert np.all(abs(outcome.observation[1]) <= 0.05)


def test_next_observation_is_the_true_successor(balanced):
    steps, observations = balanced
    for t in (10, 499):
        before = observations[t].numpy()[:1]
        action = [int(3 * before[0, 2] + before[0, 3] + 0.1 * before[0, 0] + 0.3 * before[0, 1] > 0)]
        state = cartpole.State(*tf.unstack(before, axis=-1))
        expected = cartpole.dynamics(state, tf.constant(action), random.key(0))[0]
        np.testing.assert_allclose(steps[t].next_observation[:1], cartpole.observe(expected), rtol=1e-5, atol=1e-6)
    continued = steps[10]
    np.testing.assert_array_equal(continued.observation[0], continued.next_observation[0])
    truncated = steps[499]
    assert np.all(truncated.observation[0] != truncated.next_observation[0])


def test_starts_differ_and_depend_on_the_key():
    env = envs.make("CartPole-v1")
    _, first = env.reset(random.key(1), 100)
    _, second = env.reset(random.key(2), 100)
    assert len(np.unique(np.concatenate([first, second]))) > 790
    assert np.all(abs(first) <= 0.05)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown environment 'CartPol-v1'; the nearest is 'CartPole-v1'"):
        envs.make("CartPol-v1")
