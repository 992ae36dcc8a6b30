"""The environments of the Behaviour Suite against the package bsuite.

Its environments play random actions; ours take each of these steps from the same state, all at once. Where
its generator decides, distributions are compared.
"""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from bsuite.environments import bandit, catch, deep_sea, discounting_chain, memory_chain, umbrella_chain

from rl_fn import envs, random
from rl_fn.envs import TimedState
from rl_fn.envs.compiled.catch import State as CatchState
from rl_fn.envs.compiled.deep_sea import State as DeepSeaState
from rl_fn.envs.compiled.discounting_chain import State as DiscountingState
from rl_fn.envs.compiled.memory_chain import State as MemoryState
from rl_fn.envs.compiled.umbrella_chain import State as UmbrellaState

STEPS = 5_000
MANY = 100_000


def catch_state(env):
    return CatchState(np.int32(env._ball_y), np.int32(env._ball_x), np.int32(env._paddle_x))


def deep_sea_state(env):
    return DeepSeaState(np.int32(env._row), np.int32(env._column))


def memory_state(env):
    return MemoryState(np.int32(env._timestep), env._context == 1, np.int32(env._query))


def discounting_state(env):
    return DiscountingState(np.int32(env._timestep), np.int32(env._context))


def bandit_state(env):
    return np.ones((1, 1), np.float32)


def umbrella_state(env):
    distractors = np.zeros(env._n_distractor, bool)  # new in every step
    return UmbrellaState(np.int32(env._timestep), env._need_umbrella == 1, env._has_umbrella == 1, distractors)


def played(env, state_of, steps):
    """Random actions in an environment of bsuite: states before, actions, and what came of them."""
    actions = np.random.default_rng(0).integers(env.action_spec().num_values, size=steps)
    states, first, outcomes = [], [], []
    started = env.reset()
    for action in actions:
        states.append(state_of(env))
        first.append(started.observation if started.first() else None)
        started = env.step(int(action))
        outcomes.append((started.observation, started.reward, started.last()))
        if started.last():
            started = env.reset()
    observations, rewards, last = (np.array(column) for column in zip(*outcomes, strict=True))
    stacked = tf.nest.map_structure(lambda *leaves: np.stack(leaves), *states)
    return stacked, actions, observations, rewards, last, [x for x in first if x is not None]


def ours(env, states, actions):
    """One step from each state."""
    step = tf.function(lambda state, action: env.step(state, action, random.key(0))[1], jit_compile=True)
    state = TimedState(tf.nest.map_structure(tf.constant, states), tf.zeros(len(actions), tf.int32))
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), step(state, tf.constant(actions)))


CASES = {
    "catch": (catch.Catch, {}, "Catch-bsuite", {}, catch_state),
    "catch 7x4": (catch.Catch, {"rows": 7, "columns": 4}, "Catch-bsuite", {"rows": 7, "columns": 4}, catch_state),
    "deep sea": (
        deep_sea.DeepSea,
        {"size": 10, "mapping_seed": 42},
        "DeepSea-bsuite",
        {"size": 10},
        deep_sea_state,
    ),
    "deep sea, seed 3": (
        deep_sea.DeepSea,
        {"size": 5, "mapping_seed": 3, "unscaled_move_cost": 0.1},
        "DeepSea-bsuite",
        {"size": 5, "mapping_seed": 3, "unscaled_move_cost": 0.1},
        deep_sea_state,
    ),
    "memory": (
        memory_chain.MemoryChain,
        {"memory_length": 5, "num_bits": 1},
        "MemoryChain-bsuite",
        {},
        memory_state,
    ),
    "memory, one step": (
        memory_chain.MemoryChain,
        {"memory_length": 1, "num_bits": 3},
        "MemoryChain-bsuite",
        {"memory_length": 1, "num_bits": 3},
        memory_state,
    ),
    "memory, 40 bits": (
        memory_chain.MemoryChain,
        {"memory_length": 2, "num_bits": 40},
        "MemoryChain-bsuite",
        {"memory_length": 2, "num_bits": 40},
        memory_state,
    ),
    "discounting": (
        discounting_chain.DiscountingChain,
        {"mapping_seed": 8},
        "DiscountingChain-bsuite",
        {"mapping_seed": 8},
        discounting_state,
    ),
    "bandit": (bandit.SimpleBandit, {"mapping_seed": 0}, "SimpleBandit-bsuite", {}, bandit_state),
    "bandit, 5 arms": (
        bandit.SimpleBandit,
        {"mapping_seed": 9, "num_actions": 5},
        "SimpleBandit-bsuite",
        {"mapping_seed": 9, "num_arms": 5},
        bandit_state,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_equal(case):
    theirs, their_arguments, name, our_arguments, state_of = CASES[case]
    env = envs.make(name, **our_arguments)
    reference = theirs(**their_arguments)
    states, actions, observations, rewards, last, first = played(reference, state_of, STEPS)
    outcome = ours(env, states, actions)
    np.testing.assert_allclose(outcome.next_observation, observations, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(outcome.reward, rewards, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(outcome.terminated, last)
    assert not outcome.truncated.any()
    assert env.spec.observation_space.shape == reference.observation_spec().shape
    assert env.spec.action_space.n == reference.action_spec().num_values
    # Episodes begin with the same observations: as often with each, where there are several.
    starts = np.array(first)
    _, our_starts = env.reset(random.key(0), MANY)
    assert_equally_distributed(starts, our_starts.numpy())


def assert_equally_distributed(theirs, ours):
    """Compares how often each observation occurs, or the mean of every entry where there are many."""
    theirs, ours = (rows.reshape(len(rows), -1) for rows in (theirs, ours))
    kinds, indices = np.unique(np.concatenate([theirs, ours]), axis=0, return_inverse=True)
    if len(kinds) == 1:
        return
    if len(kinds) < 50:
        counts = [np.bincount(part, minlength=len(kinds)) for part in np.split(indices.reshape(-1), [len(theirs)])]
        assert scipy.stats.chi2_contingency(counts).pvalue > 1e-5
    else:
        error = np.sqrt(ours.var(axis=0) * (1 / len(theirs) + 1 / len(ours)))
        assert np.all(abs(theirs.mean(axis=0) - ours.mean(axis=0)) <= 5 * error)


@pytest.mark.parametrize(("length", "distractors"), [(1, 0), (10, 0), (4, 3)])
def test_umbrella_chain(length, distractors):
    reference = umbrella_chain.UmbrellaChain(chain_length=length, n_distractor=distractors, seed=0)
    states, actions, observations, rewards, last, first = played(reference, umbrella_state, MANY)
    env = envs.make("UmbrellaChain-bsuite", chain_length=length, n_distractor=distractors)
    outcome = ours(env, states, actions)
    np.testing.assert_allclose(outcome.next_observation[..., :3], observations[..., :3], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(outcome.terminated, last)
    np.testing.assert_array_equal(outcome.reward[last], rewards[last])
    assert_equally_distributed(np.array(first), env.reset(random.key(1), MANY)[1].numpy())
    if length == 1:
        assert last.all()
        return
    # Before the last step a coin decides on the reward, and others on the distractors.
    noise = np.concatenate([outcome.next_observation[:, 0, 3:], outcome.reward[:, np.newaxis]], axis=1)
    their_noise = np.concatenate([observations[:, 0, 3:], rewards[:, np.newaxis]], axis=1)
    assert_equally_distributed(their_noise[~last], noise[~last])


def test_stochastic_deep_sea():
    size, arguments = 4, {"size": 4, "deterministic": False, "mapping_seed": 1}
    reference = deep_sea.DeepSea(**arguments, seed=0)
    states, actions, observations, rewards, last, _ = played(reference, deep_sea_state, MANY)
    outcome = ours(envs.make("DeepSea-bsuite", **arguments), states, actions)
    np.testing.assert_array_equal(outcome.terminated, last)
    for cell in range(size * size):
        for action in range(2):
            here = (states.row * size + states.column == cell) & (actions == action)
            if here.any():
                assert_equally_distributed(observations[here], outcome.next_observation[here])
                if np.std(rewards[here]) > 1e-6:
                    assert scipy.stats.ks_2samp(rewards[here], outcome.reward[here]).pvalue > 1e-5
                else:
                    np.testing.assert_allclose(outcome.reward[here], rewards[here], rtol=1e-6, atol=1e-6)
