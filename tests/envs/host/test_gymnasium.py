import functools

import gym
import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rl_fn import envs
from rl_fn.envs import registry
from tests.envs.host.environments import Continuous, Count, Rooms, Unmakeable, Walk

LENGTHS = (2, 3, 5)
FACTORIES = [functools.partial(Count, length) for length in LENGTHS]


def vector(mode):
    # Gymnasium's mode SAME_STEP does not copy the last observation before the next episode begins.
    return SyncVectorEnv([functools.partial(Count, length, fresh=True) for length in LENGTHS], autoreset_mode=mode)


SOURCES = {
    "objects": lambda: envs.gymnasium_env([make() for make in FACTORIES]),
    "threads": lambda: envs.gymnasium_env([make() for make in FACTORIES], backend="thread"),
    "processes": lambda: envs.gymnasium_env([make() for make in FACTORIES], backend="process"),
    **{
        f"vector {mode.name}": functools.partial(lambda m: envs.gymnasium_env(vector(m)), mode)
        for mode in AutoresetMode
    },
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_true_successor_and_the_next_episode_are_told_apart(source):
    env = SOURCES[source]()
    assert env.num_envs == 3
    np.testing.assert_array_equal(env.reset(0), [[0, 0]] * 3)
    kept, expected = [], []
    episode, time = np.zeros(3, int), np.zeros(3, int)
    for t in range(12):
        actions = np.array([t % 2, 1, 0])
        outcome = env.step(actions)
        kept.append(outcome)
        time += 1
        last = time == LENGTHS
        successor = np.stack([episode, time], -1).astype(np.float32)
        terminated, truncated = last & (episode % 2 == 0), last & (episode % 2 == 1)
        episode, time = episode + last, np.where(last, 0, time)
        seen = np.stack([episode, time], -1).astype(np.float32)
        expected.append(envs.EnvStep(seen, actions.astype(np.float32), terminated, truncated, successor))
    env.close()
    # Compared only now: a step must not write into what an earlier one returned.
    for step, should in zip(kept, expected, strict=True):
        for name, value, right in zip(step._fields, step, should, strict=True):
            np.testing.assert_array_equal(value, right, err_msg=name)
            assert value.dtype == right.dtype


def test_discrete_spaces_count_from_zero_and_nests_stay_nests():
    for source in ([Rooms(), Rooms()], SyncVectorEnv([Rooms, Rooms], autoreset_mode=AutoresetMode.SAME_STEP)):
        env = envs.gymnasium_env(source)
        assert env.spec.observation_space["goal"] == spaces.Discrete(3)
        assert env.spec.action_space == spaces.Discrete(3)
        env.reset(0)
        ended = 0
        for _ in range(20):
            outcome = env.step(np.array([0, 2]))
            successor = outcome.next_observation
            np.testing.assert_array_equal(successor["goal"], [0, 2])
            assert successor["goal"].dtype == np.int32
            np.testing.assert_array_equal(successor["pair"][0], [[1, 0]] * 2)
            np.testing.assert_array_equal(successor["pair"][1], [[1, 2]] * 2)
            np.testing.assert_array_equal(successor["picture"][:, 0, 0, 0], [0, 2])
            assert successor["picture"].dtype == np.uint8
            np.testing.assert_array_equal(outcome.reward, [-1, 1])
            goals = np.where(outcome.terminated, 1, [0, 2])
            np.testing.assert_array_equal(outcome.observation["goal"], goals)
            ended += outcome.terminated.sum()
        assert ended >= 2


def test_actions_are_clipped_and_counted_as_the_space_says():
    env = envs.gymnasium_env(Continuous)
    assert env.reset(0).dtype == np.float64
    np.testing.assert_array_equal(env.step(np.array([[-3.0, 0.5]], np.float32)).observation, [[-1, 0.5]])
    counted = envs.gymnasium_env(lambda: Continuous(multi_discrete=True), num_envs=2)
    assert counted.spec.action_space == spaces.MultiDiscrete([2, 3])
    counted.reset(0)
    np.testing.assert_array_equal(counted.step(np.array([[0, 0], [1, 2]], np.int32)).observation, [[1, -1], [2, 1]])


def walk(backend, seed, source=Walk):
    env = envs.gymnasium_env(source, 3, backend)
    observations = [env.reset(seed)] + [env.step(np.zeros(3, int)).observation for _ in range(25)]
    env.close()
    return np.stack(observations)


def test_the_seed_determines_everything_in_every_backend():
    first = walk("sync", 5)
    for backend in ("thread", "process", "sync"):
        np.testing.assert_array_equal(walk(backend, 5), first)
    assert np.all(walk("sync", 6)[0] != first[0])
    assert len(np.unique(first)) == first.size


@pytest.mark.parametrize(("prefix", "library"), [("gymnasium", gymnasium), ("gym", gym)])
def test_an_environment_by_name_is_that_environment(prefix, library):
    env = envs.make(f"{prefix}:CartPole-v1", num_envs=2)
    assert env.spec.max_episode_steps == 500
    assert env.spec.reward_threshold == 475
    assert isinstance(env.spec.observation_space, spaces.Box)
    observation = env.reset(0)
    alone = library.make("CartPole-v1", disable_env_checker=True)
    alone.reset(seed=0)
    alone.unwrapped.state = observation[1].astype(np.float64)
    for t in range(5):
        outcome = env.step(np.array([0, t % 2]))
        expected, _, terminated, _, _ = alone.step(t % 2)
        assert not terminated
        np.testing.assert_allclose(outcome.observation[1], expected, rtol=1e-6)


def test_the_limit_is_that_of_the_episodes(tmp_path):
    limited = {
        3: lambda: envs.make("gymnasium:CartPole-v1", max_episode_steps=3),
        4: lambda: envs.make("gym:CartPole-v1", max_episode_steps=4),
        600: lambda: envs.make("gym:CartPole-v1", max_episode_steps=600),
        500: lambda: envs.make("gym:CartPole-v1"),
        None: lambda: envs.make("gymnasium:CartPole-v1", max_episode_steps=-1),
        6: lambda: envs.gymnasium_env(lambda: gymnasium.wrappers.TimeLimit(Count(100), 6), backend="process"),
        7: lambda: envs.gymnasium_env(gymnasium.wrappers.TimeLimit(gymnasium.wrappers.TimeLimit(Count(100), 9), 7)),
    }
    for limit, make in limited.items():
        env = make()
        assert env.spec.max_episode_steps == limit
        if limit and limit < 10:
            env.reset(0)
            truncated = [env.step(np.array([1])).truncated[0] for _ in range(limit)]
            assert truncated == [False] * (limit - 1) + [True]
        env.close()
    own = Count()
    own.max_episode_steps = 12
    assert envs.gymnasium_env(own).spec.max_episode_steps == 12


def test_objects_of_gym_are_as_good():
    env = envs.gymnasium_env(gym.make("CartPole-v1", disable_env_checker=True))
    assert env.spec.name == "CartPole-v1"
    assert env.reset(0).shape == (1, 4)
    assert env.step(np.array([1])).observation.shape == (1, 4)


def test_compiled_environments_come_first_unless_a_prefix_says_otherwise():
    for name in ("CartPole-v1", "compiled:CartPole-v1"):
        assert isinstance(envs.make(name), envs.Env)
    assert not isinstance(envs.make("gymnasium:CartPole-v1"), envs.Env)
    assert envs.make("FrozenLake-v1", map_name="8x8").spec.observation_space == spaces.Discrete(64)


def test_pictures_are_of_the_first_environment():
    env = envs.gymnasium_env(lambda: Count(render_mode="rgb_array"), 2)
    env.reset(0)
    env.step(np.array([0, 0]))
    np.testing.assert_array_equal(env.render(), np.ones((4, 6, 3)))
    with pytest.raises(ValueError, match=r"gives no picture: .*make the environment with render_mode='rgb_array'"):
        envs.gymnasium_env(Count).render()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPol-v1", "unknown environment 'CartPol-v1'; the nearest is 'CartPole-v1'"),
        ("gymnasium:FrozenLak-v1", "the nearest is 'FrozenLake-v1'"),
        ("gym:CartPol-v1", "the nearest is 'CartPole-v1'"),
        ("compiled:CartPool-v1", "the nearest is 'CartPole-v1'"),
        ("nowhere:CartPole-v1", "'nowhere' is neither one of the prefixes compiled, gymnasium, gym, envpool"),
        ("gymnasium:Nowhere/Room-v0", "it needs the package that registers Nowhere/"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        envs.make(name)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (Count, {"backend": "fiber"}, "backend is 'fiber', expected one of sync, thread, process"),
        (Count, {"num_envs": 0}, "num_envs is 0, expected an integer of at least 1"),
        (Count, {"timeout": 0}, "timeout is 0, expected a number of seconds greater than 0"),
        (
            Count,
            {"timeout": 5.0},
            "timeout is 5.0, and backend 'sync' waits for its environments for ever: expected none",
        ),
        (Count, {"max_restarts": -1}, "max_restarts is -1, expected an integer at least 0"),
        ([Count(), Count()], {"num_envs": 3}, "2 environments were handed over, num_envs is 3"),
        ([Count(), Walk()], {}, "the environments differ in their spaces"),
        (3, {}, "cannot make an environment of 3: expected a name"),
        (Unmakeable, {}, "Unmakeable cannot be made: LookupError: no such scene"),
        (Unmakeable, {"backend": "process"}, "Unmakeable cannot be made: LookupError: no such scene"),
        ("CartPole-v1", {"size": 3}, "gymnasium:CartPole-v1 cannot be made: .*unexpected keyword argument 'size'"),
    ],
)
def test_what_cannot_be_is_refused(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.gymnasium_env(source, **arguments)


def test_unsupported_spaces_are_refused():
    env = Count()
    env.observation_space = spaces.Text(5)
    with pytest.raises(ValueError, match=r"space Text.* is not supported: expected Box, Discrete"):
        envs.gymnasium_env(env)
    env = Count()
    env.action_space = spaces.Dict({"push": spaces.Discrete(2)})
    with pytest.raises(ValueError, match=r"action space Dict.* is not supported: expected Box, Discrete or Multi"):
        envs.gymnasium_env(env)


def test_observations_that_the_space_does_not_allow_are_refused():
    env = Count()
    env.observation_space = spaces.Box(-1, 1, (3,))
    with pytest.raises(envs.EnvFailed, match=r"an observation has shape \(2,\), its space says \(3,\)"):
        envs.gymnasium_env(env).reset(0)


def test_specs_have_the_dtypes_of_the_observations():
    from rl_fn import struct

    env = envs.gymnasium_env(Rooms)
    specs = struct.space_spec(env.spec.observation_space)
    tf.nest.map_structure(
        lambda leaf, spec: np.testing.assert_equal(
            (leaf.dtype, leaf.shape[1:]), (spec.dtype.as_numpy_dtype, spec.shape)
        ),
        env.reset(0),
        specs,
    )


@pytest.mark.parametrize("word", ["Box2D", "MuJoCo"])
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(word):
    def make():
        raise gymnasium.error.DependencyNotInstalled(f"{word} is not installed, run `pip install swig`")

    gymnasium.register("Lacking-v0", entry_point=make)
    registry.register("Lacking-v1", make, kind="host")
    try:
        for name in ("gymnasium:Lacking-v0", "Lacking-v1"):
            with pytest.raises(
                ValueError, match=rf'ImportError: it needs {word.lower()}, .*: pip install "rl-fn\[{word.lower()}'
            ):
                envs.make(name)
    finally:
        del gymnasium.registry["Lacking-v0"], registry._entries["Lacking-v1"]
