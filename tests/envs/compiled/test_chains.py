"""The chains and the bandit: what their rules say, worked out by hand."""

import numpy as np
import pytest

from rl_fn import envs
from tests.envs.episodes import play

NUM = 2_000


def assert_mean(values, expected, deviation):
    """Whether a mean is within five standard errors of what is expected."""
    assert abs(np.mean(values) - expected) < 5 * deviation / np.sqrt(np.size(values))


def random_actions(*shape):
    return np.random.default_rng(0).integers(2, size=shape)


def test_memory_chain_asks_for_one_of_the_bits():
    actions = random_actions(7, NUM)
    first, steps = play(envs.make("MemoryChain-bsuite", memory_length=3, num_bits=4), actions)
    bits = first[:, 0, 2:]
    assert_mean(bits, 0, 1)
    np.testing.assert_array_equal(abs(bits), 1)
    np.testing.assert_array_equal(first[:, 0, :2], [[1, 0]] * NUM)
    np.testing.assert_array_equal(steps.next_observation[0], first)
    shown = steps.next_observation[1:4, :, 0]
    np.testing.assert_allclose(shown[..., 0], np.broadcast_to([[2 / 3], [1 / 3], [0]], (3, NUM)), rtol=1e-6)
    np.testing.assert_array_equal(shown[..., 2:], 0)
    np.testing.assert_array_equal(shown[[0, 2], :, 1], 0)
    query = shown[1, :, 1].astype(int)
    assert set(query) == {0, 1, 2, 3}
    assert_mean(query, 1.5, np.sqrt(1.25))
    np.testing.assert_array_equal(steps.reward[:3], 0)
    right = bits[range(NUM), query] == 2 * actions[3] - 1
    np.testing.assert_array_equal(steps.reward[3], np.where(right, 1, -1))
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated[:, 0]), [3])
    assert np.any(steps.observation[3, :, 0, 2:] != bits)  # another episode, other bits
    np.testing.assert_array_equal(steps.next_observation[4], steps.observation[3])


def test_the_shortest_memory_chain_shows_bits_and_query_together():
    first, steps = play(envs.make("MemoryChain-bsuite", memory_length=1, num_bits=2), random_actions(2, NUM))
    assert set(first[:, 0, 1]) == {0, 1}
    np.testing.assert_array_equal(steps.terminated, [[False] * NUM, [True] * NUM])


def test_umbrella_chain_pays_for_the_first_action_in_the_end():
    actions = random_actions(5, NUM)
    first, steps = play(envs.make("UmbrellaChain-bsuite", chain_length=4, n_distractor=6), actions)
    need, has = first[:, 0, 0], first[:, 0, 1]
    for coins in (need, has, need * has * 4 - 0.5, steps.next_observation[:4, :, 0, 3:], first[:, 0, 3:]):
        assert_mean(coins, 0.5, np.std(coins))
    shown = steps.next_observation[:4, :, 0]
    np.testing.assert_array_equal(shown[..., 0], np.broadcast_to(need, (4, NUM)))
    np.testing.assert_array_equal(shown[..., 1], np.broadcast_to(actions[0], (4, NUM)))
    np.testing.assert_array_equal(shown[..., 2], np.broadcast_to([[0.75], [0.5], [0.25], [0]], (4, NUM)))
    np.testing.assert_array_equal(abs(steps.reward), 1)
    assert_mean(steps.reward[:3], 0, 1)
    np.testing.assert_array_equal(steps.reward[3], np.where(actions[0] == need, 1, -1))
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated[:, 0]), [3])
    assert len(np.unique(shown[:, :, 3:].reshape(-1, 6), axis=0)) == 2**6


def test_discounting_chain_pays_once_at_the_time_of_the_chain():
    actions = np.concatenate([np.arange(5)[np.newaxis], random_actions(99, 5), np.arange(5)[np.newaxis]])
    first, steps = play(envs.make("DiscountingChain-bsuite", mapping_seed=7), actions)
    np.testing.assert_array_equal(first, [[[-1, 0]]] * 5)
    expected = np.zeros((101, 5), np.float32)
    expected[[0, 2, 9, 29, 99], range(5)] = [1, 1, 1.1, 1, 1]
    expected[100, 0] = 1  # the next episode
    np.testing.assert_allclose(steps.reward, expected, rtol=1e-6)
    np.testing.assert_array_equal(steps.next_observation[:100, :, 0, 0], np.broadcast_to(np.arange(5), (100, 5)))
    np.testing.assert_allclose(steps.next_observation[:100, 3, 0, 1], np.arange(1, 101) / 100, rtol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated[:, 3]), [99])


@pytest.mark.parametrize(("seed", "num_arms"), [(0, 11), (5, 4)])
def test_bandit_pays_the_rewards_of_its_arms(seed, num_arms):
    env = envs.make("SimpleBandit-bsuite", mapping_seed=seed, num_arms=num_arms)
    first, steps = play(env, np.tile(np.arange(num_arms), (2, 1)))
    np.testing.assert_array_equal(first, np.ones((num_arms, 1, 1)))
    expected = np.linspace(0, 1, num_arms)[np.random.RandomState(seed).permutation(num_arms)]
    np.testing.assert_allclose(steps.reward, [expected, expected], rtol=1e-6)
    assert steps.terminated.all()
