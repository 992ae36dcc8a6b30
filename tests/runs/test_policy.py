"""What a run has learned as an object: one observation, a batch, and a memory."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import agents, envs, random, struct
from rl_fn.runs.policy import Policy
from tests.runs import tiny

RNG = np.random.default_rng(0)


def made(agent, env, **values):
    module = getattr(agents, agent)
    struct_of = next(kind for name, kind in vars(module).items() if name.lower() == f"{agent}hparams")
    spec = envs.make(env).spec
    made_of = module.make(spec, struct_of(**values))
    return made_of, made_of.init(random.key(0)).policy, spec


@pytest.fixture(scope="module")
def recurrent():
    agent, params, spec = made("ppo", "CartPoleNoVel-v1", memory="gru", memory_units=8, hidden_sizes=(8,))
    # Far from the start, where all actions are as good as each other.
    params = params._replace(params=tf.nest.map_structure(lambda leaf: 5 * leaf, params.params))
    return Policy(agent, params, spec)


def test_one_observation_gives_one_action_and_a_batch_as_many():
    policy = Policy(*made("dqn", "CartPole-v1", hidden_sizes=(8,)))
    observations = RNG.normal(size=(5, 4)).astype(np.float32)
    actions = policy.act(observations)
    assert (actions.shape, actions.dtype) == ((5,), np.int32)
    alone = [policy.act(observation) for observation in observations]
    assert all(type(action) is int for action in alone)
    assert alone == actions.tolist()
    assert policy.act(observations[0].tolist()) == alone[0]
    with pytest.raises(ValueError, match="the observation holds infinity or NaN"):
        policy.act([np.nan, 0.0, 0.0, 0.0])


def test_box_actions_have_the_shape_and_dtype_of_their_space():
    policy = Policy(*made("td3", "Pendulum-v1", hidden_sizes=(8,)))
    action = policy.act(np.zeros(3))
    assert (action.shape, action.dtype) == ((1,), np.float32)
    assert policy.spec.action_space.contains(action)
    assert policy.act(np.zeros([4, 3])).shape == (4, 1)


def test_exploration_is_asked_for_and_follows_the_seed():
    agent, params, spec = made("dqn", "CartPole-v1", hidden_sizes=(8,))  # acts at random in the beginning
    observations = np.tile(RNG.normal(size=4), [64, 1])
    first, again = (Policy(agent, params, spec, seed=3) for _ in range(2))
    explored = first.act(observations, deterministic=False)
    assert set(explored) == {0, 1}
    np.testing.assert_array_equal(again.act(observations, deterministic=False), explored)
    assert any(first.act(observations, deterministic=False) != explored)  # each call draws anew
    assert len(set(first.act(observations))) == 1


def test_a_recurrent_policy_remembers_until_it_is_reset(recurrent):
    observations = RNG.normal(size=(500, 4)).astype(np.float32)
    recurrent.reset()
    first, second = recurrent.act(observations), recurrent.act(observations)
    assert any(first != second)  # which remembers the first
    recurrent.reset()
    np.testing.assert_array_equal(recurrent.act(observations), first)
    recurrent.reset()


def test_each_of_a_batch_remembers_and_forgets_for_itself(recurrent):
    observations = RNG.normal(size=(20, 3, 4)).astype(np.float32)
    recurrent.reset()
    first = np.array([recurrent.act(batch) for batch in observations])
    recurrent.reset([True, False, True])
    second = np.array([recurrent.act(batch) for batch in observations])
    np.testing.assert_array_equal(first[:, [0, 2]], second[:, [0, 2]])
    assert any(first[:, 1] != second[:, 1])
    with pytest.raises(ValueError, match=r"2 observations were given, and what is remembered is of 3: say reset\(\)"):
        recurrent.act(observations[0, :2])
    recurrent.reset()


def test_nests_of_observations_are_taken_one_by_one_and_in_batches():
    space = spaces.Dict({"a": spaces.Box(-1, 1, [2]), "b": spaces.Tuple([spaces.Discrete(3)])})
    spec = struct.EnvSpec("Nests", space, spaces.Discrete(2))
    policy = Policy(tiny.agent()._replace(act=_by_sign), tf.constant(0), spec)
    assert policy.act({"a": [-1.0, 0.0], "b": (1,)}) == 0
    batch = {"a": np.array([[1, 0], [-1, 0], [1, 0]]), "b": (np.array([0, 1, 2]),)}
    assert policy.act(batch).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="the observation has no 'a', its space is Dict"):
        policy.act(np.zeros(2))


def _by_sign(policy, actor_state, observation, key, mode):
    del policy, key, mode
    return agents.base.ActorStep(tf.cast(observation["a"][:, 0] > 0, tf.int32), actor_state, {})


def test_other_shapes_are_refused():
    policy = Policy(*made("dqn", "CartPole-v1", hidden_sizes=(8,)))
    for observation in (np.zeros(3), np.zeros([2, 3, 4]), 1.0):
        with pytest.raises(ValueError, match=r"expected \(4,\) of one, or \('B', 4\) of a batch"):
            policy.act(observation)
