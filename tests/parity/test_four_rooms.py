"""FourRooms against gymnax 0.0.9: every cell, action and goal, and how often an action fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from gymnax.environments.misc import rooms

from rl_fn import envs, random
from rl_fn.envs import TimedState
from rl_fn.envs.compiled import four_rooms

jax.config.update("jax_enable_x64", True)  # as the other comparisons do, which may run in the same process

MANY = 100_000
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # row and column, by action


@pytest.fixture(scope="module")
def reference():
    return rooms.FourRooms()


def theirs(reference, positions, goals, actions, fail_probability):
    """One step from each state; `[N, 2]` positions and goals."""
    params = reference.default_params.replace(fail_prob=fail_probability)

    def step(key, position, goal, action):
        state = rooms.EnvState(pos=position, goal=goal, time=0)
        observation, _, reward, done, _ = reference.step_env(key, state, action, params)
        return observation, reward, done

    keys = jax.random.split(jax.random.key(0), len(actions))
    results = jax.jit(jax.vmap(step))(keys, jnp.asarray(positions), jnp.asarray(goals), jnp.asarray(actions))
    return [np.asarray(result) for result in results]


def ours(positions, goals, actions, fail_probability):
    env = envs.make("FourRooms-misc", fail_probability=fail_probability)
    step = tf.function(lambda state, action: env.step(state, action, random.key(0))[1], jit_compile=True)
    inner = four_rooms.State(*tf.unstack(tf.constant(np.concatenate([positions, goals], axis=1), tf.int32), axis=1))
    outcome = step(TimedState(inner, tf.zeros(len(actions), tf.int32)), tf.constant(actions))
    return [part.numpy() for part in (outcome.next_observation, outcome.reward, outcome.terminated)]


def test_every_move_is_equal(reference):
    cells = np.asarray(reference.coords)
    position, goal, action = (index.reshape(-1) for index in np.indices((len(cells), len(cells), 4)))
    arguments = cells[position], cells[goal], action, 0.0
    for a, e in zip(ours(*arguments), theirs(reference, *arguments), strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("fail_probability", [1 / 3, 0.6])
def test_actions_fail_as_often(reference, fail_probability):
    # From the middle of a room every direction is open.
    actions = np.arange(MANY) % 4
    arguments = np.full((MANY, 2), 3), np.full((MANY, 2), 9), actions, fail_probability
    moves = [results[0][:, :2] - 3 for results in (ours(*arguments), theirs(reference, *arguments))]
    for action in range(4):
        counts = [[np.all(move[actions == action] == way, axis=1).sum() for way in MOVES] for move in moves]
        assert np.sum(counts) == 2 * MANY / 4
        assert scipy.stats.chi2_contingency(counts).pvalue > 1e-5


@pytest.mark.parametrize("random_goal", [False, True])
def test_starts_are_equally_distributed(reference, random_goal):
    params = reference.default_params.replace(resample_init_pos=True, resample_goal_pos=random_goal)
    keys = jax.random.split(jax.random.key(1), MANY)
    their_first = np.asarray(jax.jit(jax.vmap(lambda key: reference.reset_env(key, params)[0]))(keys))
    env = envs.make("FourRooms-misc", start=None, **({"goal": None} if random_goal else {}))
    our_first = env.reset(random.key(1), MANY)[1].numpy().astype(int)
    for part in (slice(0, 2), slice(2, 4)):
        places = np.concatenate([first[:, part] @ [13, 1] for first in (their_first, our_first)])
        kinds, indices = np.unique(places, return_inverse=True)
        counts = [np.bincount(half, minlength=len(kinds)) for half in np.split(indices, 2)]
        assert len(kinds) == 1 or scipy.stats.chi2_contingency(counts).pvalue > 1e-5


def test_the_fixed_places_and_the_time_limit_are_equal(reference):
    spec = envs.make("FourRooms-misc").spec
    first, _ = reference.reset_env(jax.random.key(0), reference.default_params)
    np.testing.assert_array_equal(envs.make("FourRooms-misc").reset(random.key(0), 1)[1][0], first)
    assert spec.max_episode_steps == reference.default_params.max_steps_in_episode
    space = reference.observation_space(reference.default_params)
    assert spec.observation_space.shape == space.shape
    assert spec.observation_space.low.min() == space.low
    assert spec.observation_space.high.max() == space.high
