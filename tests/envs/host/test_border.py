"""What passes between one environment and an agent: Gym's spaces, spaces from anywhere, and the way back."""

import gym
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, random, struct
from rl_fn.agents import dqn
from rl_fn.struct import EnvSpec
from tests.envs.host.environments import Continuous, Count, Rooms


def border_of(observation_space, action_space):
    return envs.border(EnvSpec("Own-v0", observation_space, action_space, max_episode_steps=5))


def test_an_environment_of_gym_with_its_own_spaces():
    env = gym.make("CartPole-v1", disable_env_checker=True)
    with pytest.raises(TypeError, match=r"space Box.* of gym.spaces.box is not supported: .*rl_fn.envs.border"):
        struct.space_spec(env.observation_space)
    border = envs.border(env)
    assert border.spec.name == "CartPole-v1"
    assert border.spec.action_space == spaces.Discrete(2)
    assert isinstance(border.spec.observation_space, spaces.Box)
    assert (border.spec.max_episode_steps, border.spec.reward_threshold) == (500, 475)
    dqn.make(border.spec, dqn.DQNHParams(num_envs=1))
    observation, _ = env.reset(seed=0)
    seen = border.observation_to_agent(observation)
    np.testing.assert_array_equal(seen, observation)
    assert seen.dtype == np.float32
    assert border.action_to_env(tf.constant(1).numpy()) == 1


def test_all_of_gyms_spaces():
    theirs = gym.spaces.Dict(
        {
            "digits": gym.spaces.MultiDiscrete([2, 3]),
            "bits": gym.spaces.MultiBinary(2),
            "pair": gym.spaces.Tuple([gym.spaces.Discrete(3, start=-1), gym.spaces.Box(0, 255, (2,), np.uint8)]),
        }
    )
    border = border_of(theirs, gym.spaces.Discrete(2, start=1))
    assert border.spec.observation_space == spaces.Dict(
        {
            "digits": spaces.MultiDiscrete([2, 3]),
            "bits": spaces.MultiBinary(2),
            "pair": spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 255, (2,), np.uint8)]),
        }
    )
    assert border.spec.action_space == spaces.Discrete(2)
    assert border.spec.max_episode_steps == 5
    seen = border.observation_to_agent({"digits": [1, 2], "bits": [0, 1], "pair": (1, [7, 8])})
    assert seen["pair"][0] == 2


def test_discrete_things_count_from_zero_wherever_they_are():
    sizes, start = [[2, 3], [4, 5]], np.array([[1, -1], [10, 0]])
    nest = spaces.Tuple([spaces.Discrete(4, start=-2), spaces.MultiDiscrete(sizes, start=start)])
    border = border_of(
        spaces.Dict({"far": spaces.Discrete(3, start=2**40), "nest": nest}),
        spaces.MultiDiscrete(sizes, np.int32, start=start),
    )
    observed = border.spec.observation_space
    assert (observed["far"], observed["nest"][0]) == (spaces.Discrete(3), spaces.Discrete(4))
    assert observed["nest"][1] == spaces.MultiDiscrete(sizes)
    seen = border.observation_to_agent({"far": 2**40 + 2, "nest": (-2, np.array([[2, -1], [13, 4]]))})
    tf.nest.map_structure(np.testing.assert_array_equal, seen, {"far": 2, "nest": (0, np.array([[1, 0], [3, 4]]))})
    tf.nest.map_structure(
        lambda leaf, spec: np.testing.assert_equal((leaf.dtype, leaf.shape), (spec.dtype.as_numpy_dtype, spec.shape)),
        seen,
        struct.space_spec(observed),
    )
    action = np.array([[1, 2], [0, 4]])
    taken = border.action_to_env(action)
    np.testing.assert_array_equal(taken, [[2, 1], [10, 4]])
    assert taken.dtype == border.spec.action_space.dtype == np.int32
    np.testing.assert_array_equal(border.action_to_agent(taken), action)


@pytest.mark.parametrize("start", [0, 10, -3])
def test_every_action_of_an_agent_is_one_of_the_environment(start):
    theirs = spaces.Discrete(3, start=start)
    border = border_of(spaces.Box(-1, 1, (1,)), theirs)
    for action in range(3):
        taken = border.action_to_env(np.int32(action))
        assert type(taken) is int
        assert taken in theirs
        assert border.action_to_agent(taken) == action


def test_agents_refuse_a_specification_without_a_border():
    spec = EnvSpec("Own-v0", spaces.Box(-1, 1, (1,)), spaces.Discrete(2, start=10))
    with pytest.raises(ValueError, match=r"Discrete\(2, start=10\) does not count from 0: rl_fn.envs.border"):
        dqn.make(spec, dqn.DQNHParams(num_envs=1))


def test_box_actions_are_clipped_and_whole_ones_rounded():
    border = border_of(spaces.Discrete(2), spaces.Box(np.float32([-1, 0]), np.float32([1, 2])))
    np.testing.assert_array_equal(border.action_to_env(np.float32([-3, 0.5])), [-1, 0.5])
    whole = border_of(spaces.Discrete(2), spaces.Box(0, 255, (3,), np.uint8))
    taken = whole.action_to_env(np.float32([-1, 7.6, 300]))
    np.testing.assert_array_equal(taken, [0, 8, 255])
    assert taken.dtype == np.uint8


class Bounded(spaces.Box):
    """As users derive them."""


class Choices(spaces.Discrete):
    """As users derive them."""


class GymChoices(gym.spaces.Discrete):
    """As users derive them."""


@pytest.mark.parametrize("kind", [Choices, GymChoices])
def test_derived_spaces_are_those_that_they_derive_from(kind):
    env = Count()
    pair = [Bounded(-1, 1, (np.int64(2),), np.float32), Choices(np.int64(3), start=np.int64(1))]
    env.observation_space, env.action_space = spaces.Tuple(pair), kind(3, start=1)
    for spec in (envs.border(env).spec, envs.gymnasium_env(env).spec):
        assert spec.observation_space == spaces.Tuple([spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)])
        assert spec.action_space == spaces.Discrete(3)


def test_arrays_are_new_and_checked():
    env = Count()
    border = envs.border(env)
    observation, _ = env.reset()
    seen = border.observation_to_agent(observation)
    env.step(0)
    np.testing.assert_array_equal(seen, [0, 0])
    with pytest.raises(ValueError, match=r"an observation has shape \(1, 2\), its space says \(2,\)"):
        border.observation_to_agent(observation[np.newaxis])
    with pytest.raises(ValueError, match=r"an action has shape \(1,\), its space says \(\)"):
        border.action_to_agent([0])


def test_a_border_and_a_host_environment_agree():
    for make in (Rooms, lambda: Continuous(multi_discrete=True)):
        border, env = envs.border(make()), envs.gymnasium_env(make, 2)
        assert border.spec._replace(name="") == env.spec._replace(name="")


def test_unsupported_spaces_are_refused():
    with pytest.raises(ValueError, match=r"space Text.* is not supported: expected Box, Discrete"):
        border_of(spaces.Text(3), spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"action space MultiBinary.* is not supported: expected Box, Discrete"):
        border_of(spaces.Discrete(2), spaces.MultiBinary(2))


def test_a_plain_loop_takes_only_actions_that_there_are():
    class From(Count):
        """Its actions are 10 and 11."""

        def step(self, action):
            assert action in (10, 11)
            return super().step(action - 10)

    env = From()
    env.action_space = spaces.Discrete(2, start=10)
    border = envs.border(env)
    agent = dqn.make(border.spec, dqn.DQNHParams(num_envs=1, hidden_sizes=(4,)))
    policy = agent.init(random.key(0)).policy
    observation, _ = env.reset(seed=0)
    for step in range(20):
        batch = tf.nest.map_structure(lambda leaf: leaf[np.newaxis], border.observation_to_agent(observation))
        acted = agent.act(policy, agent.init_actor(1), batch, random.fold_in(random.key(1), step), "train")
        taken = border.action_to_env(acted.action[0].numpy())
        observation, *_ = env.step(taken)
        assert border.action_to_agent(taken) == acted.action[0]
