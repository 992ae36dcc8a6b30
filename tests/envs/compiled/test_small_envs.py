"""What holds of every small environment: the modes agree, keys decide, arguments are checked, pictures."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, random
from rl_fn.envs.compiled import constant_reward, quadratic_reward
from tests.envs.episodes import play
from tests.support import assert_modes_agree

ENVS = {
    "Catch-bsuite": {"rows": 4},
    "DeepSea-bsuite": {"size": 4, "deterministic": False},
    "MemoryChain-bsuite": {"num_bits": 3, "memory_length": 2},
    "UmbrellaChain-bsuite": {"n_distractor": 5, "chain_length": 3},
    "DiscountingChain-bsuite": {},
    "SimpleBandit-bsuite": {},
    "FourRooms-misc": {"start": None, "goal": None},
    "ConstantReward-truncated": {},
    "ConstantReward-terminated": {},
    "QuadraticReward": {},
}


def sampled_actions(env, shape):
    rng = np.random.default_rng(0)
    space = env.spec.action_space
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=shape)
    return rng.uniform(space.low, space.high, (*shape, *space.shape)).astype(np.float32)


def test_modes_agree():
    made = {name: envs.make(name, **arguments) for name, arguments in ENVS.items()}
    actions = {name: tf.constant(sampled_actions(env, (3, 8))) for name, env in made.items()}
    states = {}
    for name, env in made.items():
        states[name], _ = env.reset(random.key(1), 8)
        for t in range(2):
            states[name], _ = env.step(states[name], actions[name][t], random.fold_in(random.key(2), t))
    last_actions = {name: action[2] for name, action in actions.items()}

    def function(copy, *leaves):
        key = random.fold_in(random.key(3), copy)
        states_given, actions_given = tf.nest.pack_sequence_as((states, last_actions), leaves)
        return {name: env.step(states_given[name], actions_given[name], key) for name, env in made.items()}

    assert_modes_agree(function, np.int32(3), *tf.nest.flatten((states, last_actions)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in ENVS if "Reward" not in name])
def test_observations_are_in_their_space_and_successors_are_true(name):
    env = envs.make(name, **ENVS[name])
    first, steps = play(env, sampled_actions(env, (12, 16)))
    space = env.spec.observation_space
    for observation in np.concatenate([first[np.newaxis], steps.observation, steps.next_observation]):
        assert all(space.contains(one) for one in observation)
    goes_on = ~(steps.terminated | steps.truncated)
    np.testing.assert_array_equal(steps.observation[goes_on], steps.next_observation[goes_on])
    assert steps.reward.dtype == np.float32
    assert steps.terminated.dtype == steps.truncated.dtype == bool


@pytest.mark.parametrize("name", ["Catch-bsuite", "MemoryChain-bsuite", "UmbrellaChain-bsuite", "FourRooms-misc"])
def test_starts_are_decided_by_the_key(name):
    env = envs.make(name, **ENVS[name])
    first, again, other = (env.reset(random.key(seed), 64)[1].numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Catch-bsuite", {"rows": 1}, "rows is 1, expected an integer of at least 2"),
        ("Catch-bsuite", {"columns": 2.5}, "columns is 2.5, expected an integer of at least 1"),
        ("DeepSea-bsuite", {"size": True}, "size is True, expected an integer of at least 2"),
        ("DeepSea-bsuite", {"mapping_seed": 2**32}, r"mapping_seed is 4294967296, expected an integer in \[0, 2"),
        ("MemoryChain-bsuite", {"memory_length": 0}, "memory_length is 0, expected an integer of at least 1"),
        ("MemoryChain-bsuite", {"num_bits": "3"}, "num_bits is '3', expected an integer of at least 1"),
        ("UmbrellaChain-bsuite", {"chain_length": 0}, "chain_length is 0, expected an integer of at least 1"),
        ("UmbrellaChain-bsuite", {"n_distractor": -1}, "n_distractor is -1, expected an integer of at least 0"),
        ("DiscountingChain-bsuite", {"mapping_seed": None}, "mapping_seed is None, expected an integer of at least 0"),
        ("SimpleBandit-bsuite", {"num_arms": 1}, "num_arms is 1, expected an integer of at least 2"),
        ("SimpleBandit-bsuite", {"mapping_seed": -1}, "mapping_seed is -1, expected an integer of at least 0"),
        ("FourRooms-misc", {"goal": (0, 0)}, r"goal is \(0, 0\), expected None, or the row and column of a free cell"),
        ("FourRooms-misc", {"start": 3}, "start is 3, expected None, or the row and column of a free cell"),
        ("FourRooms-misc", {"start": (8, 9)}, r"start and goal are both \(8, 9\), expected two cells"),
        ("FourRooms-misc", {"fail_probability": 1.5}, r"fail_probability is 1.5, expected a number in \[0, 1\]"),
        ("FourRooms-misc", {"fail_probability": "x"}, "fail_probability is 'x', expected a number"),
        ("DeepSea-bsuite", {"deterministic": "no"}, "deterministic is 'no', expected True or False"),
        ("DeepSea-bsuite", {"unscaled_move_cost": "x"}, "unscaled_move_cost is 'x', expected a number"),
        ("MountainCar-v0", {"continuous": 2}, "continuous is 2, expected True or False"),
        ("ConstantReward-truncated", {"end": "done"}, "end is 'done', expected one of 'truncated', 'terminated'"),
        ("ConstantReward-truncated", {"action_space": spaces.MultiBinary(2)}, "expected a Discrete or a Box space"),
    ],
)
def test_bad_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.make(name, **arguments)


@pytest.mark.parametrize(("end", "action_space"), [("truncated", None), ("terminated", spaces.Box(-1, 1, (2,)))])
def test_constant_reward_ends_after_ten_steps(end, action_space):
    env = envs.make(f"ConstantReward-{end}", action_space=action_space)
    assert env.spec.action_space == (action_space or spaces.Discrete(2))
    first, steps = play(env, sampled_actions(env, (2 * constant_reward.LENGTH + 5, 2)))
    for observation in (first, steps.observation, steps.next_observation):
        np.testing.assert_array_equal(observation, 1)
    np.testing.assert_array_equal(steps.reward, 1)
    ends = {name: np.flatnonzero(getattr(steps, name)[:, 0]).tolist() for name in ("truncated", "terminated")}
    assert ends == {"truncated": [], "terminated": [], end: [9, 19]}


def test_quadratic_reward_is_greatest_at_a_target_inside_the_bounds():
    env = envs.make("QuadraticReward")
    np.testing.assert_array_equal(env.spec.action_space.low, [-1, 0])
    np.testing.assert_array_equal(env.spec.action_space.high, [3, 0.5])
    target = np.array(quadratic_reward.TARGET, np.float32)
    assert env.spec.action_space.contains(target)
    assert env.spec.action_space.low[0] < target[0] < env.spec.action_space.high[0]
    _, steps = play(env, np.array([[target, [2.7, 0.1]], [[1.2, 0.0], [5.0, 0.1]]], np.float32))
    np.testing.assert_allclose(steps.reward, [[0, -0.25], [-1.01, -(2.8**2)]], rtol=1e-5)
    assert steps.terminated.all()
    assert not steps.truncated.any()
