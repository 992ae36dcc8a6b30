import logging
import re
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.agents import dqn
from rl_fn.agents.base import ActorStep, Agent
from rl_fn.envs.host import base as host
from tests.envs.host_environments import Count, Rooms, Walk

DQN = dqn.DQNHParams(train_steps=2_000, num_envs=2, rollout_length=10, learning_starts=64, batch_size=8).override(
    hidden_sizes=(16,), replay_capacity=1_000
)


class Version(NamedTuple):
    """The state of an agent that learns nothing: it shows which of its policies acted where, and what it saw."""

    policy: tf.Tensor  # int32[]: updates so far
    acted: tf.Tensor  # int32[]: the last action of the newest trajectory
    digest: tf.Tensor  # float32[]: of all trajectories and keys


def versions():
    """Acts its version; carries the number of steps since its actor state began."""

    def act(policy, actor_state, observation, key, mode):
        action = tf.fill([observation.shape[0]], policy)
        return ActorStep(action, actor_state + 1, {"steps": actor_state, "noise": random.uniform(key, action.shape)})

    def update(state, trajectory, key):
        seen = tf.reduce_mean(trajectory.observation) + tf.reduce_mean(trajectory.extras["noise"])
        digest = 0.9 * state.digest + seen + random.uniform(key)
        acted = trajectory.action[-1, 0]
        return Version(state.policy + 1, acted, digest), {"acted": tf.cast(acted, tf.float32)}

    return Agent(
        init=lambda key: Version(tf.constant(0), tf.constant(-1), tf.constant(0.0)),
        init_actor=lambda batch_size: tf.zeros([batch_size], tf.int32),
        act=act,
        update=update,
    )


class Recorder:
    """A host environment that keeps the actions that arrive."""

    def __init__(self, env):
        self._env, self.actions = env, []
        self.spec, self.num_envs, self.reset, self.close = env.spec, env.num_envs, env.reset, env.close

    def step(self, actions):
        self.actions.append(actions.tolist())
        return self._env.step(np.zeros_like(actions))


def trained(agent, env, iterations, rollout_length, compiled=None, **options):
    compiled = compiled or loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))
    chunks = list(loops.host_train(agent, env, compiled, iterations, **options))
    return compiled, chunks


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_policy_that_acts_is_as_old_as_asked(lag):
    env = Recorder(envs.gymnasium_env(Count, 2))
    compiled, chunks = trained(versions(), env, 8, 4, actor_lag=lag, max_chunk=3)
    expected = [max(0, i - lag) for i in range(8)]
    assert env.actions == [[version] * 2 for version in expected for _ in range(4)]
    state = compiled.read()
    assert (state.agent.policy, state.agent.acted, state.iteration) == (8, expected[-1], 8)
    acted = sum(chunk.metrics["acted"] * chunk.iterations for chunk in chunks)
    assert acted == sum(expected)
    with pytest.raises(ValueError, match="actor_lag is -1, expected an integer at least 0"):
        trained(versions(), env, 1, 1, actor_lag=-1)


def test_chunks_are_those_of_the_compiled_loop():
    _, chunks = trained(versions(), envs.gymnasium_env(Count, 2), 23, 2, pause_every=10, max_chunk=4)
    ends = [chunk.iteration for chunk in chunks]
    assert {10, 20, 23} <= set(ends)
    assert [chunk.iterations for chunk in chunks] == np.diff([0, *ends]).tolist()
    assert max(chunk.iterations for chunk in chunks) <= 4
    assert [chunk.compiled for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


def rollouts(length, lengths=(2, 3), iterations=2):
    """The trajectories that reach the agent's update."""
    kept = []
    agent = versions()
    compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(0)))

    class Keeping:
        read, reader = compiled.read, compiled.reader

        def __call__(self, trajectory):
            kept.append(trajectory)
            return compiled(trajectory)

    env = envs.gymnasium_env([Count(length) for length in lengths])
    chunks = list(loops.host_train(agent, env, Keeping(), iterations, length))
    return kept, chunks


def test_trajectories_are_time_major_and_continue_each_other():
    (first, second), chunks = rollouts(7)
    whole = tf.nest.map_structure(lambda a, b: np.concatenate([a, b]), first, second)
    last = whole.terminated | whole.truncated
    assert whole.observation.shape == (14, 2, 2)
    np.testing.assert_array_equal(last.sum(0), [14 // 2, 14 // 3])
    continues = np.all(whole.next_observation[:-1] == whole.observation[1:], -1)
    np.testing.assert_array_equal(continues, ~last[:-1])
    # What acting carries along begins anew with each episode, also across rollouts.
    np.testing.assert_array_equal(whole.extras["steps"], whole.observation[..., 1])
    assert len(np.unique(whole.extras["noise"])) == 28
    counts = [chunk.metrics["episode_count"] for chunk in chunks]
    np.testing.assert_array_equal(counts, [trajectory.sum() for trajectory in (last[:7], last[7:])])
    lengths = [chunk.metrics["episode_length"] * chunk.metrics["episode_count"] for chunk in chunks]
    np.testing.assert_allclose(np.sum(lengths), 7 * 2 + 4 * 3)


@pytest.mark.parametrize("num_episodes", [1, 3, 7])
def test_evaluations_count_long_episodes_as_often_as_short_ones(num_episodes):
    env = envs.gymnasium_env([Count(length) for length in (2, 30, 5)])
    evaluate = loops.host_evaluate(versions(), env, num_episodes)
    for policy in (1, 0):
        returns, lengths = evaluate(tf.constant(policy), random.key(1))
        np.testing.assert_array_equal(lengths, [(2, 30, 5)[episode % 3] for episode in range(num_episodes)])
        np.testing.assert_array_equal(returns, policy * lengths)


def test_readers_see_the_newest_state():
    compiled = loops.compile(
        lambda state, by: ({"a": state["a"] + by, "b": state["b"]}, by), {"a": 1, "b": tf.zeros([3])}
    )
    double = compiled.reader(lambda a, x: 2 * a + x, lambda state: state["a"])
    assert double(tf.constant(5)) == 7
    compiled(tf.constant(10))
    assert double(tf.constant(5)) == 27


@pytest.mark.parametrize("lag", [0, 1])
def test_the_key_determines_a_run(lag):
    digests = []
    for seed, backend, chunk in [(0, "sync", 1), (0, "thread", 3), (1, "sync", 1)]:
        env = envs.gymnasium_env(Walk, 2, backend)
        agent = versions()
        compiled = loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(seed)))
        trained(agent, Recorder(env), 5, 8, compiled, actor_lag=lag, max_chunk=chunk)
        digests.append(float(compiled.read().agent.digest))
    assert digests[0] == digests[1] != digests[2]


def test_nested_observations_train():
    env = envs.gymnasium_env(Rooms, 2)
    agent = dqn.make(env.spec, DQN)
    compiled, chunks = trained(agent, env, 60, 10, max_chunk=20)
    assert np.isfinite(chunks[-1].metrics["loss"])
    evaluate = loops.host_evaluate(agent, env, 4)
    before = evaluate(agent.init(random.key(0)).policy, random.key(2))[0]
    after = evaluate(compiled.read(lambda state: state.agent.policy), random.key(2))[0]
    assert after.mean() > max(before.mean(), 0)  # the reward is the action


def test_cartpole_of_gym_trains():
    env = envs.make("gym:CartPole-v1", num_envs=2)
    agent = dqn.make(env.spec, DQN)
    compiled, chunks = trained(agent, env, DQN.num_iterations, DQN.rollout_length, max_chunk=20)
    steps = sum(
        chunk.metrics["episode_count"] * chunk.metrics["episode_length"]
        for chunk in chunks
        if chunk.metrics["episode_count"]
    )
    assert 1_000 < steps <= 2_000
    assert np.isfinite(chunks[-1].metrics["loss"])
    assert compiled.read().iteration == 100


def test_training_survives_environments_that_raise_and_one_that_hangs(tmp_path, caplog):
    makers = [lambda: Walk(every=500), lambda: Walk(every=300, mishap="hang", marker=tmp_path / "hung")]
    env = Recorder(host.SubEnvs("walk", makers, "process", timeout=1.5))
    with caplog.at_level(logging.ERROR, "rl_fn"):
        compiled, _ = trained(versions(), env, 120, 10)
    env.close()
    assert compiled.read().iteration == 120
    told = [record.getMessage() for record in caplog.records]
    assert [re.search(r"environment \d", text)[0] for text in told] == [
        "environment 1",
        "environment 0",
        "environment 0",
    ]
    assert "it did not answer within 1.5 seconds" in told[0]
    assert all("the walker fell" in text for text in told[1:])
