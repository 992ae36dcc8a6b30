import sys

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.envs.compiled import acrobot, mountain_car, pendulum

NUM = 10_000
NAMES = ("MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1", "Pendulum-v1")


def gymnasium_steps(name, states, actions):
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    results = []
    for state, action in zip(states, actions, strict=True):
        env.state = state.astype(np.float64)
        observation, reward, terminated, _, _ = env.step(action)
        results.append((observation, reward, terminated))
    return [np.array(column) for column in zip(*results, strict=True)]


def assert_dynamics_equal(name, module, dynamics, state_type, states, actions, border, atol):
    """Steps both from every state; `border(observation)` is the distance from where the outcome jumps."""
    expected_observations, expected_rewards, expected_terminated = gymnasium_steps(name, states, actions)

    @tf.function(jit_compile=True)
    def compiled(states, actions):
        successor, reward, terminated = dynamics(state_type(*states), actions, random.key(0))
        return module.observe(successor), reward, terminated

    observations, rewards, terminated = compiled(list(states.T), actions)
    assert observations.dtype == states.dtype
    assert rewards.dtype == tf.float32
    # Where a successor is within rounding of the border, either answer is right.
    clear = border(expected_observations) > 10 * atol
    assert clear.mean() > 0.99
    np.testing.assert_allclose(observations, expected_observations, rtol=2e-6, atol=atol)
    np.testing.assert_allclose(rewards.numpy()[clear], expected_rewards[clear], rtol=5e-6, atol=2e-6)
    np.testing.assert_array_equal(terminated.numpy()[clear], expected_terminated[clear])
    return expected_observations, expected_terminated


def mountain_car_states(rng):
    """Positions and velocities over the whole range, many of them at the wall and near the goal."""
    positions = np.where(rng.random(NUM) < 0.5, rng.choice([-1.2, 0.45, 0.5], NUM), rng.uniform(-1.2, 0.6, NUM))
    return np.stack([positions, rng.uniform(-0.07, 0.07, NUM)], axis=-1).astype(np.float32)


def test_mountain_car_equals_gymnasium():
    rng = np.random.default_rng(0)
    states, actions = mountain_car_states(rng), rng.integers(3, size=NUM)
    successors, terminated = assert_dynamics_equal(
        "MountainCar-v0",
        mountain_car,
        mountain_car.dynamics,
        mountain_car.State,
        states,
        actions,
        lambda o: np.minimum(abs(o[:, 0] - mountain_car.GOAL), np.where(o[:, 0] > 0.4, abs(o[:, 1]), 1.0)),
        atol=2e-7,
    )
    assert np.sum((successors[:, 0] <= np.float32(-1.2)) & (successors[:, 1] == 0)) > 100
    assert 0.1 < terminated.mean() < 0.9


def test_continuous_mountain_car_equals_gymnasium():
    rng = np.random.default_rng(1)
    states, actions = mountain_car_states(rng), rng.uniform(-2.0, 2.0, [NUM, 1]).astype(np.float32)
    _, terminated = assert_dynamics_equal(
        "MountainCarContinuous-v0",
        mountain_car,
        mountain_car.continuous_dynamics,
        mountain_car.State,
        states,
        actions,
        lambda o: np.minimum(abs(o[:, 0] - mountain_car.CONTINUOUS_GOAL), np.where(o[:, 0] > 0.4, abs(o[:, 1]), 1.0)),
        atol=2e-7,
    )
    assert 0.1 < terminated.mean() < 0.9


def test_pendulum_equals_gymnasium():
    rng = np.random.default_rng(2)
    states = (rng.uniform(-1, 1, [NUM, 2]) * [np.pi, 8.0]).astype(np.float32)
    actions = rng.uniform(-4.0, 4.0, [NUM, 1]).astype(np.float32)

    def with_torque(angle, velocity):
        return pendulum.State(angle, velocity, tf.zeros_like(angle))

    successors, terminated = assert_dynamics_equal(
        "Pendulum-v1",
        pendulum,
        pendulum.dynamics,
        with_torque,
        states,
        actions,
        lambda o: np.ones(NUM),
        atol=2e-6,
    )
    assert np.sum(abs(successors[:, 2]) == 8) > 100
    assert not terminated.any()


def test_acrobot_equals_gymnasium():
    rng = np.random.default_rng(3)
    scale = [np.pi, np.pi, acrobot.MAX_SPEED_1, acrobot.MAX_SPEED_2]
    states, actions = (rng.uniform(-1, 1, [NUM, 4]) * scale).astype(np.float32), rng.integers(3, size=NUM)

    def height(o):
        return -o[:, 0] - (o[:, 0] * o[:, 2] - o[:, 1] * o[:, 3])

    def border(o):
        return abs(height(o) - 1.0)

    arguments = (acrobot, acrobot.dynamics, acrobot.State)
    # At the speeds that occur. At the largest ones a step amplifies the rounding of float32 a thousandfold.
    slow = (states * [1.0, 1.0, 0.4, 0.3]).astype(np.float32)
    _, terminated = assert_dynamics_equal("Acrobot-v1", *arguments, slow, actions, border, atol=2e-5)
    assert 0.1 < terminated.mean() < 0.9
    successors, _ = assert_dynamics_equal("Acrobot-v1", *arguments, states.astype(np.float64), actions, border, 1e-7)
    assert np.sum(abs(successors[:, 5]) == np.float32(acrobot.MAX_SPEED_2)) > 100


def test_angles_stay_in_their_range():
    rng = np.random.default_rng(4)
    columns = [tf.constant(rng.uniform(-1, 1, NUM) * scale, tf.float32) for scale in (np.pi, np.pi, 12.0, 28.0)]
    swung = acrobot.dynamics(acrobot.State(*columns), tf.ones([NUM], tf.int32), random.key(0))[0]
    state = pendulum.State(columns[0], columns[2], columns[3])
    turned = pendulum.dynamics(state, tf.zeros([NUM, 1]), random.key(0))[0]
    for angle in (swung.angle_1, swung.angle_2, turned.angle):
        assert np.max(abs(angle)) <= np.float32(np.pi) + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_specification_equals_gymnasium(name):
    theirs, ours = gymnasium.make(name), envs.make(name).spec
    assert ours.name == name
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space
    assert ours.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.reward_threshold == theirs.spec.reward_threshold


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("MountainCar-v0", [-0.6, 0.0], [-0.4, 0.0]),
        ("MountainCarContinuous-v0", [-0.6, 0.0], [-0.4, 0.0]),
        ("Acrobot-v1", [-0.1] * 4, [0.1] * 4),
        ("Pendulum-v1", [-np.pi, -1.0, 0.0], [np.pi, 1.0, 0.0]),
    ],
)
def test_starts_fill_the_range_of_gymnasium(name, low, high):
    state, observation = envs.make(name).reset(random.key(0), 2_000)
    columns = np.stack(state.inner, axis=-1)
    low, high = np.float32(low), np.float32(high)
    assert np.all((low <= columns) & (columns <= high))
    np.testing.assert_allclose(np.min(columns, axis=0), low, atol=0.01 * np.max(high - low))
    np.testing.assert_allclose(np.max(columns, axis=0), high, atol=0.01 * np.max(high - low))
    np.testing.assert_allclose(np.mean(columns, axis=0), (low + high) / 2, atol=0.05 * np.max(high - low))
    assert envs.make(name).spec.observation_space.contains(observation[0].numpy())


@pytest.mark.parametrize("name", NAMES)
def test_episodes_are_truncated_and_vectorise(name):
    """Two copies under tf.vectorized_map and XLA, each stepped up to the time limit and once across it."""
    env = envs.make(name)
    limit, shape = env.spec.max_episode_steps, env.spec.action_space.shape

    def cross_the_limit(key):
        state, first = env.reset(key, 3)
        state = state._replace(time=tf.constant([0, limit - 2, limit - 1]))
        state, outcome = env.step(state, tf.zeros([3, *shape], env.spec.action_space.dtype), random.fold_in(key, 0))
        return first, state, outcome

    @tf.function(jit_compile=True)
    def copies(keys):
        return tf.vectorized_map(cross_the_limit, keys, fallback_to_while_loop=False)

    keys = random.split(random.key(0))
    together = copies(keys)
    for copy in range(2):
        first, state, outcome = (
            tf.nest.map_structure(lambda leaf, copy=copy: leaf[copy].numpy(), part) for part in together
        )
        np.testing.assert_allclose(first, env.reset(keys[copy], 3)[1], rtol=1e-6, atol=1e-6)
        assert outcome.truncated.tolist() == [False, False, True]
        assert not outcome.terminated.any()
        assert state.time.tolist() == [1, limit - 1, 0]
        np.testing.assert_array_equal(outcome.observation[:2], outcome.next_observation[:2])
        assert np.any(outcome.observation[2] != outcome.next_observation[2])


@pytest.mark.parametrize(("name", "shape"), [("Pendulum-v1", [3]), ("Acrobot-v1", [3, 1]), ("MountainCar-v0", [2])])
def test_actions_of_another_shape_are_refused(name, shape):
    env = envs.make(name)
    state, _ = env.reset(random.key(0), 3)
    with pytest.raises(ValueError, match=rf"{name}: the actions have shape \({shape[0]},.*expected \(3,"):
        env.step(state, tf.zeros(shape), random.key(0))


def test_pictures_without_pygame_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)  # as if it were not installed
    env = envs.make("Acrobot-v1")
    state = tf.nest.map_structure(lambda leaf: leaf[0].numpy(), env.reset(random.key(0), 1)[0])
    with pytest.raises(ModuleNotFoundError, match=r"Acrobot-v1 need pygame.*pip install 'rl-fn\[render\]'"):
        env.render(state)
