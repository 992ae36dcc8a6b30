import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random

STEPS = 12


def set_state(env, state):
    """Puts our state into Gymnasium's environment."""
    if "Pendulum" in env.spec.id:
        env.state, env.last_u = np.array([state.angle, state.angular_velocity]), state.torque
    else:
        env.state = np.array(state, np.float64)


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1", "Pendulum-v1"]
)
def test_pictures_are_those_of_gymnasium(name):
    env, theirs = envs.make(name), gymnasium.make(name, render_mode="rgb_array").unwrapped
    theirs.reset(seed=0)
    space = env.spec.action_space
    space.seed(0)
    step, (state, _) = tf.function(env.step, jit_compile=True), env.reset(random.key(3), 1)
    pictures = []
    for t in range(STEPS):
        before = tf.nest.map_structure(lambda leaf: leaf[0].numpy(), state)
        action = space.sample()
        state, _ = step(state, tf.constant(action)[tf.newaxis], random.fold_in(random.key(0), t))
        after = tf.nest.map_structure(lambda leaf: leaf[0].numpy(), state)
        picture = env.render(after)
        assert picture.dtype == np.uint8
        # Gymnasium's own step is not rounded to float32, so an edge may fall on the neighbouring pixel.
        set_state(theirs, before.inner)
        theirs.step(action)
        assert np.mean(picture != theirs.render()) < 1e-3
        set_state(theirs, after.inner)
        np.testing.assert_array_equal(picture, theirs.render())
        pictures.append(picture)
    assert np.any(pictures[0] != pictures[-1])


def test_a_pendulum_at_its_start_is_drawn_as_gymnasium_does():
    env, theirs = envs.make("Pendulum-v1"), gymnasium.make("Pendulum-v1", render_mode="rgb_array").unwrapped
    theirs.reset(seed=0)
    state = tf.nest.map_structure(lambda leaf: leaf[0].numpy(), env.reset(random.key(0), 1)[0])
    theirs.state = np.array([state.inner.angle, state.inner.angular_velocity])
    np.testing.assert_array_equal(env.render(state), theirs.render())  # no torque yet


def test_a_picture_is_a_copy():
    env = envs.make("CartPole-v1")
    states = [
        tf.nest.map_structure(lambda leaf: leaf[0].numpy(), env.reset(random.key(seed), 1)[0]) for seed in range(2)
    ]
    first = env.render(states[0])
    kept = first.copy()
    env.render(states[1])
    np.testing.assert_array_equal(first, kept)
