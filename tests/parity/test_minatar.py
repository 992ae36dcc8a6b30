"""The games against the `minatar` package: step by step with its random decisions, and in distribution with ours."""

import gymnasium
import minatar.gym
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn._src.scan import scan
from rl_fn.envs.compiled.minatar import asterix, grid, seaquest
from rl_fn.envs.compiled.minatar.game import ACTIONS
from tests.parity.minatar_support import MODULES, play

NUM_STEPS = 10_000


def arranged(things, order, is_there):
    """The things that are there, in an order, and zeros in the other places."""
    order = np.argsort(np.where(is_there, order, 9), axis=-1, kind="stable")
    take = lambda leaf: np.take_along_axis(leaf, order, axis=-1)
    return type(things)(*(np.where(take(is_there), take(leaf), 0) for leaf in things))


def canonical(state):
    """The state without what has no meaning in it: places, and properties of things that are gone."""
    state = tf.nest.map_structure(np.asarray, state)
    inside = lambda things: (things.column >= 0) & (things.column < grid.SIZE)
    if isinstance(state, asterix.State):
        is_there = inside(state)
        return state._replace(
            column=np.where(is_there, state.column, asterix.ABSENT),
            velocity=np.where(is_there, state.velocity, 0),
            is_gold=is_there & state.is_gold,
        )
    if not isinstance(state, seaquest.State):
        return state
    enemies, divers, bullets = state.enemies, state.divers, state.bullets
    enemies = enemies._replace(shot_timer=np.where(enemies.is_submarine, enemies.shot_timer, 0))
    return state._replace(
        enemies=arranged(enemies, ~enemies.is_submarine, inside(enemies)),
        divers=arranged(divers, 0, inside(divers)),
        bullets=arranged(bullets, 0, inside(bullets)),
    )


@pytest.mark.parametrize("game", MODULES)
def test_steps_are_the_same(game):
    record, module = play(game, NUM_STEPS, seed=0), MODULES[game]

    @tf.function(jit_compile=True, autograph=False)
    def step(before, actions, decisions):
        after, rewards, terminated = module.dynamics(before, actions, decisions, True)
        return after, rewards, terminated, module.observe(after)

    after, rewards, terminated, observations = step(record.before, record.actions, record.decisions)
    tf.nest.map_structure(np.testing.assert_array_equal, canonical(after), canonical(record.after))
    np.testing.assert_array_equal(rewards, record.rewards)
    np.testing.assert_array_equal(terminated, record.terminated)
    np.testing.assert_array_equal(observations, record.observations)
    assert np.sum(record.rewards) > 20
    assert np.sum(record.terminated) > 5


@pytest.mark.parametrize("game", MODULES)
def test_specification_is_the_same(game):
    name = MODULES[game].GAME.name
    for version in (0, 1):
        if f"MinAtar/{name}-v{version}" not in gymnasium.registry:
            minatar.gym.register_envs()
        theirs = gymnasium.make(f"MinAtar/{name}-v{version}", disable_env_checker=True)
        ours = envs.make(f"MinAtar/{name}-v{version}").spec
        assert ours.observation_space == theirs.observation_space
        assert ours.action_space == theirs.action_space
        assert ours.max_episode_steps == theirs.spec.max_episode_steps
        assert ours.reward_threshold == theirs.spec.reward_threshold
        actions = MODULES[game].GAME.minimal_actions if version else ACTIONS
        assert list(actions) == theirs.unwrapped.action_set


def test_a_state_carried_on_stays_the_same():
    """Seaquest at its most difficult for long: places for new enemies come from those that have left."""
    record = play("seaquest", 5_000, seed=1, hardest=True)
    first = tf.nest.map_structure(lambda leaf: leaf[:1], record.before)

    @tf.function(jit_compile=True, autograph=False)
    def run(first, actions, decisions, oxygen):
        def step(state, x):
            action, decisions, oxygen = tf.nest.map_structure(lambda leaf: leaf[tf.newaxis], x)
            state, reward, _ = seaquest.dynamics(state._replace(oxygen=oxygen), action, decisions, True)
            return state, (seaquest.observe(state)[0], reward[0])

        return scan(step, first, (actions, decisions, oxygen))[1]

    observations, rewards = run(first, record.actions, record.decisions, record.before.oxygen)
    np.testing.assert_array_equal(observations, record.observations)
    np.testing.assert_array_equal(rewards, record.rewards)
    assert np.sum(record.after.enemies.column >= 0, axis=-1).max() >= 20
    assert np.sum(record.rewards) > 100


def statistics_of_minatar(game, num_steps):
    """Return, length and the cells of each channel, summed over each episode of a random player."""
    env, rng, rows = minatar.Environment(game), np.random.default_rng(0), []
    env.seed(0)
    env.reset()
    total = 0
    for action in rng.integers(6, size=num_steps):
        reward, terminated = env.act(action)
        total = total + np.array([reward, 1, *env.state().sum(axis=(0, 1))])
        if terminated:
            rows.append(total)
            total = 0
            env.reset()
    return np.array(rows)


def our_statistics(game, num_envs, num_steps):
    """The same of the first episode of each environment; all of them have to end."""
    env = envs.make(f"MinAtar/{MODULES[game].GAME.name}-v0")

    @tf.function(jit_compile=True, autograph=False)
    def run(key):
        def step(carry, keys):
            state, total, ended = carry
            actions = random.randint(keys[0], [num_envs], 0, 6)
            state, outcome = env.step(state, actions, keys[1])
            cells = tf.reduce_sum(tf.cast(outcome.next_observation, tf.float32), axis=[1, 2])
            row = tf.concat([outcome.reward[:, tf.newaxis], tf.ones([num_envs, 1]), cells], axis=-1)
            total = tf.where(ended[:, tf.newaxis], total, total + row)
            return (state, total, ended | outcome.terminated), None

        start_key, key = tf.unstack(random.split(key))
        state, observation = env.reset(start_key, num_envs)
        total = tf.zeros([num_envs, 2 + observation.shape[-1]])
        keys = tf.reshape(random.split(key, 2 * num_steps), [num_steps, 2, 2])
        return scan(step, (state, total, tf.fill([num_envs], False)), keys)[0][1:]

    total, ended = run(random.key(0))
    assert np.all(ended)
    return total.numpy()


@pytest.mark.parametrize("game", MODULES)
def test_random_play_has_the_same_distribution(game):
    theirs = statistics_of_minatar(game, 100_000)
    ours = our_statistics(game, 512, 2501)
    error = np.sqrt(theirs.var(axis=0, ddof=1) / len(theirs) + ours.var(axis=0, ddof=1) / len(ours))
    # In units of the standard error; there are 50 comparisons in all.
    assert np.max(abs(theirs.mean(axis=0) - ours.mean(axis=0)) / np.maximum(error, 1e-6)) < 4
