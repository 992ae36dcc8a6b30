"""The games against the `minatar` package: step by step with its random decisions, and in distribution with ours."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn.envs.minatar import asterix, grid, seaquest
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
    print(game, record.rewards.sum(), record.terminated.sum(), np.bincount(record.rewards.astype(int)))
